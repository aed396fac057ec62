import FederationCore
import FederationModel
import FederationWire
import ServiceTestKit
import TestKit
import Testing

@testable import FederationService

@Suite("FederationServer, taking players back", .timeLimit(.minutes(patience)))
struct ReclaimTests {
    /// The first epoch of the second term.
    private static let second = Epoch(1 << 24)

    @Test("a player is taken back from a server that died, and the server that comes back gives up its copy")
    func comesBack() async throws {
        let pair = try await TestPair.make()
        try await pair.cross()
        let home = try #require(WorldID("home"))
        let forest = try #require(WorldID("forest"))
        await pair.link.close()

        let record = try await pair.alpha.server.reclaim(pair.ada, reason: "beta burnt down")
        #expect(record.server == pair.beta.id && record.voided == Epoch(2) && record.epoch == Self.second)
        #expect(try await pair.alpha.server.reclaims(after: nil, limit: 10) == [record])
        #expect(try await pair.alpha.server.reclaims(after: pair.ada, limit: 10).isEmpty)
        #expect(try await pair.alpha.server.player(pair.ada).presence == .left)
        let blind = await refusal {
            _ = try await pair.alpha.server.enter(pair.ada, world: home, state: [1], clientKey: nil, epoch: nil)
        }
        #expect(blind == "player.epochMissing")
        let entered = try await pair.alpha.server.enter(
            pair.ada, world: home, state: [1], clientKey: nil, epoch: Self.second)
        #expect(entered.presence == .playable)
        // Until the servers speak, beta cannot know.
        #expect(try await pair.beta.server.player(pair.ada).presence == .playable)

        // It comes back with its data, and a world server and a client beside it.
        await pair.beta.server.stop()
        let beta = try await TestServer.start(
            "beta", seed: 2, store: pair.beta.store, assets: pair.beta.assets, clock: pair.beta.clock)
        let events = try await beta.server.worldEvents(of: forest, guarding: false)
        let updates = try await beta.server.updates(of: pair.ada)
        _ = try await Link.open(pair.alpha.server, beta.server)
        guard case .gone(pair.ada) = try await events.until("gone").last else {
            Issue.record("the world was not told")
            return
        }
        #expect(try await updates.until(.gone).map(\.kind) == [.gone])
        let there = try await beta.server.player(pair.ada)
        #expect(there.presence == .recalled && there.epoch == Self.second && there.state.isEmpty)
        #expect(try await beta.server.players(in: forest).isEmpty)
        for epoch in [Epoch(2), Self.second] {
            let save = await refusal {
                _ = try await beta.server.enter(pair.ada, world: forest, state: [2], clientKey: nil, epoch: epoch)
            }
            #expect(save == "player.departed")
        }
        #expect(
            await refusal {
                _ = try await beta.server.travel(pair.ada, epoch: Self.second, through: #require(PortalID("gate")))
            }
                == "player.departed")
        let playable = try await pair.alpha.server.player(pair.ada)
        #expect(playable.presence == .playable && playable.state == [1])
        // What was given up is given up for good.
        #expect(try await pair.beta.store.load().players.first { $0.player == pair.ada }?.presence == .recalled)
    }

    @Test("a decision that nobody confirmed ends with the player taken back, and says so")
    func undelivered() async throws {
        let pair = try await TestPair.make()
        pair.link.there.hold("commit")
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        try await updates.until(.redirect)
        await pair.link.close()
        _ = try await pair.alpha.server.reclaim(pair.ada, reason: "beta burnt down")
        // The player's client, which was sent away, does not wait for an arrival, and is not told that the player goes on.
        let told = try await updates.until(.voided)
        #expect(told.map(\.kind) == [.progress, .voided])
        #expect(told.last?.refusal?.code == "player.recalled" && told.last?.refusal?.step == .handoff)
        #expect(await pair.alpha.server.handoffStarted.isEmpty)
        let after = try await pair.alpha.server.crossing(crossing.id)
        #expect(after.phase == .aborted && after.refusal?.code == "player.recalled" && after.redirect == nil)
        // The peer comes back with a place kept for the player, asks, and lets it go.
        _ = try await Link.open(pair.alpha.server, pair.beta.server)
        try await eventually { try await pair.beta.server.crossing(crossing.id).phase == .aborted }
        #expect(await refusal { _ = try await pair.beta.server.player(pair.ada) } == "player.unknown")
    }

    @Test("only a player of this server who is away is taken back, with a reason")
    func refused() async throws {
        let pair = try await TestPair.make()
        func code(_ server: TestServer, _ player: PlayerID, _ reason: String = "lost") async -> String? {
            await refusal { _ = try await server.server.reclaim(player, reason: reason) }
        }
        #expect(await code(pair.alpha, pair.ada) == "player.notAway")
        #expect(await code(pair.alpha, try pair.alpha.player("nobody")) == "player.unknown")
        pair.link.there.hold("offer")
        let crossing = try await pair.alpha.travel()
        try await eventually { pair.link.there.sent.contains("offer") }
        #expect(await code(pair.alpha, pair.ada) == "player.frozen")
        try await pair.alpha.server.callOff(crossing.id)
        pair.link.there.release()
        try await pair.cross()
        #expect(await code(pair.beta, pair.ada) == "player.notHome")
        for reason in ["", "two\nlines", String(repeating: "x", count: 129)] {
            #expect(await code(pair.alpha, pair.ada, reason) == "reclaim.reasonInvalid")
        }
        #expect(try await pair.alpha.server.reclaims(after: nil, limit: 10).isEmpty)
        #expect(await code(pair.alpha, pair.ada) == nil)
        #expect(await code(pair.alpha, pair.ada) == "player.notAway")
    }

    @Test("players are listed page by page, wherever they are")
    func pages() async throws {
        let pair = try await TestPair.make()
        for name in ["cyd", "bob", "dan"] { try await pair.alpha.enter(name) }
        try await pair.cross()
        let server = pair.alpha.server
        let first = try await server.players(after: nil, limit: 3)
        #expect(first.map(\.player.name.rawValue) == ["ada", "bob", "cyd"])
        #expect(!first[0].isHere && first[1].isHere)
        #expect(try await server.players(after: first[2].player, limit: 3).map(\.player.name.rawValue) == ["dan"])
        #expect(try await server.players(after: nil, limit: 0).isEmpty)
        // Also after a restart, whatever the order in which they were stored.
        let again = try await TestServer.open("alpha", store: pair.alpha.store, clock: pair.alpha.clock)
        #expect(
            try await again.server.players(after: nil, limit: 10).map(\.player.name.rawValue) == [
                "ada", "bob", "cyd", "dan",
            ])
    }
}
