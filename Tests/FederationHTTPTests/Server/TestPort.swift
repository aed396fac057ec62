import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle

@testable import FederationHTTP

/// A server on a port of its own with three HTTP routes, `/hello`, `/length` and `/large` with 256 MiB, and whatever WebSockets
/// a test wants.
final class TestPort: Sendable {
    let port: Int
    private let metrics: PrometheusRegistry
    private let run: Task<Void, any Error>
    private let group: ServiceGroup

    static func start(
        _ routes: [WebSocketRoute] = [], limits: ListenerLimits = ListenerLimits(), tls: ListenerTLS? = nil
    ) async throws -> TestPort {
        let router = Router()
        router.get("hello") { _, _ in "hello" }
        router.post("length") { request, _ in
            var count = 0
            for try await chunk in request.body { count += chunk.readableBytes }
            return "\(count)"
        }
        router.get("large") { _, _ in
            Response(
                status: .ok,
                body: ResponseBody { writer in
                    let piece = ByteBuffer(repeating: 0x61, count: 1 << 18)
                    for _ in 0..<1_024 { try await writer.write(piece) }
                    try await writer.finish(nil)
                })
        }
        let metrics = PrometheusRegistry()
        let (ports, found) = AsyncStream<Int>.makeStream()
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let application = Application(
            router: router, server: try .upgradable(routes: routes, limits: limits, tls: tls, metrics: metrics),
            configuration: .listener(host: "127.0.0.1", port: 0, limits: limits),
            onServerRunning: { channel in found.yield(channel.localAddress?.port ?? 0) }, logger: logger)
        let group = ServiceGroup(configuration: .init(services: [application], logger: logger))
        let run = Task { try await group.run() }
        var iterator = ports.makeAsyncIterator()
        return TestPort(port: await iterator.next() ?? 0, metrics: metrics, run: run, group: group)
    }

    private init(port: Int, metrics: PrometheusRegistry, run: Task<Void, any Error>, group: ServiceGroup) {
        self.port = port
        self.metrics = metrics
        self.run = run
        self.group = group
    }

    /// How often a bound of the port was reached.
    func limit(_ name: String) throws -> Double {
        try Samples(metrics.text())["aether_http_limits_total{limit=\"\(name)\"}"] ?? 0
    }

    /// Stops as on SIGTERM and waits for the end.
    func stop() async throws {
        await group.triggerGracefulShutdown()
        try await run.value
    }
}

/// A TCP connection for requests that no HTTP library would send.
final class RawConnection: Sendable {
    let channel: any Channel
    private let received: AsyncStream<String>

    /// - Parameter tls: speaks TLS with what the port of ``TestPEM`` has; in clear when nil.
    init(_ port: Int, tls: NIOSSLContext? = nil) async throws {
        let (stream, continuation) = AsyncStream<String>.makeStream()
        received = stream
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: "localhost"))
                    }
                    try channel.pipeline.syncOperations.addHandler(Collector(continuation))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    func send(_ text: String) async throws {
        try await channel.writeAndFlush(ByteBuffer(string: text)).get()
    }

    /// What comes until `text` has come, or the end.
    func read(until text: String) async -> String {
        var all = ""
        for await piece in received {
            all += piece
            if all.contains(text) { break }
        }
        return all
    }

    /// What comes until the server hangs up.
    func readAll() async -> String {
        var all = ""
        for await piece in received { all += piece }
        return all
    }
}

private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let continuation: AsyncStream<String>.Continuation

    init(_ continuation: AsyncStream<String>.Continuation) {
        self.continuation = continuation
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        continuation.yield(String(buffer: unwrapInboundIn(data)))
    }

    func channelInactive(context: ChannelHandlerContext) {
        continuation.finish()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
