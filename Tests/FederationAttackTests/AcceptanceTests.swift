import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import TestKit
import Testing

/// How long a player is frozen for a destination that does not say yes: through real sockets, by a clock that the test moves.
@Suite("Acceptance in time, through sockets", .timeLimit(.minutes(5 * patience))) struct AcceptanceTests {
    private struct Pair {
        let alpha: LiveServer
        let beta: LiveServer
        let clock = ManualClock()
        let forest: WorldID
        let gate: PortalID
        let ada: PlayerID

        init() async throws {
            alpha = try await LiveServer.start("alpha", clock: clock)
            // Beta's clock stands still: its own bounds never end a crossing.
            beta = try await LiveServer.start("beta", clock: ManualClock())
            let home = try #require(WorldID("home"))
            forest = try #require(WorldID("forest"))
            gate = try #require(PortalID("gate"))
            ada = PlayerID(name: try #require(PlayerName("ada")), home: alpha.id)
            for (server, world) in [(alpha, home), (beta, forest)] {
                _ = try await server.server.addWorld(
                    WorldManifest(world: world, name: "The \(world)", entries: []))
            }
            try await beta.trust(alpha.identity)
            try await alpha.trust(beta.identity, at: beta.port)
            _ = try await alpha.server.addRoute(gate, to: beta.id, world: forest, spawn: nil, isActive: true)
            _ = try await alpha.server.enter(ada, world: home, state: [1], clientKey: nil, epoch: nil)
            let (alpha, beta) = (alpha, beta)
            await eventually { (try? await alpha.server.peer(beta.id))?.direction == .outgoing }
        }

        func travel() async throws -> Crossing {
            try await alpha.server.travel(ada, epoch: nil, through: gate)
        }

        func handoffStep(of crossing: HandoffID) async throws -> Crossing.Step? {
            try await alpha.server.crossing(crossing).steps.first { $0.step == .handoff }
        }

        func stop() async throws {
            try await alpha.stop()
            try await beta.stop()
        }
    }

    /// What `match` makes of the first event that it takes; nil when none comes any more.
    private static func first<Event, Found>(
        of events: AsyncStream<Event>, _ match: (Event) -> Found?
    ) async -> Found? {
        for await event in events {
            if let found = match(event) { return found }
        }
        return nil
    }

    /// Would fail if the player were given back early or late, without being told, or if the destination, which has the offer,
    /// were not told.
    @Test("a destination that has the offer and does not accept it keeps the player for 200 ms and no longer")
    func silence() async throws {
        let pair = try await Pair()
        let door = try await pair.beta.server.worldEvents(of: pair.forest, guarding: true)
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.travel()
        let arrived = await Self.first(of: door) { event -> HandoffID? in
            if case .arriving(let handoff, pair.ada, _) = event { handoff } else { nil }
        }
        #expect(arrived == crossing.id)
        await pair.clock.sleeper(for: Limits.acceptTimeout)
        pair.clock.advance(by: Limits.acceptTimeout - .nanoseconds(1))
        #expect(try await pair.alpha.server.player(pair.ada).presence == .departing(crossing.id))
        pair.clock.advance(by: .nanoseconds(1))
        let refusal = await Self.first(of: updates) { update -> Refusal? in
            if case .returned(crossing.id, let refusal) = update { refusal } else { nil }
        }
        #expect(refusal?.code == "handoff.timeout")
        #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
        let step = try await pair.handoffStep(of: crossing.id)
        #expect(step?.ok == false && step?.milliseconds == 200, "\(String(describing: step))")
        let withdrawn = await Self.first(of: door) { event -> HandoffID? in
            if case .withdrawn(let handoff, pair.ada) = event { handoff } else { nil }
        }
        #expect(withdrawn == crossing.id)
        #expect(await pair.beta.server.summary().openHandoffs == 0)
        try await pair.stop()
    }

    /// Would fail if anything that waits for a time, however short, stood between the offer and its acceptance: this clock
    /// never moves.
    @Test("a healthy destination accepts without a moment of the bound passing")
    func healthy() async throws {
        let pair = try await Pair()
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.travel()
        let isThere = await Self.first(of: updates) { update -> Bool? in
            switch update {
            case .completed(crossing.id): true
            case .returned: false
            case .progress, .verifying, .offered, .redirect, .completed, .voided, .admitted, .withdrawn, .gone,
                .revoked:
                nil
            }
        }
        #expect(isThere == true)
        let step = try await pair.handoffStep(of: crossing.id)
        #expect(step?.ok == true && step?.milliseconds == 0, "\(String(describing: step))")
        #expect(try await pair.beta.server.player(pair.ada).presence == .playable)
        try await pair.stop()
    }
}
