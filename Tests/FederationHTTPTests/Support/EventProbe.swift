import FederationCrypto
import NIOCore
import NIOPosix
import Testing

/// A world server that follows its world over a socket of its own.
final class EventProbe {
    struct Event: Sendable {
        /// Empty for a comment.
        let name: String
        let data: JSONValue
    }

    private let channel: any Channel
    private var parts: AsyncStream<ByteBuffer>.Iterator
    private var received: [UInt8] = []
    /// The status line and the header fields.
    private(set) var head = ""

    /// Asks for a world's events, and takes the head of the answer.
    static func follow(_ world: String, on server: TestServer, query: String = "") async throws -> EventProbe {
        let (parts, sink) = AsyncStream.makeStream(of: ByteBuffer.self)
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Collector(sink))
                }
            }
            .connect(host: "127.0.0.1", port: server.port).get()
        let request =
            "GET /v1/worlds/\(world)/events\(query) HTTP/1.1\r\nHost: test\r\n"
            + "Authorization: Bearer \(TestServer.adminKey)\r\n\r\n"
        try await channel.writeAndFlush(ByteBuffer(string: request))
        let probe = EventProbe(channel, parts)
        guard let head = await probe.line(until: "\r\n\r\n") else { throw CancellationError() }
        probe.head = head
        return probe
    }

    private init(_ channel: any Channel, _ parts: AsyncStream<ByteBuffer>) {
        self.channel = channel
        self.parts = parts.makeAsyncIterator()
    }

    /// The next event or comment; nil when the server has ended the stream. Each comes in a chunk of its own.
    func next() async throws -> Event? {
        guard let size = await line(until: "\r\n").flatMap({ Int($0, radix: 16) }), size > 0 else { return nil }
        let block = try #require(await take(size + 2)).dropLast(2)
        var name = ""
        var data = JSONValue.null
        for line in String(decoding: block, as: UTF8.self).split(separator: "\n") where !line.hasPrefix(":") {
            let parts = line.split(separator: ":", maxSplits: 1)
            let value = String(parts[1].dropFirst())
            if parts[0] == "event" { name = value } else { data = try JSONValue.parse(value) }
        }
        return Event(name: name, data: data)
    }

    /// The next event of a name; what comes before is dropped.
    func next(_ name: String) async throws -> JSONValue {
        while let event = try await next() {
            if event.name == name { return event.data }
        }
        Issue.record("the stream ended without \(name)")
        throw CancellationError()
    }

    /// Hangs up, as a process that dies does.
    func hangUp() async throws { try await channel.close() }

    private func line(until end: String) async -> String? {
        while true {
            if let found = received.firstRange(of: Array(end.utf8)) {
                defer { received.removeSubrange(..<found.upperBound) }
                return String(decoding: received[..<found.lowerBound], as: UTF8.self)
            }
            guard await more() else { return nil }
        }
    }

    private func take(_ count: Int) async -> [UInt8]? {
        while received.count < count {
            guard await more() else { return nil }
        }
        defer { received.removeFirst(count) }
        return Array(received[..<count])
    }

    private func more() async -> Bool {
        guard let part = await parts.next() else { return false }
        received += part.readableBytesView
        return true
    }

    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer

        private let sink: AsyncStream<ByteBuffer>.Continuation

        init(_ sink: AsyncStream<ByteBuffer>.Continuation) {
            self.sink = sink
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { sink.yield(unwrapInboundIn(data)) }

        func channelInactive(context: ChannelHandlerContext) { sink.finish() }
    }
}
