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
            }
        }
    }

    @Test(
        "it ends the connection after the timeout and is counted, unless an answer is owed",
        arguments: [
            ([], true), ([.head], true), ([.head, .body, .body], true), ([.head, .end], false),
            ([.head, .end, .answer], true), ([.head, .end, .head, .end, .answer], false),
            ([.head, .end, .head, .body, .answer], true), ([.head, .end, .head, .end, .answer, .answer], true),
        ] as [([Step], Bool)])
    func silence(steps: [Step], isClosed: Bool) throws {
        let registry = PrometheusRegistry()
        let channel = EmbeddedChannel(
            handler: IdleHandler(timeout: .seconds(60), metrics: PortMetrics(factory: registry)))
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
}
