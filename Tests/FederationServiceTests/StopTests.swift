import FederationCore
import FederationModel
import FederationService
import FederationWire
import ServiceTestKit
import TestKit
import Testing

@Suite("FederationServer, stopping and time", .timeLimit(.minutes(patience)))
struct StopTests {
    @Test("stopping waits until what was promised is durable and sent, then closes the channels")
    func drains() async throws {
        let pair = try await TestPair.make()
        await pair.alpha.store.hold()
        _ = try await pair.alpha.travel()
        await pair.alpha.store.waitUntilHeld()
        let stopping = Task { await pair.alpha.server.stop() }
        try await eventually { pair.alpha.transport.calls.contains("hang up beta") }
        for _ in 0..<200 { await Task.yield() }
        #expect(!pair.link.there.sent.contains { $0.hasPrefix("close") })
        await pair.alpha.store.release()
        await stopping.value
        #expect(pair.link.there.sent.suffix(2) == ["offer", "close goingAway"])
        #expect(try await pair.alpha.store.load().handoffs.map(\.state) == [.prepared])
    }

    @Test("stopping ends although the store fails, and nothing is sent that is not durable", arguments: [0, 2])
    func failingStore(_ failuresBefore: Int) async throws {
        let pair = try await TestPair.make()
        await pair.alpha.store.failNext(1_000)
        _ = try await pair.alpha.travel()
        var pause = 100
        for _ in 0..<failuresBefore {
            await pair.alpha.clock.sleeper(for: .milliseconds(pause))
            pair.alpha.clock.advance(by: .milliseconds(pause))
            pause *= 2
        }
        try await eventually { await pair.alpha.server.summary().storageFailure != nil }
        await pair.alpha.server.stop()
        #expect(!pair.link.there.sent.contains("offer"))
        #expect(pair.link.there.sent.last == "close goingAway")
        #expect(try await pair.alpha.store.load().handoffs.isEmpty)
        // A server that comes back with that store has a player at home.
        let again = try await TestServer.start(
            "alpha", store: MemoryStore(try await pair.alpha.store.load()), clock: pair.alpha.clock)
        #expect(try await again.server.player(pair.ada).presence == .playable)
    }

    @Test("a store that works again at the last moment gets everything")
    func lastAttempt() async throws {
        let alpha = try await TestServer.start("alpha")
        try await alpha.publish("home")
        await alpha.store.failNext(1)
        #expect(await refusal { try await alpha.enter() } == "store.failed")
        await alpha.clock.sleeper(for: .milliseconds(100))
        await alpha.server.stop()
        #expect(try await alpha.store.load().players.count == 1)
    }

    @Test("a stopped server refuses everything, twice if need be")
    func refuses() async throws {
        let pair = try await TestPair.make()
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        await pair.alpha.server.stop()
        await pair.alpha.server.stop()
        for await _ in updates {}
        #expect(await refusal { try await pair.alpha.enter() } == "server.stopping")
        #expect(await refusal { _ = try await pair.alpha.travel() } == "server.stopping")
        #expect(await refusal { _ = try await pair.alpha.server.updates(of: pair.ada) } == "server.stopping")
        await #expect(throws: ChannelFailure(code: .goingAway)) {
            try await pair.alpha.server.openChannel(.incoming, peer: nil, remote: "", sink: Pipe())
        }
        let heartbeat = FederationFrame.Heartbeat(sequence: 1, sentAt: pair.alpha.clock.now().timestamp)
        await pair.alpha.server.receive(.heartbeat(heartbeat), on: ChannelID(1))
        #expect(!pair.link.there.sent.contains("acknowledgement"))
        #expect(await pair.alpha.server.receiveHandshake([], on: ChannelID(1)) == .close(.goingAway))
    }

    @Test("a crossing that waits for a peer's answer ends when the server stops")
    func endsQuestions() async throws {
        let pair = try await TestPair.make()
        pair.link.there.decide { $0.name == "worldRequest" ? .lost : .delivered }
        let crossing = try await pair.alpha.travel()
        try await eventually { pair.link.there.sent.contains("worldRequest") }
        await pair.alpha.server.stop()
        try await eventually { try await pair.alpha.server.crossing(crossing.id).phase == .aborted }
        #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
    }

    // MARK: Winding down

    /// Would fail if a channel that closes were still dialled anew, as the port's closing makes it do.
    @Test("a server that is about to stop dials nobody and opens no channel, also none whose handshake has begun")
    func dialsNobody() async throws {
        let pair = try await TestPair.make()
        let gamma = try await TestServer.start("gamma", seed: 3, clock: pair.alpha.clock)
        let card = try #require(await gamma.server.card()?.compact)
        let half = try await pair.alpha.server.openChannel(.incoming, peer: nil, remote: "", sink: Pipe())
        await pair.alpha.server.windDown()
        let calls = pair.alpha.transport.calls
        #expect(calls.last == "hang up beta")
        #expect(await pair.alpha.server.receiveHandshake([], on: half.id) == .close(.goingAway))
        await #expect(throws: ChannelFailure(code: .goingAway)) {
            try await pair.alpha.server.openChannel(.incoming, peer: nil, remote: "", sink: Pipe())
        }
        await pair.link.close()
        #expect(await !pair.alpha.server.isConnected(to: pair.beta.id))
        _ = try await pair.alpha.server.addPeer(card)
        try await pair.alpha.server.settle()
        #expect(pair.alpha.transport.calls == calls)
        await pair.alpha.server.stop()
        #expect(!pair.alpha.transport.calls[calls.count...].contains { $0.hasPrefix("dial") })
    }

    @Test("a dial that waits for the store goes nowhere once the server is about to stop")
    func lateDial() async throws {
        let alpha = try await TestServer.start("alpha")
        let gamma = try await TestServer.start("gamma", seed: 3, clock: alpha.clock)
        let card = try #require(await gamma.server.card()?.compact)
        await alpha.store.hold()
        let adding = Task { try await alpha.server.addPeer(card) }
        await alpha.store.waitUntilHeld()
        await alpha.server.windDown()
        await alpha.store.release()
        _ = try await adding.value
        #expect(!alpha.transport.calls.contains("dial gamma"))
    }

    /// Would fail if a guarded world whose guard goes with the port let everybody in.
    @Test(
        "a server that is about to stop keeps no place for newcomers, who go on where they are",
        arguments: [true, false])
    func noNewcomers(isGuarded: Bool) async throws {
        let pair = try await TestPair.make()
        let forest = try #require(WorldID("forest"))
        let events = try await pair.beta.server.worldEvents(of: forest, guarding: isGuarded)
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        pair.link.there.hold("offer")
        _ = try await pair.alpha.travel()
        try await eventually { pair.link.there.sent.contains("offer") }
        await pair.beta.server.windDown()
        // Its world server goes, as it does when the port closes.
        let follower = Task { for await _ in events {} }
        follower.cancel()
        await follower.value
        try await eventually { await !pair.beta.server.isGuarded(forest) }
        pair.link.there.release()
        #expect(try await updates.until(.returned).last?.refusal?.code == "server.stopping")
        #expect(try await pair.beta.store.load().handoffs.isEmpty)
        #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
        await pair.beta.server.stop()
        #expect(try await pair.beta.store.load().handoffs.isEmpty)
    }

    @Test("whoever waits at a door is turned away when the server is about to stop")
    func turnedAway() async throws {
        let pair = try await TestPair.make()
        let forest = try #require(WorldID("forest"))
        let events = try await pair.beta.server.worldEvents(of: forest, guarding: true)
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        try await events.until("arriving")
        await pair.beta.server.windDown()
        #expect(try await updates.until(.returned).last?.refusal?.code == "server.stopping")
        #expect(try await events.until("turnedAway").last?.refusal?.code == "server.stopping")
        let late = await refusal { try await pair.beta.server.answerArrival(crossing.id, in: forest, refusal: nil) }
        #expect(late == "arrival.unknown")
        #expect(try await pair.beta.store.load().handoffs.isEmpty)
    }

    @Test("nobody departs from a server that is about to stop, also not whose world is being verified")
    func noDepartures() async throws {
        let pair = try await TestPair.make()
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        pair.link.there.hold("worldRequest")
        _ = try await pair.alpha.travel()
        try await eventually { pair.link.there.sent.contains("worldRequest") }
        await pair.alpha.server.windDown()
        pair.link.there.release()
        #expect(try await updates.until(.returned).last?.refusal?.code == "server.stopping")
        #expect(await refusal { _ = try await pair.alpha.travel() } == "server.stopping")
        #expect(!pair.link.there.sent.contains("offer"))
        #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
    }

    /// Would fail if winding down refused what comes as stopping does.
    @Test(
        "a crossing for which a place is kept is decided, answered and durable although a server is about to stop",
        arguments: [true, false])
    func decided(atSource: Bool) async throws {
        let pair = try await TestPair.make()
        let side = atSource ? pair.alpha : pair.beta
        let pipe = atSource ? pair.link.back : pair.link.there
        let frame = atSource ? "accept" : "commit"
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        pipe.hold(frame)
        _ = try await pair.alpha.travel()
        try await eventually { pipe.sent.contains(frame) }
        await side.server.windDown()
        pipe.release()
        try await updates.until(.completed)
        await side.server.stop()
        #expect(try await side.store.load().handoffs.map(\.state) == [atSource ? .completed : .admitted])
    }

    // MARK: Time

    @Test("heartbeats go out on time, interval after interval, and an early deadline does not lose a later one")
    func timer() async throws {
        let pair = try await TestPair.make()
        for beat in 1...3 {
            // Whichever deadline the timer stands at, it is over then.
            pair.alpha.clock.advance(by: .seconds(30))
            try await eventually { pair.link.there.sent.count { $0 == "heartbeat" } == beat }
            try await eventually { pair.link.back.sent.count { $0 == "acknowledgement" } == beat }
            // A handoff's deadline comes in between the heartbeats.
            if beat == 1 { try await pair.cross() }
        }
        #expect(await pair.alpha.server.summary().healthyPeers == 1)
    }

    @Test("the source gives up an unanswered offer by its clock, and the player goes on")
    func timeout() async throws {
        let pair = try await TestPair.make()
        pair.link.there.hold("offer")
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        try await eventually { pair.link.there.sent.contains("offer") }
        await pair.alpha.clock.sleeper(for: TestServer.acceptTimeout)
        pair.alpha.clock.advance(by: TestServer.acceptTimeout)
        let seen = try await updates.until(.returned)
        #expect(seen.last?.refusal?.code == "handoff.timeout")
        #expect(try await pair.alpha.server.crossing(crossing.id).refusal?.code == "handoff.timeout")
        #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
        // The offer arrives after all; the destination is told that it is over.
        pair.link.there.release()
        try await eventually { try await pair.beta.store.load().handoffs.map(\.state) == [.aborted] }
        try await pair.cross()
    }
}
