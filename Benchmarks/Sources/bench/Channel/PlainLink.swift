import FederationModel
import FederationTransport
import FederationWebSocket
import FederationWire
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket
import Synchronization

/// Theirs: the same frames in the same form through a WebSocket that seals nothing, in clear or over TLS 1.3.
final class PlainLink: Link {
    /// Whose WebSocket it is.
    enum Framing {
        /// This project's.
        case ours
        /// The one that comes with NIO, which masks byte by byte.
        case nio
    }

    let arrived: Arrivals
    let answered: Arrivals
    private let near: PlainSocket
    private let listener: any Channel

    init(framing: Framing = .ours, tls: TLSMaterial? = nil, groups: Loops) async throws {
        let arrived = Arrivals()
        let answered = Arrivals()
        self.arrived = arrived
        self.answered = answered
        listener = try await Listener.start(on: groups.far) { channel in
            if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls.server)) }
        } upgraded: { channel, _ in
            PlainSocket.attach(to: channel, framing, .server, arrived).map { _ in }
        }
        guard let port = listener.localAddress?.port else { throw CoreTables.Problem.sample }
        let target = WebSocketDialer.Target(
            host: "127.0.0.1", port: port, path: PeerRoute.path, subprotocol: PeerRoute.subprotocol)
        near = try await WebSocketDialer(group: groups.near, secure: tls?.secure)
            .connect(to: target) { PlainSocket.attach(to: $0, framing, .client, answered) }
    }

    func send(_ frame: FederationFrame) {
        near.send(frame)
    }

    func close() async throws {
        try await near.close()
        try await listener.close().get()
    }
}

/// What `PeerSocket` and `PeerOutbox` are for a federation channel: any thread puts, the event loop takes.
final class PlainSocket: Sendable {
    private struct State {
        var frames = CircularBuffer<FederationFrame>()
        var isAwake = false
    }

    private let state = Mutex(State())
    private let channel: any Channel
    private let handler: NIOLoopBound<PlainHandler>

    private init(_ channel: any Channel, _ handler: PlainHandler) {
        self.channel = channel
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
    }

    static func attach(
        to channel: any Channel, _ framing: PlainLink.Framing, _ role: WebSocketRole, _ arrived: Arrivals
    ) -> EventLoopFuture<PlainSocket> {
        channel.eventLoop.submit {
            let handlers = channel.pipeline.syncOperations
            var pause: () -> Void = {}
            var resume: () -> Void = {}
            switch framing {
            case .ours:
                let webSocket = WebSocketHandler(
                    .init(role: role, accepts: .binary, maximumMessageBytes: Limits.recordBytes))
                pause = { webSocket.pause() }
                resume = { webSocket.resume() }
                try handlers.addHandler(webSocket)
            case .nio:
                try handlers.addHandlers([
                    WebSocketFrameEncoder(),
                    ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: Limits.recordBytes)),
                    NIOFrames(role),
                ])
            }
            try channel.syncOptions?.setOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
            let resuming = NIOLoopBound(resume, eventLoop: channel.eventLoop)
            let inbox = Inbox<FederationFrame>(high: Limits.inboundFrames) {
                channel.eventLoop.execute { resuming.value() }
            }
            let handler = PlainHandler(inbox: inbox, pause: pause)
            let socket = PlainSocket(channel, handler)
            handler.socket = socket
            try handlers.addHandler(handler)
            Task {
                for await frame in inbox {
                    if case .heartbeat(let heartbeat) = frame { socket.send(.acknowledgement(heartbeat)) }
                    arrived.add()
                }
            }
            return socket
        }
    }

    func send(_ frame: FederationFrame) {
        let wakes = state.withLock { state in
            state.frames.append(frame)
            defer { state.isAwake = true }
            return !state.isAwake
        }
        if wakes { channel.eventLoop.execute { [handler] in handler.value.drain() } }
    }

    fileprivate func awoken() {
        state.withLock { $0.isAwake = false }
    }

    fileprivate func take(_ count: Int) -> [FederationFrame] {
        state.withLock { state in
            let taken = Array(state.frames.prefix(count))
            state.frames.removeFirst(taken.count)
            return taken
        }
    }

    func close() async throws {
        try? await channel.close().get()
    }
}

/// What `PeerChannelHandler` is for a federation channel, without the sealing.
private final class PlainHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketMessage
    typealias OutboundOut = WebSocketMessage

    /// Until the channel is gone.
    var socket: PlainSocket?
    private let inbox: Inbox<FederationFrame>
    private let pause: () -> Void
    private var context: ChannelHandlerContext?
    private var isWriting = false

    init(inbox: Inbox<FederationFrame>, pause: @escaping () -> Void) {
        self.inbox = inbox
        self.pause = pause
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        socket = nil
        inbox.finish()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .binary(let buffer) = unwrapInboundIn(data),
            let frame = try? FrameCodec.decode(Array(buffer.readableBytesView))
        else { return context.close(promise: nil) }
        if inbox.put(frame) { pause() }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        inbox.wake()
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { drain() }
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func drain() {
        guard let context, let socket else { return }
        socket.awoken()
        guard !isWriting else { return }
        isWriting = true
        while context.channel.isWritable {
            guard writeBatch(context, socket) else { break }
            context.flush()
        }
        isWriting = false
    }

    private func writeBatch(_ context: ChannelHandlerContext, _ socket: PlainSocket) -> Bool {
        var isAny = false
        while context.channel.isWritable {
            let frames = socket.take(64)
            guard !frames.isEmpty else { break }
            isAny = true
            for frame in frames {
                guard let bytes = try? FrameCodec.encode(frame) else { continue }
                context.write(wrapOutboundOut(.binary(ByteBuffer(bytes: bytes))), promise: nil)
            }
        }
        return isAny
    }
}

/// Between messages and the frames of NIO's own WebSocket.
private final class NIOFrames: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias InboundOut = WebSocketMessage
    typealias OutboundIn = WebSocketMessage
    typealias OutboundOut = WebSocketFrame

    private let isClient: Bool

    init(_ role: WebSocketRole) {
        isClient = role == .client
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(wrapInboundOut(.binary(unwrapInboundIn(data).unmaskedData)))
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .binary(let bytes) = unwrapOutboundIn(data) else { return }
        let frame = WebSocketFrame(
            fin: true, opcode: .binary, maskKey: isClient ? .random() : nil, data: bytes)
        context.write(wrapOutboundOut(frame), promise: promise)
    }
}
