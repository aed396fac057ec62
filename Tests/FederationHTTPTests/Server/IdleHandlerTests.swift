import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import FederationHTTP

@Suite("Silence on an HTTP connection") struct IdleHandlerTests {
    enum Step: Sendable {
        case head
        case body
        case end
        case answer
        /// An answer is written, and the socket has yet to take it.
        case write
        case taken

        func take(on channel: EmbeddedChannel) throws {
            switch self {
            case .head:
                let head = HTTPRequestHead(version: .http1_1, method: .POST, uri: "/")
                try channel.writeInbound(HTTPServerRequestPart.head(head))
            case .body:
                try channel.writeInbound(HTTPServerRequestPart.body(ByteBuffer(bytes: [1])))
            case .end:
                try channel.writeInbound(HTTPServerRequestPart.end(nil))
            case .answer:
                let head = HTTPResponseHead(version: .http1_1, status: .ok)
                try channel.writeOutbound(HTTPServerResponsePart.head(head))
                try channel.writeOutbound(HTTPServerResponsePart.end(nil))
            case .write:
                let head = HTTPResponseHead(version: .http1_1, status: .ok)
                channel.write(HTTPServerResponsePart.head(head), promise: nil)
                channel.write(HTTPServerResponsePart.end(nil), promise: nil)
            case .taken:
                channel.flush()
            }
        }
    }

    /// Would fail if an answer were given as soon as it is written, or if one that was taken were owed for ever.
    @Test(
        "it ends the connection after the timeout and is counted, unless an answer is owed",
        arguments: [
            ([], true), ([.head], true), ([.head, .body, .body], true), ([.head, .end], false),
            ([.head, .end, .answer], true), ([.head, .end, .head, .end, .answer], false),
            ([.head, .end, .head, .body, .answer], true), ([.head, .end, .head, .end, .answer, .answer], true),
            ([.head, .end, .write], false), ([.head, .end, .write, .taken], true),
        ] as [([Step], Bool)])
    func silence(steps: [Step], isClosed: Bool) throws {
        let registry = PrometheusRegistry()
        let channel = EmbeddedChannel(
            handler: IdleHandler(ListenerLimits(), metrics: PortMetrics(factory: registry)))
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        func look(_ isOpen: Bool) throws {
            let counted = try Samples(registry.text())["aether_http_limits_total{limit=\"idle_time\"}"]
            #expect(channel.isActive == isOpen && counted == (isOpen ? nil : 1))
        }
        for step in steps {
            // Each of these, a moment before the time is up, begins it anew.
            channel.embeddedEventLoop.advanceTime(by: .seconds(59))
            try step.take(on: channel)
        }
        channel.embeddedEventLoop.advanceTime(by: .seconds(59))
        try look(true)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        try look(!isClosed)
        channel.embeddedEventLoop.advanceTime(by: .seconds(3_600))
        try look(!isClosed)
        _ = try channel.finish(acceptAlreadyClosed: true)
    }

    /// Would fail if each byte of a body gave it another minute for ever, if what has come bought no time, or if a body that
    /// has ended counted on.
    @Test(
        "a body that comes byte by byte ends the connection and is counted; one that comes fast enough, or ends, does not",
        arguments: [(1, 299, false), (1, 300, true), (51_200, 2_999, false), (0, 3_600, false)])
    func body(bytesEachSecond: Int, seconds: Int, isClosed: Bool) throws {
        let registry = PrometheusRegistry()
        let channel = EmbeddedChannel(
            handler: IdleHandler(ListenerLimits(), metrics: PortMetrics(factory: registry)))
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        try Step.head.take(on: channel)
        // Without any the request ends at once, and its answer is owed for as long as it takes.
        if bytesEachSecond == 0 { try Step.end.take(on: channel) }
        for _ in 0..<seconds {
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            guard channel.isActive, bytesEachSecond > 0 else { continue }
            try channel.writeInbound(
                HTTPServerRequestPart.body(ByteBuffer(repeating: 1, count: bytesEachSecond)))
        }
        let counted = try Samples(registry.text())["aether_http_limits_total{limit=\"body_time\"}"]
        #expect(channel.isActive == !isClosed && counted == (isClosed ? 1 : nil))
        _ = try channel.finish(acceptAlreadyClosed: true)
    }
}
