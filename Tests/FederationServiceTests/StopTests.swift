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
