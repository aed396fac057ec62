import FederationCore
import FederationModel
import FederationService
import FederationWire
import ServiceTestKit
import TestKit
import Testing

/// Clients that come while the store is busy. They are told a state once it is durable, and then everything that has changed
/// it since it was read, also what became durable together with it.
@Suite("FederationServer, clients that join during a crossing", .timeLimit(.minutes(patience)))
struct JoiningTests {
    /// Ada is offered to beta, whose answer does not come; alpha's store has something else to write, and what comes now waits
    /// for it together.
    private struct Offered {
        let pair: TestPair
        let crossing: Crossing
        let ticket: String
        let entering: Task<Void, any Error>

        static func make() async throws -> Offered {
            let pair = try await TestPair.make()
            let server = pair.alpha.server
            let ticket = await server.ticket(for: try await server.player(pair.ada))
            pair.link.back.hold("accept")
            let updates = try await server.updates(of: pair.ada)
            let crossing = try await pair.alpha.travel()
            try await updates.until(.offered)
            try await eventually { pair.link.back.sent.contains("accept") }
            await pair.alpha.store.hold()
            let entering = Task { _ = try await pair.alpha.enter("bob") }
            await pair.alpha.store.waitUntilHeld()
            return Offered(pair: pair, crossing: crossing, ticket: ticket, entering: entering)
        }

        /// Returns when so many wait behind bob.
        func waiting(_ batches: Int) async throws {
            try await eventually { await pair.alpha.server.waitingBatches >= batches }
        }

        func join() -> Task<FollowedPlayer, any Error> {
            Task {
                guard case .here(let player) = try await pair.alpha.server.join(ticket: ticket) else {
                    throw CancellationError()
                }
                return player
            }
        }

        func release() async throws {
            await pair.alpha.store.release()
            try await entering.value
        }
    }

    @Test(
        "the end of a crossing reaches a client that has joined just before it, and its beginning is told once",
        arguments: [UpdateKind.returned, .redirect])
    func end(_ end: UpdateKind) async throws {
        let offered = try await Offered.make()
        let joining = offered.join()
        try await offered.waiting(1)
        if end == .returned {
            let rejection = FederationFrame.HandoffRejection(
                handoff: offered.crossing.id, code: "world.closed", reason: "closed today")
            offered.pair.link.back.inject(.reject(rejection))
        } else {
            offered.pair.link.back.release()
        }
        try await offered.waiting(2)
        try await offered.release()
        let player = try await joining.value
        #expect(player.record.presence == .departing(offered.crossing.id))
        let seen = try await player.updates.until(end)
        #expect(!seen.contains { $0.kind == .offered })
    }

    @Test("what the state contains already does not come after it")
    func past() async throws {
        let offered = try await Offered.make()
        let server = offered.pair.alpha.server
        let callingOff = Task { try await server.callOff(offered.crossing.id) }
        try await offered.waiting(1)
        let joining = offered.join()
        try await offered.waiting(2)
        try await offered.release()
        try await callingOff.value
        let player = try await joining.value
        #expect(player.record.presence == .playable)
        _ = try await offered.pair.alpha.travel()
        let seen = try await player.updates.until(.offered)
        #expect(!seen.contains { $0.kind == .returned })
    }

    @Test("a client that arrives hears that its player is sent on at the same moment")
    func arrival() async throws {
        let pair = try await TestPair.make()
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        let token = try #require(try await updates.until(.completed).compactMap(\.redirect).first).token
        let beta = pair.beta
        await beta.store.hold()
        let entering = Task { _ = try await beta.enter("bob", world: "forest") }
        await beta.store.waitUntilHeld()
        let arriving = Task {
            try await beta.server.arrive(token: token, proof: nil, challenge: [], within: .seconds(1))
        }
        try await eventually { await beta.server.waitingBatches >= 1 }
        _ = try await beta.server.travel(pair.ada, epoch: Epoch(2), through: try #require(PortalID("gate")))
        try await eventually { await beta.server.waitingBatches >= 2 }
        await beta.store.release()
        try await entering.value
        let player = try await arriving.value
        #expect(player.record.presence == .playable)
        let seen = try await player.updates.until(.completed)
        #expect(seen.count { $0.kind == .offered } == 1)
    }

    @Test("a client for which there is no place among the followers may show its token again")
    func noPlace() async throws {
        let pair = try await TestPair.make()
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        let token = try #require(try await updates.until(.completed).compactMap(\.redirect).first).token
        let server = pair.beta.server
        func arrive() async -> String? {
            await refusal { _ = try await server.arrive(token: token, proof: nil, challenge: []) }
        }
        var streams: [AsyncStream<PlayerUpdate>] = []
        for _ in 0..<16 { streams.append(try await server.updates(of: pair.ada)) }
        #expect(await arrive() == "player.followed")
        streams.removeAll()
        try await eventually { await arrive() == nil }
        #expect(await arrive() == "handoff.replayed")
    }
}
