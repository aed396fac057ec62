import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// Connections that each send one request after the other, all on an event loop of their own, whose processor time is
/// known: it is no part of what the server costs.
final class HTTPClients: Sendable {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let connections: [NIOLoopBound<Connection>]

    init(port: Int, connections count: Int) async throws {
        var connections: [NIOLoopBound<Connection>] = []
        for _ in 0..<count {
            connections.append(
                try await ClientBootstrap(group: group)
                    .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .connect(host: "127.0.0.1", port: port) { channel in
                        channel.eventLoop.makeCompletedFuture {
                            let connection = Connection()
                            try channel.pipeline.syncOperations.addHandler(connection)
                            return NIOLoopBound(connection, eventLoop: channel.eventLoop)
                        }
                    })
        }
        self.connections = connections
    }

    /// Nanoseconds that the clients have spent of a processor.
    func processorTime() async throws -> Double {
        try await group.next().submit {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
        }.get()
    }

    /// Sends every request and waits for the answers; each must have the status.
    func send(_ requests: [ByteBuffer], expecting status: Int) async throws {
        let work = Work(requests)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for connection in connections {
                group.addTask { [self] in
                    try await self.group.next().flatSubmit { connection.value.run(work, status) }.get()
                }
            }
            try await group.waitForAll()
        }
    }

    fileprivate final class Work: Sendable {
        private let requests: [ByteBuffer]
        private let next = Atomic(0)

        init(_ requests: [ByteBuffer]) {
            self.requests = requests
        }

        func take() -> ByteBuffer? {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            return index < requests.count ? requests[index] : nil
        }
    }
}

/// One connection. It knows as much of HTTP/1.1 as answers with a Content-Length need.
private final class Connection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private var context: ChannelHandlerContext?
    private var received = ByteBuffer()
    private var work: HTTPClients.Work?
    private var status = 0
    private var done: EventLoopPromise<Void>?

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        finish(Failure(description: "the server hung up"))
    }

    func run(_ work: HTTPClients.Work, _ status: Int) -> EventLoopFuture<Void> {
        guard let context else { preconditionFailure("connect first") }
        let promise = context.eventLoop.makePromise(of: Void.self)
        done = promise
        self.work = work
        self.status = status
        sendNext(context)
        return promise.futureResult
    }

    private func sendNext(_ context: ChannelHandlerContext) {
        guard let request = work?.take() else { return finish(nil) }
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    private func finish(_ failure: Failure?) {
        if let failure { done?.fail(failure) } else { done?.succeed(()) }
        done = nil
        work = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        guard let end = received.readableBytesView.firstRange(of: Array("\r\n\r\n".utf8)) else { return }
        let head = String(decoding: received.readableBytesView[..<end.lowerBound], as: UTF8.self)
        let lines = head.split(separator: "\r\n")
        let length = lines.lazy.compactMap { line -> Int? in
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "content-length" else { return nil }
            return Int(parts[1].trimmingCharacters(in: .whitespaces))
        }.first
        let total = end.upperBound - received.readerIndex + (length ?? 0)
        guard received.readableBytes >= total else { return }
        guard head.dropFirst(9).prefix(3) == "\(status)" else {
            let body = received.readString(length: received.readableBytes) ?? ""
            return finish(Failure(description: "\(status) was due: \(body.prefix(600))"))
        }
        received.clear()
        sendNext(context)
    }
}
