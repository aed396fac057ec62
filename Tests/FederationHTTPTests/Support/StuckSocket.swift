import FederationHTTP
import NIOCore
import Synchronization

/// The socket of a client that takes some messages, and then nothing any more until it is closed.
final class StuckSocket: Sendable {
    private let taken: Int
    private let counted = Mutex(0)
    private let codes: AsyncStream<UInt16>
    private let closing: AsyncStream<UInt16>.Continuation

    /// - Parameter taken: how many messages of the server still get through.
    init(taking taken: Int) {
        self.taken = taken
        (codes, closing) = AsyncStream.makeStream()
    }

    /// How often something has come from the client.
    var reads: Int { counted.withLock { $0 } }

    /// The code of the next Close frame that the server sends.
    func closeCode() async -> UInt16? {
        var codes = codes.makeAsyncIterator()
        return await codes.next()
    }

    /// The route, with such a socket below it.
    func route(_ route: WebSocketRoute) -> WebSocketRoute {
        WebSocketRoute(path: route.path) { channel, head in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(StuckHandler(self, taking: self.taken), position: .first)
            }.flatMap { route.upgrade(channel, head) }
        }
    }

    fileprivate func read() { counted.withLock { $0 += 1 } }

    fileprivate func close(_ code: UInt16) { closing.yield(code) }
}

private final class StuckHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let socket: StuckSocket
    private var left: Int
    private var waiting: [EventLoopPromise<Void>] = []

    init(_ socket: StuckSocket, taking left: Int) {
        self.socket = socket
        self.left = left
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(data)
        socket.read()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard left == 0 else {
            left -= 1
            context.write(data, promise: promise)
            return
        }
        if let promise { waiting.append(promise) }
        let bytes = unwrapOutboundIn(data)
        // A Close frame: opcode 8, no mask, and the code behind the length (RFC 6455 §5.5.1).
        if let code = bytes.getInteger(at: bytes.readerIndex + 2, as: UInt16.self),
            bytes.readableBytesView.first == 0x88
        {
            socket.close(code)
            context.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        for promise in waiting { promise.fail(ChannelError.ioOnClosedChannel) }
    }
}
