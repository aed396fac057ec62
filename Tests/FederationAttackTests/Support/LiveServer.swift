import FederationCore
import FederationCrypto
import FederationHTTP
import FederationModel
import FederationService
import FederationTransport
import FederationWire
import Hummingbird
import HummingbirdCore
import Logging
import MetricsTestKit
import NIOCore
import NIOPosix
import ServiceLifecycle
import TestKit
import Testing

/// A whole server on a port of 127.0.0.1: core, service, transport and the one listener, over memory stores.
final class LiveServer: Sendable {
    let identity: ServerIdentity
    let server: FederationServer
    let host: WatchedHost
    let transport: WebSocketPeerTransport
    let metrics: TestMetrics
    let port: Int
    private let clock: any FederationClock
    private let group: ServiceGroup
    private let run: Task<Void, any Error>

    var id: ServerID { identity.id }

    var endpoint: Endpoint { Endpoint(unchecked: port) }

    /// - Parameters:
    ///   - seed: tells apart two servers that claim one id.
    ///   - clock: of the server; sockets have the machine's.
    ///   - dialClock: of the pauses between dials.
    static func start(
        _ id: String, seed: UInt8 = 1, transport configuration: WebSocketPeerTransport.Configuration = .patient,
        limits: ListenerLimits = .patient, clock: any FederationClock = SystemClock(),
        dialClock: any FederationClock = SystemClock()
    ) async throws -> LiveServer {
        let identity = try identity(id, seed: seed)
        let metrics = TestMetrics()
        let server = try await FederationServer.open(
            identity: identity,
            configuration: NodeConfiguration(name: id, endpoint: Endpoint(unchecked: 1)), store: MemoryStore(),
            assets: MemoryAssetStore(), clock: clock, logger: quiet)
        let host = WatchedHost(server)
        let transport = try WebSocketPeerTransport(
            host: host, configuration: configuration, clock: dialClock, metrics: metrics)
        let route = WebSocketRoute(path: PeerRoute.path, subprotocol: PeerRoute.subprotocol) { channel, head in
            transport.accept(channel, head: head)
        }
        let (ports, bound) = AsyncStream.makeStream(of: Int.self)
        let application = Application(
            router: Router(),
            server: try .upgradable(
                routes: [route, ClientSocket(server: server, metrics: metrics).route], limits: limits, metrics: metrics),
            configuration: .listener(host: "127.0.0.1", port: 0, limits: limits),
            onServerRunning: { channel in bound.yield(channel.localAddress?.port ?? 0) }, logger: quiet)
        let group = ServiceGroup(configuration: .init(services: [application], logger: quiet))
        let run = Task { try await group.run() }
        var iterator = ports.makeAsyncIterator()
        let port = try #require(await iterator.next())
        try await server.start(transport: transport)
        return LiveServer(
            identity: identity, server: server, host: host, transport: transport, metrics: metrics, port: port,
            clock: clock, group: group, run: run)
    }

    private init(
        identity: ServerIdentity, server: FederationServer, host: WatchedHost, transport: WebSocketPeerTransport,
        metrics: TestMetrics, port: Int, clock: any FederationClock, group: ServiceGroup,
        run: Task<Void, any Error>
    ) {
        self.identity = identity
        self.server = server
        self.host = host
        self.transport = transport
        self.metrics = metrics
        self.port = port
        self.clock = clock
        self.group = group
        self.run = run
    }

    func stop() async throws {
        await server.stop()
        await transport.shutdown()
        await group.triggerGracefulShutdown()
        try await run.value
    }

    /// Makes `other` a peer, which is dialled at `port` from now on; a port on which nobody listens when nil. The card's number is
    /// higher than any that the peer will give itself, so that its own card does not lead around a relay.
    func trust(_ other: ServerIdentity, at port: Int? = nil) async throws {
        let now = clock.now().timestamp
        let card = ServerCard(
            id: other.id, name: "a peer", endpoint: Endpoint(unchecked: port ?? 1), publicKey: other.publicKey,
            sequence: 1 << 52, worlds: [], issued: now, expires: now + .seconds(3_600)
        ).issue(by: other)
        _ = try await server.addPeer(card)
    }

    // MARK: Figures

    /// A counter's value; none that was never counted.
    func count(_ label: String, _ dimensions: [(String, String)]) -> Int64 {
        (try? metrics.expectCounter(label, dimensions).totalValue) ?? 0
    }

    /// Channels that this server closed with `code`.
    func closed(_ code: CloseCode) -> Int64 {
        count("aether_peer_closes_total", [("by", "us"), ("code", "\(code)")])
    }

    /// Channels that a peer closed with `code`.
    func wasClosed(_ code: CloseCode) -> Int64 {
        count("aether_peer_closes_total", [("by", "peer"), ("code", "\(code)")])
    }

    func peerLimit(_ name: String) -> Int64 { count("aether_peer_limits_total", [("limit", name)]) }

    func portLimit(_ name: String) -> Int64 { count("aether_http_limits_total", [("limit", name)]) }

    // MARK: Samples

    static func identity(_ id: String, seed: UInt8 = 1) throws -> ServerIdentity {
        try ServerIdentity(
            id: try #require(ServerID(id)), seed: ContentHash.of(Array(id.utf8) + [seed]).bytes)
    }

    static let quiet = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
}

extension Endpoint {
    /// A port of this machine.
    init(unchecked port: Int) {
        guard let endpoint = Endpoint("ws://127.0.0.1:\(port)") else { preconditionFailure("\(port) is no port") }
        self = endpoint
    }
}

extension WebSocketPeerTransport.Configuration {
    /// The defaults, where time that passes may be the machine's fault.
    static var patient: Self {
        var configuration = Self()
        configuration.connectTimeout *= patience
        configuration.upgradeTimeout *= patience
        configuration.handshakeTimeout *= patience
        return configuration
    }

    /// No time-out of a socket runs out before the test's own deadline: what happens, happens for another reason.
    static var unhurried: Self {
        let ever = Duration.seconds(3_600)
        var configuration = Self()
        configuration.connectTimeout = ever
        configuration.upgradeTimeout = ever
        configuration.handshakeTimeout = ever
        configuration.idleTimeout = ever
        return configuration
    }
}

extension ListenerLimits {
    /// The defaults, where time that passes may be the machine's fault.
    static var patient: Self {
        var limits = Self()
        limits.firstRequestTimeout = limits.firstRequestTimeout * patience
        return limits
    }

    /// Nobody is given up for being slow before the test's own deadline.
    static var unhurried: Self {
        var limits = Self()
        limits.firstRequestTimeout = .hours(1)
        return limits
    }
}

/// Waits until `condition` holds; the suite's time limit is the deadline. It looks again at an event loop's leisure:
/// looking all the time would take the processor from what is waited for.
func eventually(_ condition: () async -> Bool) async {
    let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
    while !Task.isCancelled, await !condition() {
        try? await eventLoop.scheduleTask(in: .milliseconds(2)) {}.futureResult.get()
    }
}

func heartbeat(_ sequence: UInt64) -> FederationFrame {
    .heartbeat(.init(sequence: sequence, sentAt: Timestamp(seconds: 1)))
}
