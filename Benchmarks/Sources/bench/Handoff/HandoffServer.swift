import FederationCore
import FederationCrypto
import FederationModel
import FederationSQLite
import FederationService
import FederationTransport
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// One of the two servers of a crossing, in a process of its own: composed as `aether serve` composes it, without HTTP.
struct HandoffServer {
    static let portal = PortalID(unchecked: "gate")
    static let home = WorldID(unchecked: "quay")
    static let abroad = WorldID(unchecked: "harbour")
    private static let stateBytes = 1_024
    /// Players who enter at one time, so that they share transactions.
    private static let enteringAtOnce = 128

    private let server: FederationServer
    private let store: SQLiteStore
    private let recorder: RecordingStore?
    private let transport: WebSocketPeerTransport
    private let listener: any Channel

    /// Serves until its input ends.
    static func serve(id: String, directory: String, acceptMilliseconds: Int, records: Bool) async throws {
        let server = try await HandoffServer(
            id: id, directory: directory, acceptTimeout: .milliseconds(acceptMilliseconds), records: records)
        await Commands.answer { try await server.answer($0) }
        try await server.close()
        Commands.sayEnded()
    }

    private init(id: String, directory path: String, acceptTimeout: Duration, records: Bool) async throws {
        let accepting = LateTransport()
        listener = try await Listener.start(on: MultiThreadedEventLoopGroup.singleton) { channel, head in
            accepting.accept(channel, head: head)
        }
        let directory = try DataDirectory(at: path)
        let store = try await SQLiteStore.open(in: directory)
        let recorder = records ? RecordingStore(store) : nil
        let stored: any FederationStore = recorder ?? store
        var configuration = NodeConfiguration(
            name: id, endpoint: try Listener.endpoint(listener), acceptTimeout: acceptTimeout)
        configuration.network = .allBut([])
        let seed = Array(repeating: UInt8(id.utf8.reduce(0) { $0 &+ $1 }), count: ServerIdentity.seedBytes)
        server = try await FederationServer.open(
            identity: try ServerIdentity(id: ServerID(unchecked: id), seed: seed), configuration: configuration,
            store: stored, assets: try await FileAssetStore.open(in: directory),
            logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() }))
        transport = try WebSocketPeerTransport(host: server)
        accepting.set(transport)
        self.store = store
        self.recorder = recorder
        try await server.start(transport: transport)
    }

    private func close() async throws {
        await server.stop()
        await transport.shutdown()
        try await listener.close().get()
        try await store.close()
    }

    // MARK: Commands

    private func answer(_ words: [String]) async throws -> String {
        func number(_ place: Int) throws -> Int {
            guard place < words.count, let number = Int(words[place]) else { throw CoreTables.Problem.sample }
            return number
        }
        switch words[0] {
        case "card":
            guard let card = await server.card() else { throw CoreTables.Problem.sample }
            return card.compact
        case "peer":
            return "\(try await server.addPeer(words[1]).id)"
        case "world":
            return try await addWorld(WorldID(unchecked: words[1]), bytes: try number(2), seed: UInt64(try number(3)))
        case "route":
            let portal = PortalID(unchecked: words[1])
            _ = try await server.addRoute(
                portal, to: ServerID(unchecked: words[2]), world: WorldID(unchecked: words[3]), spawn: nil,
                isActive: true)
            return try await awaitRoute(portal)
        case "players":
            return try await enter(try number(1)..<(try number(2)))
        case "cross":
            return try Commands.json(await cross(try number(1)..<(try number(2)), atOnce: try number(3)))
        case "fetch":
            return try await fetch(player(try number(1)), PortalID(unchecked: words[2]))
        case "processor":
            return "\(CPUTime.now)"
        case "roundTrip":
            return "\(try await server.peer(ServerID(unchecked: words[1])).roundTripMicroseconds ?? 0)"
        case "record":
            await recorder?.begin()
            return "recording"
        case "steps":
            return "\(try await recorder?.write(to: words[1]) ?? 0)"
        default:
            throw Child.Failure(description: "no such command")
        }
    }

    private func addWorld(_ world: WorldID, bytes: Int, seed: UInt64) async throws -> String {
        let listing = try await server.assets.addRandom(bytes: bytes, seed: seed)
        let entry = AssetEntry(path: "scene.txt", hash: listing.hash, size: listing.size, mediaType: "text/plain")
        guard let entry else { throw CoreTables.Problem.sample }
        let manifest = try WorldManifest(world: world, name: "\(world)", entries: [entry])
        return "\(try await server.addWorld(manifest).manifest)"
    }

    /// Waits until the portal leads somewhere: until the peer is connected, and answers.
    private func awaitRoute(_ portal: PortalID) async throws -> String {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(60)
        while clock.now < deadline {
            if (try? await server.destination(of: portal)) != nil { return "open" }
            try await Task.sleep(for: .milliseconds(20))
        }
        // Once more, for the reason.
        _ = try await server.destination(of: portal)
        return "open"
    }

    // MARK: Players

    private func player(_ number: Int) -> PlayerID {
        PlayerID(name: PlayerName(unchecked: "player-\(1_000_000 + number)"), home: server.id)
    }

    private func enter(_ numbers: Range<Int>) async throws -> String {
        let step = Self.enteringAtOnce
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<step {
                group.addTask {
                    for number in stride(from: numbers.lowerBound + worker, to: numbers.upperBound, by: step) {
                        var random = SplitMix(seed: UInt64(number))
                        _ = try await server.enter(
                            player(number), world: Self.home, state: random.bytes(Self.stateBytes), clientKey: nil,
                            epoch: nil)
                    }
                }
            }
            try await group.waitForAll()
        }
        return "\(numbers.count)"
    }

    /// Sends players through the portal, so many at one time, each as soon as there is room for them.
    private func cross(_ numbers: Range<Int>, atOnce: Int) async -> CrossingTimes {
        await withTaskGroup(of: CrossingTimes.self) { group in
            for worker in 0..<atOnce {
                group.addTask {
                    var times = CrossingTimes()
                    for number in stride(from: numbers.lowerBound + worker, to: numbers.upperBound, by: atOnce) {
                        await cross(player(number), &times)
                    }
                    return times
                }
            }
            var all = CrossingTimes()
            for await times in group { all += times }
            return all
        }
    }

    private func cross(_ player: PlayerID, _ times: inout CrossingTimes) async {
        let clock = ContinuousClock()
        do throws(Refusal) {
            let updates = try await server.updates(of: player)
            let start = clock.now
            _ = try await server.travel(player, epoch: nil, through: Self.portal)
            for await update in updates {
                if case .redirect = update { times.redirects.append((clock.now - start).clampedNanoseconds) }
                if case .returned(_, let refusal) = update { throw refusal }
                if case .completed = update {
                    times.crossings.append((clock.now - start).clampedNanoseconds)
                    return
                }
            }
            times.returned["ended", default: 0] += 1
        } catch {
            times.returned[error.code, default: 0] += 1
        }
    }
}

// MARK: - Assets

extension HandoffServer {
    /// Sends a player through a portal until the world behind it is verified.
    private func fetch(_ player: PlayerID, _ portal: PortalID) async throws -> String {
        let updates = try await server.updates(of: player)
        _ = try await server.travel(player, epoch: nil, through: portal)
        for await update in updates {
            if case .progress(_, let step) = update, step.step == .verification, step.ok { return step.detail }
            if case .returned(_, let refusal) = update { throw refusal }
        }
        throw Child.Failure(description: "the crossing was not followed to its end")
    }
}

/// The port is bound before the transport is made, because the server's configuration says where it is reached.
private final class LateTransport: Sendable {
    private let transport = Mutex<WebSocketPeerTransport?>(nil)

    func set(_ transport: WebSocketPeerTransport) {
        self.transport.withLock { $0 = transport }
    }

    func accept(_ channel: any Channel, head: HTTPRequestHead) -> EventLoopFuture<Void> {
        guard let transport = transport.withLock({ $0 }) else { return channel.close() }
        return transport.accept(channel, head: head)
    }
}
