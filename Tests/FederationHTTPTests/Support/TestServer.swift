import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import FederationWebSocket
import Foundation
import Hummingbird
import Logging
import NIOCore
import ServiceTestKit
import Testing

@testable import FederationHTTP

/// A whole server on a port of its own, over memory stores.
struct TestServer: Sendable {
    let server: FederationServer
    let identity: ServerIdentity
    let store: MemoryStore
    let assets: MemoryAssetStore
    let metrics: PrometheusRegistry
    let clock: ManualClock
    let port: Int

    static let adminKey = "correct-horse-battery-staple"

    var id: ServerID { server.id }

    /// Runs `body` with a server that stops afterwards.
    static func run<Result: Sendable>(
        _ id: String = "alpha", clock: ManualClock = ManualClock(),
        metricsAccess: FederationRoutes.MetricsAccess = .loopback,
        registryAccess: FederationRoutes.RegistryAccess = .admin, cards: (any CardSource)? = nil,
        store: MemoryStore = MemoryStore(),
        configure: (inout NodeConfiguration) -> Void = { _ in },
        held: (MemoryAssetStore) -> any AssetStore = { $0 },
        client: (WebSocketRoute) -> WebSocketRoute = { $0 }, bounds: (inout WebSocketConfiguration) -> Void = { _ in },
        logger: Logger = quiet,
        transport: any PeerTransport = NoTransport(), _ body: @escaping @Sendable (TestServer) async throws -> Result
    ) async throws -> Result {
        let identity = try identity(id)
        let assets = MemoryAssetStore()
        let metrics = PrometheusRegistry()
        let (ports, bound) = AsyncStream.makeStream(of: Int.self)
        var configuration = NodeConfiguration(
            name: "The \(id) server", endpoint: try #require(Endpoint("ws://127.0.0.1:7700")),
            acceptTimeout: .seconds(30), servesRegistry: registryAccess == .signed)
        configure(&configuration)
        let server = try await FederationServer.open(
            identity: identity, configuration: configuration, store: store, assets: held(assets), clock: clock,
            logger: logger)
        let routes = FederationRoutes(
            server: server, admin: AdminAuthenticator(keyHash: AdminAuthenticator.hash(of: adminKey)), metrics: metrics,
            metricsAccess: metricsAccess, registryAccess: registryAccess, clock: clock)
        var socket = ClientSocket(server: server, clock: clock, metrics: metrics)
        bounds(&socket.bounds)
        let application = Application(
            router: routes.makeRouter(),
            server: try .upgradable(routes: [client(socket.route)], metrics: metrics),
            configuration: .listener(host: "127.0.0.1", port: 0),
            onServerRunning: { channel in bound.yield(channel.localAddress?.port ?? 0) }, logger: logger)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            defer { group.cancelAll() }
            var iterator = ports.makeAsyncIterator()
            let port = try #require(await iterator.next())
            try await server.start(transport: transport, cards: cards)
            let result = try await body(
                TestServer(
                    server: server, identity: identity, store: store, assets: assets, metrics: metrics, clock: clock,
                    port: port))
            await server.stop()
            return result
        }
    }

    static func identity(_ id: String) throws -> ServerIdentity {
        let seed = ContentHash.of(Array(id.utf8)).bytes
        return try ServerIdentity(id: try #require(ServerID(id)), seed: seed)
    }

    /// The signed card of a server that does not run.
    func card(of id: String, sequence: UInt64 = 1, port: Int = 7_800) throws -> String {
        let identity = try Self.identity(id)
        return ServerCard(
            id: identity.id, name: "The \(id) server", endpoint: try #require(Endpoint("ws://127.0.0.1:\(port)")),
            publicKey: identity.publicKey, sequence: sequence, worlds: [], issued: clock.now().timestamp,
            expires: clock.now().timestamp + .seconds(3_600)
        ).issue(by: identity)
    }

    static let quiet = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    // MARK: Requests

    /// Who asks.
    enum Caller: Hashable, Sendable, CaseIterable {
        case stranger
        case guesser
        case admin

        var headers: [String: String] {
            switch self {
            case .stranger: [:]
            case .guesser: ["Authorization": "Bearer wrong"]
            case .admin: ["Authorization": "Bearer \(TestServer.adminKey)"]
            }
        }
    }

    @discardableResult
    func request(
        _ method: String, _ path: String, as caller: Caller = .admin, _ headers: [String: String] = [:],
        body: [UInt8]? = nil
    ) async throws -> Answer {
        try await send(
            RawRequest(
                method: method, path: path, headers: caller.headers.merging(headers) { _, own in own }, body: body))
    }

    @discardableResult
    func request(
        _ method: String, _ path: String, as caller: Caller = .admin, json: String
    ) async throws -> Answer {
        try await request(method, path, as: caller, ["Content-Type": "application/json"], body: Array(json.utf8))
    }

    @discardableResult
    func request(
        _ method: String, _ path: String, as caller: Caller = .admin, jws: String
    ) async throws -> Answer {
        try await request(method, path, as: caller, ["Content-Type": "application/jose"], body: Array(jws.utf8))
    }

    func send(_ request: RawRequest) async throws -> Answer {
        try await Answer(exchange(request.bytes, closing: false), to: request.method)
    }

    /// Sends bytes as they are and returns everything that comes until the server hangs up.
    func exchange(_ bytes: [UInt8], closing: Bool) async throws -> [UInt8] {
        try await RawSocket.exchange(bytes, port: port, closing: closing)
    }

    /// How often a bound of the port was reached.
    func limit(_ name: String) throws -> Double {
        try Samples(metrics.text())["aether_http_limits_total{limit=\"\(name)\"}"] ?? 0
    }

    // MARK: Worlds

    /// Publishes a world with two files.
    @discardableResult
    func publish(_ world: String = "harbour") async throws -> WorldManifest {
        let files = [
            "scene.json": Array("{\"name\":\"\(world)\"}".utf8), "sea.bin": [UInt8](repeating: 7, count: 100_000),
        ]
        var entries: [AssetEntry] = []
        for (path, bytes) in files.sorted(by: { $0.key < $1.key }) {
            let hash = await assets.add(bytes)
            entries.append(
                try #require(
                    AssetEntry(
                        path: path, hash: hash, size: Int64(bytes.count), mediaType: "application/octet-stream")))
        }
        let manifest = try WorldManifest(
            world: try #require(WorldID(world)), name: "The \(world)", entries: entries)
        _ = try await server.addWorld(manifest)
        return manifest
    }

    /// Enters a player at home and returns their ticket.
    @discardableResult
    func enter(_ player: String, world: String = "harbour", state: String = "a lamp and 3 coins") async throws -> String
    {
        let answer = try await request(
            "PUT", "/v1/worlds/\(world)/players/\(player)", ["Content-Type": "application/octet-stream"],
            body: Array(state.utf8))
        try #require(answer.status == 201, "\(answer)")
        return try #require(answer.json["ticket"]?.text)
    }
}

/// Reaches nobody.
struct NoTransport: PeerTransport {
    func dial(_ peer: ServerID, at endpoints: [Endpoint]) async {}

    func hangUp(_ peer: ServerID) async {}

    func dialState(of peer: ServerID) async -> DialState? { nil }

    func dialNow(_ peer: ServerID) async {}
}
