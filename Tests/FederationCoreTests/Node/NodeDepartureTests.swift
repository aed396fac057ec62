import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// What a source asks before it lets a player go, and how long it waits for the destination.
@Suite("FederationNode, departures")
struct NodeDepartureTests {
    private static let ada = PromiseTests.ada

    /// Two servers with a channel and a player at alpha.
    private static func pair(
        _ names: [String] = ["alpha", "beta"],
        configure: (String, inout NodeConfiguration) throws -> Void = { _, _ in }
    ) throws -> (TestFederation, alpha: TestNode, beta: TestNode) {
        let federation = try TestFederation(names, configure: configure)
        try federation.connectAll()
        try federation.settle()
        try federation.enter(ada, at: federation.node("alpha"))
        return (federation, federation.node("alpha"), federation.node("beta"))
    }

    // MARK: Which stay is meant

    @Test("who sends a player away says which stay is meant, once the player has travelled")
    func epoch() throws {
        let (federation, alpha, beta) = try Self.pair()
        func code(_ epoch: Epoch?) -> String? {
            do {
                _ = try alpha.node.plan(
                    Self.ada, epoch: epoch, through: TestFederation.portal(to: beta.id), at: federation.now)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code(nil) == nil && code(.first) == nil)
        #expect(code(Epoch(2)) == "player.staleEpoch")
        for (source, destination) in [(alpha, beta), (beta, alpha)] {
            try federation.depart(Self.ada, from: source, to: destination.id)
            try federation.settle()
        }
        #expect(code(nil) == "player.epochMissing")
        for stale in [1, 2, 4] as [UInt64] { #expect(code(Epoch(stale)) == "player.staleEpoch", "\(stale)") }
        #expect(code(Epoch(3)) == nil)
        // What is begun is asked as well as what is planned: time passes in between.
        #expect(throws: Refusal.self) {
            try alpha.node.depart(
                Self.ada, epoch: Epoch(1), through: TestFederation.portal(to: beta.id), to: beta.id,
                as: HandoffSamples.id(77),
                assets: try TestFederation.manifest(of: beta.id), at: federation.now)
        }
        #expect(alpha.node.players[Self.ada]?.presence == .playable && alpha.handoff(HandoffSamples.id(77)) == nil)
    }

    // MARK: How long it waits

    struct Trips: Sendable, CustomTestStringConvertible {
        /// Milliseconds of each measured round trip.
        let measured: [Int]
        let smoothed: Int
        /// Milliseconds that the destination has.
        let bound: Int

        var testDescription: String { "\(measured)" }
    }

    @Test(
        "a destination has 200 ms and four smoothed round trips, of which a single late answer changes little",
        arguments: [
            Trips(measured: [40], smoothed: 40, bound: 360), Trips(measured: [40, 40, 840], smoothed: 140, bound: 760),
            Trips(measured: [900], smoothed: 900, bound: 2_200),
        ])
    func roundTrips(_ trips: Trips) throws {
        let (federation, alpha, beta) = try Self.pair()
        let channel = try #require(alpha.channel(to: beta))
        var now = federation.now
        for milliseconds in trips.measured {
            now = Self.after(.seconds(30), now)
            let heartbeat = try #require(
                alpha.node.tick(at: now).frames.lazy.compactMap { frame in
                    if case .heartbeat(let heartbeat) = frame { heartbeat } else { nil }
                }.first)
            let answered = Self.after(.milliseconds(milliseconds), now)
            _ = alpha.node.receive(.acknowledgement(heartbeat), on: channel, at: answered)
        }
        now = Self.after(.seconds(1), now)
        #expect(alpha.node.roundTrip(to: beta.id) == trips.measured.last.map { .milliseconds($0) })
        #expect(alpha.node.smoothedRoundTrip(to: beta.id) == .milliseconds(trips.smoothed))
        let id = HandoffSamples.id(1)
        _ = try alpha.node.depart(
            Self.ada, epoch: nil, through: TestFederation.portal(to: beta.id), to: beta.id, as: id,
            assets: try TestFederation.manifest(of: beta.id), at: now)
        let early = alpha.node.tick(at: Self.after(.milliseconds(trips.bound) - .nanoseconds(1), now))
        #expect(!early.frames.contains(.abort(id)) && alpha.handoff(id)?.state == .prepared)
        let due = alpha.node.tick(at: Self.after(.milliseconds(trips.bound), now))
        #expect(due.labels.contains("tell returned handoff.timeout") && due.frames.contains(.abort(id)))
        #expect(alpha.node.players[Self.ada]?.presence == .playable)
    }

    private static func after(_ duration: Duration, _ now: Now) -> Now {
        Now(instant: now.instant + duration, timestamp: now.timestamp + duration)
    }

    // MARK: How many may come

    @Test("a peer brings so many players, all peers together so many; who has been here before may always come again")
    func room() throws {
        let (federation, alpha, beta) = try Self.pair(["alpha", "beta", "gamma"]) { name, configuration in
            guard name == "beta" else { return }
            configuration.passagesPerPeer = 2
            configuration.passages = 3
        }
        let gamma = federation.node("gamma")
        var players: [PlayerID] = []
        for (name, node) in [("ann", alpha), ("bob", alpha), ("cyd", alpha), ("dan", gamma), ("eve", gamma)] {
            let player = PlayerID(name: try #require(PlayerName(name)), home: node.id)
            try federation.enter(player, at: node)
            players.append(player)
        }
        // All at once: places that are kept count already.
        for player in players[0..<3] { try federation.depart(player, from: alpha, to: beta.id) }
        try federation.settle()
        #expect(federation.playable(players[0]) == [beta.id] && federation.playable(players[1]) == [beta.id])
        #expect(federation.playable(players[2]) == [alpha.id])
        let returned = alpha.told.filter { $0.kind.label == "returned player.full" }
        #expect(returned.map(\.player) == [players[2]])
        #expect(beta.node.passages.count(from: alpha.id) == 2 && beta.node.players[players[2]] == nil)
        // Another peer has its own share, until all of it is given away.
        try federation.depart(players[3], from: gamma, to: beta.id)
        try federation.settle()
        #expect(federation.playable(players[3]) == [beta.id] && beta.node.passages.count == 3)
        try federation.depart(players[4], from: gamma, to: beta.id)
        try federation.settle()
        #expect(federation.playable(players[4]) == [gamma.id])
        // There and back again, and after a restart, which counts what is stored.
        federation.crash(beta)
        try federation.restart(beta)
        try federation.heal()
        try federation.depart(players[0], from: beta, to: alpha.id)
        try federation.settle()
        try federation.depart(players[0], from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(players[0]) == [beta.id])
        try federation.depart(players[2], from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(players[2]) == [alpha.id])
        #expect(beta.node.passages.count(from: alpha.id) == 2 && beta.node.passages.count == 3)
        // Whoever is at home here always comes home.
        let own = PlayerID(name: try #require(PlayerName("fay")), home: beta.id)
        try federation.enter(own, at: beta)
        try federation.depart(own, from: beta, to: alpha.id)
        try federation.settle()
        try federation.depart(own, from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(own) == [beta.id])
    }

    @Test("who is decided to come gets in where a restored server has given the last place to another")
    func decided() throws {
        let (federation, alpha, beta) = try Self.pair()
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        let backup = beta.store
        let (ann, bob) = (
            PlayerID(name: try #require(PlayerName("ann")), home: alpha.id),
            PlayerID(name: try #require(PlayerName("bob")), home: alpha.id)
        )
        try federation.enter(ann, at: alpha)
        try federation.enter(bob, at: alpha)
        let id = try federation.depart(ann, from: alpha, to: beta.id)
        try federation.settle { node in
            guard node === alpha, alpha.node.ledger.record(id)?.state == .committed else { return }
            if let wire = federation.wire(alpha, beta) { federation.close(wire) }
        }
        try #require(alpha.store.handoffs[id]?.state == .committed && beta.store.handoffs[id]?.state == .reserved)
        // Beta has lost the place, and has none left for those of alpha.
        federation.crash(beta)
        beta.store = backup
        beta.configuration.passagesPerPeer = 1
        try federation.restart(beta)
        try federation.heal()
        #expect(federation.playable(ann) == [beta.id])
        try federation.depart(bob, from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(bob) == [alpha.id])
        #expect(alpha.told.last?.kind.label == "returned player.full")
    }
}
