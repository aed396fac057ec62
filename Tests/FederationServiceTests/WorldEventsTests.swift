import FederationCore
import FederationModel
import FederationWire
import ServiceTestKit
import TestKit
import Testing

@testable import FederationService

@Suite("FederationServer, what worlds are told", .timeLimit(.minutes(patience)))
struct WorldEventsTests {
    private func worlds() throws -> (home: WorldID, forest: WorldID) {
        (try #require(WorldID("home")), try #require(WorldID("forest")))
    }

    @Test("both worlds are told of a crossing, each its own part")
    func story() async throws {
        let pair = try await TestPair.make()
        let (home, forest) = try worlds()
        let atHome = try await pair.alpha.server.worldEvents(of: home, guarding: false)
        let inForest = try await pair.beta.server.worldEvents(of: forest, guarding: false)
        let crossing = try await pair.cross()
        let left = try await atHome.until("departed")
        #expect(left.map(\.kind) == ["departing", "departed"])
        #expect(left.allSatisfy { $0.handoff == crossing.id && $0.epoch == Epoch(2) })
        guard case .departed(_, pair.ada, _, pair.beta.id) = left.last else {
            Issue.record("\(left)")
            return
        }
        let came = try await inForest.until("admitted")
        guard case .admitted(crossing.id, let record) = came.last else {
            Issue.record("\(came)")
            return
        }
        #expect(came.count == 1, "a world that is not guarded is not asked")
        #expect(record.player == pair.ada && record.presence == .playable && record.epoch == Epoch(2))
        #expect(record.state == Array("a lamp".utf8))
    }

    @Test("no world is told anything before it is durable", arguments: [true, false])
    func durable(atSource: Bool) async throws {
        let pair = try await TestPair.make()
        let side = atSource ? pair.alpha : pair.beta
        let world = atSource ? try worlds().home : try worlds().forest
        let events = try await side.server.worldEvents(of: world, guarding: false)
        let pipe = atSource ? pair.link.back : pair.link.there
        pipe.hold(atSource ? "accept" : "commit")
        let done = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        try await eventually { pipe.sent.contains(atSource ? "accept" : "commit") }
        await side.store.hold()
        pipe.release()
        await side.store.waitUntilHeld()
        let early = Task { () -> [String] in
            var seen: [String] = []
            for await event in events { seen.append(event.kind) }
            return seen
        }
        for _ in 0..<200 { await Task.yield() }
        early.cancel()
        #expect(await early.value == (atSource ? ["departing"] : []))
        let after = try await side.server.worldEvents(of: world, guarding: false)
        await side.store.release()
        try await done.until(.completed)
        #expect(try await after.until(atSource ? "departed" : "admitted").count == 1)
    }

    // MARK: A say in who enters

    @Test("a guarded world is asked, and its reason reaches the player", arguments: [nil, "the party is over"])
    func answer(reason: String?) async throws {
        let pair = try await TestPair.make()
        let (home, forest) = try worlds()
        let events = try await pair.beta.server.worldEvents(of: forest, guarding: true)
        let atHome = try await pair.alpha.server.worldEvents(of: home, guarding: false)
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        let asked = try await events.until("arriving")
        guard case .arriving(crossing.id, pair.ada, let arrival) = asked.last else {
            Issue.record("\(asked)")
            return
        }
        #expect(arrival.source == pair.alpha.id && arrival.world == forest && arrival.epoch == Epoch(2))
        #expect(arrival.stateBytes == 6 && arrival.revision == 1)
        #expect(await pair.beta.server.summary().openHandoffs == 0, "nothing is kept before the world has answered")
        try await pair.beta.publish("cave")
        for (world, code) in [(home, "world.unknown"), (try #require(WorldID("cave")), "arrival.unknown")] {
            let wrong = await refusal {
                try await pair.beta.server.answerArrival(crossing.id, in: world, refusal: nil)
            }
            #expect(wrong == code, "only the world where the player wants to go has a say")
        }
        try await pair.beta.server.answerArrival(crossing.id, in: forest, refusal: reason)
        if let reason {
            let seen = try await updates.until(.returned)
            let returned = try #require(seen.last?.refusal)
            #expect(seen.filter { $0.kind == .returned }.count == 1)
            #expect(returned.code == "world.refused" && returned.reason.hasSuffix(reason), "\(returned)")
            #expect(try await events.until("turnedAway").last?.refusal?.reason == reason)
            #expect(try await atHome.until("returned").last?.refusal == returned)
            #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
            #expect(await refusal { _ = try await pair.beta.server.player(pair.ada) } == "player.unknown")
        } else {
            try await updates.until(.completed)
            #expect(try await events.until("admitted").count == 1)
        }
        let late = await refusal { try await pair.beta.server.answerArrival(crossing.id, in: forest, refusal: nil) }
        #expect(late == "arrival.unknown")
    }

    @Test("a world that says nothing turns the player away, within its bound")
    func silence() async throws {
        let pair = try await TestPair.make()
        let forest = try worlds().forest
        let events = try await pair.beta.server.worldEvents(of: forest, guarding: true)
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        try await events.until("arriving")
        await pair.beta.clock.sleeper(for: Limits.arrivalTimeout)
        pair.beta.clock.advance(by: Limits.arrivalTimeout)
        #expect(try await updates.until(.returned).last?.refusal?.code == "world.silent")
        #expect(try await events.until("turnedAway").last?.refusal?.code == "world.silent")
        let late = await refusal { try await pair.beta.server.answerArrival(crossing.id, in: forest, refusal: nil) }
        #expect(late == "arrival.unknown")
        #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
    }

    @Test("a crossing that is called off at the door is withdrawn")
    func calledOff() async throws {
        let pair = try await TestPair.make()
        let forest = try worlds().forest
        let events = try await pair.beta.server.worldEvents(of: forest, guarding: true)
        let crossing = try await pair.alpha.travel()
        try await events.until("arriving")
        try await pair.alpha.server.callOff(crossing.id)
        #expect(try await events.until("withdrawn").last?.handoff == crossing.id)
        let late = await refusal { try await pair.beta.server.answerArrival(crossing.id, in: forest, refusal: nil) }
        #expect(late == "arrival.unknown")
    }

    @Test("who was let in and cannot be told of it any more is withdrawn")
    func outOfReach() async throws {
        let pair = try await TestPair.make()
        let forest = try worlds().forest
        let events = try await pair.beta.server.worldEvents(of: forest, guarding: true)
        let crossing = try await pair.alpha.travel()
        try await events.until("arriving")
        await pair.link.close()
        let answer = await refusal { try await pair.beta.server.answerArrival(crossing.id, in: forest, refusal: nil) }
        #expect(answer == "arrival.withdrawn")
        #expect(try await events.until("withdrawn").last?.handoff == crossing.id)
    }

    @Test("a world is guarded as long as somebody who guards it follows")
    func guards() async throws {
        let pair = try await TestPair.make()
        let forest = try worlds().forest
        let server = pair.beta.server
        #expect(await !server.isGuarded(forest))
        let onlooker = try await server.worldEvents(of: forest, guarding: false)
        #expect(await !server.isGuarded(forest))
        let guarding = try await [
            server.worldEvents(of: forest, guarding: true), server.worldEvents(of: forest, guarding: true),
        ]
        for events in guarding {
            #expect(await server.isGuarded(forest))
            let follower = Task { for await _ in events {} }
            follower.cancel()
            await follower.value
        }
        try await eventually { await !server.isGuarded(forest) }
        try await pair.cross()
        #expect(try await onlooker.until("admitted").map(\.kind) == ["admitted"])
    }

    // MARK: Asking instead

    @Test("a world server that missed what happened finds it by asking", arguments: [true, false])
    func crashed(atSource: Bool) async throws {
        let pair = try await TestPair.make()
        let (home, forest) = try worlds()
        let side = atSource ? pair.alpha : pair.beta
        let world = atSource ? home : forest
        let events = try await side.server.worldEvents(of: world, guarding: !atSource)
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let held = atSource ? pair.link.there : pair.link.back
        if atSource { held.hold("offer") }
        let crossing = try await pair.alpha.travel()
        let last = try await events.until(atSource ? "departing" : "arriving").last
        #expect(last?.handoff == crossing.id)
        if !atSource { try await side.server.answerArrival(crossing.id, in: world, refusal: nil) }
        // The world server dies in the middle: its connection ends, and everything else happens without it.
        let dying = Task { for await _ in events {} }
        dying.cancel()
        await dying.value
        try await eventually { await !side.server.isGuarded(world) }
        if atSource { held.release() }
        try await updates.until(.completed)

        // It comes back, follows again, and asks.
        _ = try await side.server.worldEvents(of: world, guarding: true)
        let here = try await side.server.players(in: world).map(\.player)
        #expect(here == (atSource ? [] : [pair.ada]))
        let player = try await side.server.player(pair.ada)
        #expect(player.epoch == Epoch(2))
        #expect(player.presence == (atSource ? .departed(to: pair.beta.id, crossing.id) : .playable))
        let phase = try await side.server.crossing(crossing.id).phase
        #expect(phase == (atSource ? .completed : .admitted))
        // What it still believed is refused.
        let stale = await refusal {
            _ = try await side.server.enter(pair.ada, world: world, state: [1], clientKey: nil, epoch: .first)
        }
        #expect(stale == (atSource ? "player.departed" : "player.staleEpoch"))
    }

    @Test("a player who is frozen cannot be saved, and can again once returned")
    func frozen() async throws {
        let pair = try await TestPair.make()
        let home = try worlds().home
        let events = try await pair.alpha.server.worldEvents(of: home, guarding: false)
        pair.link.there.hold("offer")
        let crossing = try await pair.alpha.travel()
        try await events.until("departing")
        #expect(await refusal { try await pair.alpha.enter(state: "late") } == "player.frozen")
        try await pair.alpha.server.callOff(crossing.id)
        #expect(try await events.until("returned").last?.refusal?.code == "handoff.calledOff")
        #expect(try await pair.alpha.enter(state: "in time").revision == 2)
    }

    // MARK: Bounds

    @Test("a follower that lags is ended instead of missing something, and guards no more")
    func lagging() async throws {
        var feeds = WorldFeeds()
        let (home, _) = try worlds()
        let player = try #require(PlayerID("ada@alpha"))
        let first = try #require(PlayerID("first@alpha"))
        let stream = try #require(feeds.follow(home, guarding: true) { _ in })
        let other = try #require(feeds.follow(home, guarding: false) { _ in })
        for number in 0..<WorldFeeds.buffered {
            let isEnough = feeds.tell(home, .gone(number == 0 ? first : player))
            #expect(!isEnough)
        }
        var others = other.makeAsyncIterator()
        for _ in 0..<WorldFeeds.buffered { _ = await others.next() }
        #expect(feeds.isGuarded(home))
        let isTooMuch = feeds.tell(home, .gone(player))
        #expect(isTooMuch && !feeds.isGuarded(home))
        var told: [PlayerID] = []
        for await case .gone(let player) in stream { told.append(player) }
        #expect(told.count == WorldFeeds.buffered && told.first == first, "it ends behind what it was told")
        #expect(await others.next() != nil, "the other one goes on")
    }

    @Test("a world has few followers, of worlds that are there, and none once the server stops")
    func bounds() async throws {
        let alpha = try await TestServer.start("alpha")
        let (home, forest) = try worlds()
        try await alpha.publish("home")
        #expect(
            await refusal { _ = try await alpha.server.worldEvents(of: forest, guarding: false) } == "world.unknown")
        var streams: [AsyncStream<WorldEvent>] = []
        for _ in 0..<WorldFeeds.perWorld {
            streams.append(try await alpha.server.worldEvents(of: home, guarding: true))
        }
        #expect(
            await refusal { _ = try await alpha.server.worldEvents(of: home, guarding: true) } == "world.followed")
        let last = streams.removeLast()
        let follower = Task { for await _ in last {} }
        follower.cancel()
        try await eventually {
            await refusal { _ = try await alpha.server.worldEvents(of: home, guarding: true) } == nil
        }
        await alpha.server.stop()
        for stream in streams { for await _ in stream {} }
        #expect(
            await refusal { _ = try await alpha.server.worldEvents(of: home, guarding: true) } == "server.stopping")
    }
}

extension WorldEvent {
    var kind: String {
        switch self {
        case .arriving: "arriving"
        case .admitted: "admitted"
        case .departing: "departing"
        case .departed: "departed"
        case .returned: "returned"
        case .turnedAway: "turnedAway"
        case .withdrawn: "withdrawn"
        case .gone: "gone"
        }
    }

    var handoff: HandoffID? {
        switch self {
        case .arriving(let id, _, _), .admitted(let id, _), .departing(let id, _, _), .departed(let id, _, _, _),
            .returned(let id, _, _, _), .turnedAway(let id, _, _), .withdrawn(let id, _):
            id
        case .gone: nil
        }
    }

    var epoch: Epoch? {
        switch self {
        case .arriving(_, _, let arrival): arrival.epoch
        case .admitted(_, let record): record.epoch
        case .departing(_, _, let epoch), .departed(_, _, let epoch, _), .returned(_, _, let epoch, _): epoch
        case .turnedAway, .withdrawn, .gone: nil
        }
    }

    var refusal: Refusal? {
        switch self {
        case .returned(_, _, _, let refusal), .turnedAway(_, _, let refusal): refusal
        case .arriving, .admitted, .departing, .departed, .withdrawn, .gone: nil
        }
    }
}

extension AsyncStream<WorldEvent> {
    /// Everything up to the first event of a kind. The suite's time limit ends a wait for one that never comes.
    @discardableResult
    func until(_ kind: String) async throws -> [WorldEvent] {
        var seen: [WorldEvent] = []
        for await event in self {
            seen.append(event)
            if event.kind == kind { return seen }
        }
        Issue.record("the events ended after \(seen.map(\.kind)) without \(kind)")
        throw CancellationError()
    }
}
