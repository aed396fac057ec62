import FederationCore
import FederationModel
import FederationWire
import ServiceTestKit
import TestKit
import Testing

@testable import FederationService

@Suite("FederationServer, crossings", .timeLimit(.minutes(patience)))
struct TravelTests {
    @Test("a crossing tells every step as it goes, and can be read at any time")
    func story() async throws {
        let pair = try await TestPair.make()
        let atAlpha = try await pair.alpha.server.updates(of: pair.ada)
        let atBeta = try await pair.beta.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        #expect(crossing.phase == .verifying && crossing.role == .source && crossing.epoch == nil)
        #expect(crossing.steps.map(\.step) == [.registry, .handshake, .health, .routing])
        let seen = try await atAlpha.until(.completed)
        #expect(
            seen.map(\.kind) == [
                .progress, .progress, .progress, .progress, .verifying, .progress, .offered, .redirect, .progress,
                .completed,
            ])
        #expect(try await atBeta.until(.admitted).map(\.kind) == [.admitted])
        let after = try await pair.alpha.server.crossing(crossing.id)
        #expect(after.phase == .completed && after.epoch == Epoch(2) && after.receipt != nil && after.refusal == nil)
        #expect(after.steps.map(\.step) == [.registry, .handshake, .health, .routing, .verification, .handoff])
        #expect(!after.steps.contains { !$0.ok })
        #expect(after.redirect?.endpoint == Endpoint("ws://beta.example"))
        let there = try await pair.beta.server.crossing(crossing.id)
        #expect(there.phase == .admitted && there.role == .destination && there.redirect == nil)
        #expect(try await pair.alpha.server.player(pair.ada).presence == .departed(to: pair.beta.id, crossing.id))
        #expect(try await pair.beta.server.player(pair.ada).state == Array("a lamp".utf8))
    }

    @Test("a player crosses once at a time, however many ask at the same moment")
    func once() async throws {
        let pair = try await TestPair.make()
        pair.link.there.hold("worldRequest")
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let answers = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<10 { group.addTask { await refusal { _ = try await pair.alpha.travel() } } }
            return await group.reduce(into: [:]) { $0[$1 ?? "begun", default: 0] += 1 }
        }
        #expect(answers == ["begun": 1, "handoff.alreadyOpen": 9])
        pair.link.there.release()
        try await updates.until(.completed)
        #expect(await refusal { _ = try await pair.alpha.travel() } == "player.departed")
        #expect(try await pair.beta.store.load().handoffs.count == 1)
    }

    @Test("the first steps refuse at once, and nothing is begun")
    func planRefuses() async throws {
        let pair = try await TestPair.make()
        func code(_ name: String = "ada", _ portal: String = "gate") async -> String? {
            await refusal { _ = try await pair.alpha.travel(name, through: portal) }
        }
        #expect(await code("ada", "nowhere") == "route.unknown")
        #expect(await code("nobody") == "player.unknown")
        _ = try await pair.alpha.server.setRoute(try #require(PortalID("gate")), active: false)
        #expect(await code() == "route.inactive")
        _ = try await pair.alpha.server.setRoute(try #require(PortalID("gate")), active: true)
        await pair.link.close()
        #expect(await code() == "destination.disconnected")
        _ = try await pair.alpha.server.suspend(pair.beta.id, reason: "a test")
        #expect(await code() == "destination.suspended")
        #expect(try await pair.alpha.server.crossings(nil, limit: 10).isEmpty)
    }

    @Test("a world server that does not know the player's stay cannot send them away")
    func stale() async throws {
        let pair = try await TestPair.make()
        #expect(await refusal { _ = try await pair.alpha.travel(epoch: Epoch(2)) } == "player.staleEpoch")
        try await pair.cross()
        let gate = try #require(PortalID("gate"))
        func code(_ epoch: Epoch?) async -> String? {
            await refusal { _ = try await pair.beta.server.travel(pair.ada, epoch: epoch, through: gate) }
        }
        #expect(await code(nil) == "player.epochMissing")
        #expect(await code(.first) == "player.staleEpoch")
        #expect(try await pair.beta.server.player(pair.ada).presence == .playable)
        let updates = try await pair.beta.server.updates(of: pair.ada)
        #expect(await code(Epoch(2)) == nil)
        try await updates.until(.completed)
    }

    @Test("a crossing that is refused before it begins reaches the player's client as one returned")
    func refusedAtOnce() async throws {
        let pair = try await TestPair.make()
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        #expect(await refusal { _ = try await pair.alpha.travel(through: "nowhere") } == "route.unknown")
        let seen = try await updates.until(.returned)
        #expect(seen.map(\.kind) == [.progress, .returned] && seen.last?.refusal?.code == "route.unknown")
        #expect(seen.last?.refusal?.step == .routing)
        // Who is on the way already is not told that they stay.
        try await pair.cross()
        #expect(await refusal { _ = try await pair.alpha.travel() } == "player.departed")
        await pair.alpha.server.stop()
        for await update in updates { #expect(update.kind != .returned) }
    }

    @Test("a receipt that comes when the player is back sends nobody away who follows them since")
    func lateReceipt() async throws {
        let pair = try await TestPair.make()
        pair.link.back.hold("admitted")
        let first = try await pair.alpha.travel()
        let there = try await pair.beta.server.updates(of: pair.ada)
        try await eventually { (try? await pair.beta.server.player(pair.ada).presence) == .playable }
        _ = try await pair.beta.server.travel(pair.ada, epoch: Epoch(2), through: try #require(PortalID("gate")))
        try await there.until(.completed)
        #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
        #expect(try await pair.alpha.server.crossing(first.id).phase == .committed)
        #expect(try await pair.alpha.server.crossing(first.id).redirect == nil)
        let ticket = await pair.alpha.server.ticket(for: try await pair.alpha.server.player(pair.ada))
        let followed = try await pair.alpha.server.redeem(ticket: ticket)
        pair.link.back.release()
        try await eventually { (try? await pair.alpha.server.crossing(first.id).phase) == .completed }
        await pair.alpha.server.stop()
        var kinds: [UpdateKind] = []
        for await update in followed.updates { kinds.append(update.kind) }
        #expect(!kinds.contains(.completed), "\(kinds)")
    }

    @Test("a route that changes while the world is verified refuses before the player is frozen")
    func routeChanges() async throws {
        let pair = try await TestPair.make()
        pair.link.there.hold("worldRequest")
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        try await eventually { pair.link.there.sent.contains("worldRequest") }
        let portal = try #require(PortalID("gate"))
        try await pair.beta.publish("desert")
        try await pair.alpha.server.removeRoute(portal)
        try await pair.alpha.route(to: pair.beta, world: "desert")
        pair.link.there.release()
        #expect(try await updates.until(.returned).last?.refusal?.code == "route.changed")
        #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
    }

    @Test("a portal that leads to another server's world of the same name meanwhile leads nobody there unverified")
    func destinationChanges() async throws {
        let pair = try await TestPair.make()
        let gamma = try await TestServer.start("gamma", seed: 3, clock: pair.alpha.clock)
        try await gamma.publish("forest", ["other.bin": [7]])
        let link = try await Link.connect(pair.alpha.server, gamma.server)
        pair.link.there.hold("worldRequest")
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        try await eventually { pair.link.there.sent.contains("worldRequest") }
        try await pair.alpha.server.removeRoute(try #require(PortalID("gate")))
        try await pair.alpha.route(to: gamma, world: "forest")
        pair.link.there.release()
        #expect(try await updates.until(.returned).last?.refusal?.code == "route.changed")
        #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
        #expect(!link.there.sent.contains("offer"))
    }

    @Test("the destination's refusal reaches the player, who goes on at home")
    func refusedThere() async throws {
        let pair = try await TestPair.make()
        // The destination loses the world between the fifth and the sixth step, as far as the source can see.
        pair.link.there.decide { frame in
            guard case .offer(let offer) = frame else { return .delivered }
            return .replaced(
                .offer(FederationFrame.HandoffOffer(handoff: offer.handoff, token: offer.token, snapshot: [1])))
        }
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        let refusal = try await updates.until(.returned).last?.refusal
        #expect(refusal?.code == "handoff.snapshotHashMismatch" && refusal?.step == .handoff)
        let after = try await pair.alpha.server.crossing(crossing.id)
        #expect(after.phase == .aborted && after.refusal == refusal)
        #expect(after.steps.last.map { [$0.step.rawValue, "\($0.ok)"] } == ["handoff", "false"])
        pair.link.there.release()
        try await pair.cross()
    }

    // MARK: Calling off

    @Test("a crossing is called off until it is decided", arguments: ["worldRequest", "offer", "accept", "admitted"])
    func callOff(_ held: String) async throws {
        let pair = try await TestPair.make()
        let pipe = held == "worldRequest" || held == "offer" ? pair.link.there : pair.link.back
        pipe.hold(held)
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        try await eventually { pipe.sent.contains(held) }
        let code = await refusal { try await pair.alpha.server.callOff(crossing.id) }
        if held == "admitted" {
            #expect(code == "handoff.invalidState")
            pipe.release()
            try await updates.until(.completed)
            return
        }
        #expect(code == nil)
        #expect(try await updates.until(.returned).last?.refusal?.code == "handoff.calledOff")
        #expect(await refusal { try await pair.alpha.server.callOff(crossing.id) } == "handoff.invalidState")
        let after = try await pair.alpha.server.crossing(crossing.id)
        #expect(after.phase == .aborted && after.refusal?.code == "handoff.calledOff")
        #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
        // Whatever was on its way changes nothing, and the next crossing is a new one.
        pipe.release()
        try await pair.cross()
        #expect(try await pair.alpha.server.crossing(crossing.id).phase == .aborted)
    }

    @Test("a crossing that was called off, and forgotten before its world was verified, carries nobody off")
    func calledOffAndForgotten() async throws {
        let pair = try await TestPair.make()
        pair.link.there.hold("worldRequest")
        let first = try await pair.alpha.travel()
        try await eventually { pair.link.there.sent.contains("worldRequest") }
        try await pair.alpha.server.callOff(first.id)
        for _ in 0..<CrossingLog.kept { try await pair.alpha.server.callOff(try await pair.alpha.travel().id) }
        try #require(await refusal { _ = try await pair.alpha.server.crossing(first.id) } == "handoff.unknown")
        pair.link.there.release()
        // Whoever had waited for the same answer goes on before this one does.
        try await pair.cross()
        #expect(await refusal { _ = try await pair.alpha.server.crossing(first.id) } == "handoff.unknown")
        #expect(pair.link.there.sent.count { $0 == "offer" } == 1)
    }

    @Test("only what was begun here can be called off")
    func callOffUnknown() async throws {
        let pair = try await TestPair.make()
        let crossing = try await pair.cross()
        #expect(await refusal { try await pair.beta.server.callOff(crossing.id) } == "handoff.unknown")
        let unknown = try #require(HandoffID(bytes: [UInt8](repeating: 7, count: 16)))
        #expect(await refusal { try await pair.alpha.server.callOff(unknown) } == "handoff.unknown")
        #expect(await refusal { _ = try await pair.alpha.server.crossing(unknown) } == "handoff.unknown")
    }

    // MARK: Reading

    @Test("what is read of a crossing is never ahead of what is durable and told")
    func consistent() async throws {
        let pair = try await TestPair.make()
        pair.link.back.hold("accept")
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        try await eventually { pair.link.back.sent.contains("accept") }
        #expect(try await pair.alpha.server.crossing(crossing.id).phase == .prepared)
        await pair.alpha.store.failNext(1)
        pair.link.back.release()
        await pair.alpha.clock.sleeper(for: .milliseconds(100))
        // Decided in memory and not on the disk: nobody is told either.
        #expect(await refusal { _ = try await pair.alpha.server.crossing(crossing.id) } == "store.failed")
        pair.alpha.clock.advance(by: .milliseconds(100))
        let seen = try await updates.until(.completed)
        #expect(seen.contains { $0.kind == .redirect })
        let after = try await pair.alpha.server.crossing(crossing.id)
        // Whoever reads `completed` also reads what completed it.
        #expect(after.phase == .completed && after.steps.last?.step == .handoff)
    }

    @Test("lists the newest first, by phase, and no more than was asked for")
    func listing() async throws {
        let pair = try await TestPair.make()
        for name in ["bob", "cyd"] {
            try await pair.alpha.enter(name)
            let updates = try await pair.alpha.server.updates(of: try pair.alpha.player(name))
            _ = try await pair.alpha.travel(name)
            try await updates.until(.completed)
            pair.alpha.clock.advance(by: .milliseconds(5))
        }
        pair.link.there.decide { $0.name == "worldRequest" ? .lost : .delivered }
        _ = try await pair.alpha.travel()
        let server = pair.alpha.server
        #expect(try await server.crossings(nil, limit: 10).map(\.player.name.rawValue) == ["ada", "cyd", "bob"])
        #expect(try await server.crossings(.completed, limit: 10).map(\.player.name.rawValue) == ["cyd", "bob"])
        #expect(try await server.crossings(.verifying, limit: 10).map(\.player.name.rawValue) == ["ada"])
        #expect(try await server.crossings(nil, limit: 2).count == 2)
        for limit in [0, -1] { #expect(try await server.crossings(nil, limit: limit).isEmpty) }
        #expect(try await pair.beta.server.crossings(.admitted, limit: 10).count == 2)
    }

    @Test("after a restart the ledger tells what became of a crossing")
    func restart() async throws {
        let pair = try await TestPair.make()
        let done = try await pair.cross()
        let again = try await TestServer.start(
            "alpha", store: MemoryStore(try await pair.alpha.store.load()), clock: pair.alpha.clock)
        let crossing = try await again.server.crossing(done.id)
        #expect(crossing.phase == .completed && crossing.receipt != nil && crossing.steps.isEmpty)
        #expect(crossing.redirect != nil)
    }

    @Test("a server that dies after the decision hands the player over when it is back")
    func crashAfterDecision() async throws {
        let pair = try await TestPair.make()
        pair.link.there.decide { $0.name == "commit" ? .lost : .delivered }
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        try await updates.until(.redirect)
        await pair.link.close()
        let again = try await TestServer.start(
            "alpha", store: MemoryStore(try await pair.alpha.store.load()), clock: pair.alpha.clock)
        #expect(again.transport.calls == ["dial beta"])
        let resumed = try await again.server.updates(of: pair.ada)
        _ = try await Link.open(again.server, pair.beta.server)
        try await resumed.until(.completed)
        #expect(try await pair.beta.server.player(pair.ada).presence == .playable)
        #expect(try await again.server.crossing(crossing.id).phase == .completed)
    }

    @Test("a commit that was lost is said again by the clock")
    func repeats() async throws {
        let pair = try await TestPair.make()
        pair.link.there.decide { $0.name == "commit" ? .lost : .delivered }
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        try await updates.until(.redirect)
        pair.link.there.release()
        await pair.alpha.clock.sleeper(for: .seconds(1))
        pair.alpha.clock.advance(by: .seconds(1))
        try await eventually { try await pair.alpha.store.load().handoffs.map(\.state) == [.completed] }
    }
}
