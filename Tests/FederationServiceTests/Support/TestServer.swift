import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import Logging
import ServiceTestKit
import Synchronization
import TestKit
import Testing

/// A whole server over memory stores, whose clock a test moves.
struct TestServer: Sendable {
    /// Long enough that a test that moves the clock for another reason does not end a crossing by it.
    static let acceptTimeout: Duration = .seconds(30)

    let server: FederationServer
    let identity: ServerIdentity
    let store: MemoryStore
    let assets: MemoryAssetStore
    let clock: ManualClock
    let transport: RecordingTransport
    let keys: KeyRing

    var id: ServerID { server.id }

    /// A server that has started, with a card.
    static func start(
        _ name: String, seed: UInt8 = 1, store: MemoryStore = MemoryStore(),
        assets: MemoryAssetStore = MemoryAssetStore(),
        clock: ManualClock = ManualClock(), held: (MemoryAssetStore) -> any AssetStore = { $0 }
    ) async throws -> TestServer {
        let server = try await open(name, seed: seed, store: store, assets: assets, clock: clock, held: held)
        try await server.server.start(transport: server.transport, keys: server.keys)
        return server
    }

    static func open(
        _ name: String, seed: UInt8 = 1, store: MemoryStore = MemoryStore(),
        assets: MemoryAssetStore = MemoryAssetStore(),
        clock: ManualClock = ManualClock(), held: (MemoryAssetStore) -> any AssetStore = { $0 },
        configure: (inout NodeConfiguration) -> Void = { _ in }
    ) async throws -> TestServer {
        let keys = KeyRing(id: try #require(ServerID(name)), seed: seed, store: store)
        let identity = try keys.key(0)
        var configuration = NodeConfiguration(
            name: "The \(name) server", endpoint: try #require(Endpoint("ws://\(name).example")),
            handshake: HandshakeConfiguration(suites: [.classicalAES256GCM]), acceptTimeout: acceptTimeout)
        configuration.commitment = try keys.commitment()
        configure(&configuration)
        let server = try await FederationServer.open(
            identity: identity, configuration: configuration,
            store: store, assets: held(assets), clock: clock, entropy: SeededEntropy(seed: UInt64(seed)),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        return TestServer(
            server: server, identity: identity, store: store, assets: assets, clock: clock,
            transport: RecordingTransport(), keys: keys)
    }

    /// Publishes a world that consists of these files.
    @discardableResult
    func publish(_ world: String, _ files: [String: [UInt8]] = ["scene.json": Array("{}".utf8)]) async throws
        -> WorldManifest
    {
        var entries: [AssetEntry] = []
        for (path, bytes) in files {
            entries.append(try Self.entry(path, await assets.add(bytes), bytes.count))
        }
        return try await publish(world, entries)
    }

    /// Publishes a manifest as it is, whatever the store holds.
    @discardableResult
    func publish(_ world: String, _ entries: [AssetEntry]) async throws -> WorldManifest {
        let manifest = try WorldManifest(
            world: try #require(WorldID(world)), name: "The \(world)", entries: entries)
        _ = try await server.addWorld(manifest)
        return manifest
    }

    static func entry(_ path: String, _ hash: ContentHash, _ size: Int) throws -> AssetEntry {
        try #require(
            AssetEntry(path: path, hash: hash, size: Int64(size), mediaType: "application/octet-stream"))
    }

    /// A player of this server.
    func player(_ name: String = "ada") throws -> PlayerID {
        PlayerID(name: try #require(PlayerName(name)), home: id)
    }

    @discardableResult
    func enter(
        _ name: String = "ada", world: String = "home", state: String = "a lamp", clientKey: PublicKey? = nil
    ) async throws -> PlayerRecord {
        try await server.enter(
            try player(name), world: try #require(WorldID(world)), state: Array(state.utf8), clientKey: clientKey,
            epoch: nil)
    }

    func route(_ portal: String = "gate", to destination: TestServer, world: String) async throws {
        _ = try await server.addRoute(
            try #require(PortalID(portal)), to: destination.id, world: try #require(WorldID(world)), spawn: nil,
            isActive: true)
    }

    /// - Parameter epoch: needed once the player has travelled.
    func travel(
        _ name: String = "ada", epoch: Epoch? = nil, through portal: String = "gate"
    ) async throws -> Crossing {
        try await server.travel(try player(name), epoch: epoch, through: try #require(PortalID(portal)))
    }
}

/// Two servers that trust each other, a channel, a world and a portal on each, and a player at the first.
struct TestPair: Sendable {
    let alpha: TestServer
    let beta: TestServer
    let link: Link
    let ada: PlayerID

    /// - Parameters:
    ///   - files: of beta's world.
    ///   - lead: by how much alpha's clocks, then others than beta's, are ahead of beta's; nil for one clock.
    static func make(
        files: [String: [UInt8]] = ["scene.json": Array("{}".utf8)], connected: Bool = true, remote: String = "link",
        lead: Duration? = nil, held: (MemoryAssetStore) -> any AssetStore = { $0 }
    ) async throws -> TestPair {
        let clock = ManualClock()
        let leading = lead == nil ? clock : ManualClock(ahead: lead ?? .zero)
        let alpha = try await TestServer.start("alpha", seed: 1, clock: leading)
        let beta = try await TestServer.start("beta", seed: 2, clock: clock, held: held)
        try await alpha.publish("home")
        try await beta.publish("forest", files)
        let link = try await Link.connect(alpha.server, beta.server, remote: remote)
        try await alpha.route(to: beta, world: "forest")
        try await beta.route(to: alpha, world: "home")
        try await alpha.enter()
        return TestPair(alpha: alpha, beta: beta, link: link, ada: try alpha.player())
    }

    /// Walks the player over and waits until the source knows that they have arrived.
    @discardableResult
    func cross() async throws -> Crossing {
        let updates = try await alpha.server.updates(of: ada)
        let crossing = try await alpha.travel()
        try await updates.until(.completed)
        return crossing
    }
}

/// Entropy that is the same in every run.
final class SeededEntropy: EntropySource {
    private let generator: Mutex<SeededGenerator>

    init(seed: UInt64) {
        generator = Mutex(SeededGenerator(seed: seed))
    }

    func bytes(_ count: Int) -> [UInt8] {
        generator.withLock { $0.bytes(count) }
    }
}

/// Remembers whom it was to dial.
final class RecordingTransport: PeerTransport {
    private let state = Mutex<[String]>([])

    var calls: [String] { state.withLock { $0 } }

    func dial(_ peer: ServerID, at endpoints: [Endpoint]) async {
        state.withLock { $0.append("dial \(peer)") }
    }

    func hangUp(_ peer: ServerID) async {
        state.withLock { $0.append("hang up \(peer)") }
    }

    func dialState(of peer: ServerID) async -> DialState? { nil }

    func dialNow(_ peer: ServerID) async {}
}

/// What a player's client is told, without its details.
enum UpdateKind: String, Sendable {
    case progress, verifying, offered, redirect, returned, completed, admitted, withdrawn, voided, gone, revoked
}

extension PlayerUpdate {
    var kind: UpdateKind {
        switch self {
        case .progress: .progress
        case .verifying: .verifying
        case .offered: .offered
        case .redirect: .redirect
        case .returned: .returned
        case .completed: .completed
        case .admitted: .admitted
        case .withdrawn: .withdrawn
        case .voided: .voided
        case .gone: .gone
        case .revoked: .revoked
        }
    }

    var refusal: Refusal? {
        switch self {
        case .returned(_, let refusal), .voided(_, let refusal): refusal
        case .progress, .verifying, .offered, .redirect, .completed, .admitted, .withdrawn, .gone, .revoked: nil
        }
    }

    var redirect: Crossing.Redirect? {
        if case .redirect(_, let redirect) = self { redirect } else { nil }
    }
}

extension AsyncStream<PlayerUpdate> {
    /// Everything up to the first update of a kind. The suite's time limit ends a wait for one that never comes.
    @discardableResult
    func until(_ kind: UpdateKind) async throws -> [PlayerUpdate] {
        var seen: [PlayerUpdate] = []
        for await update in self {
            seen.append(update)
            if update.kind == kind { return seen }
        }
        Issue.record("the updates ended after \(seen.map(\.kind)) without \(kind)")
        throw CancellationError()
    }
}

/// The code of the refusal that `body` throws; nil when it throws none.
func refusal(_ body: () async throws -> Void) async -> String? {
    do {
        try await body()
        return nil
    } catch let refusal as Refusal {
        return refusal.code
    } catch {
        return "\(error)"
    }
}

/// Lets other tasks go on until something has become true. The suite's time limit ends a wait that is in vain.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() {
        try Task.checkCancellation()
        await Task.yield()
    }
}
