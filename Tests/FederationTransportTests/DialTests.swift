import FederationModel
import FederationService
import FederationWebSocket
import NIOSSL
import TestKit
import Testing

@testable import FederationTransport

@Suite(.timeLimit(.minutes(5 * patience))) struct DialTests {
    private func transport(_ host: TestHost, _ clock: ManualClock, chance: Double = 0.5) throws
        -> WebSocketPeerTransport
    {
        var configuration = WebSocketPeerTransport.Configuration()
        configuration.chance = { chance }
        return try WebSocketPeerTransport(host: host, configuration: configuration, clock: clock)
    }

    @Test("a peer that is down is dialled again and again, more and more slowly, and reached when it is up")
    func backoff() async throws {
        let clock = ManualClock()
        let near = try TestHost("near", clock: clock)
        let far = try TestHost("far", clock: clock)
        let dialling = try transport(near, clock)
        let listening = try transport(far, clock)
        // An address of its own: nobody else gets its port while it is free.
        let listener = try await TestListener.start(listening, host: "127.0.7.1")
        let endpoint = try listener.endpoint()
        try await listener.stop()

        await dialling.dial(far.identity.id, at: [endpoint])
        for (attempt, pause) in [(1, 750), (2, 1_500), (3, 3_000), (4, 6_000), (5, 12_000), (6, 22_500), (7, 22_500)] {
            await clock.somebodySleeps()
            let state = try #require(await dialling.dialState(of: far.identity.id))
            #expect(state.attempts == attempt && state.nextRetryMilliseconds == Int64(pause))
            #expect(state.lastFailure?.hasPrefix("\(endpoint): no connection") == true, "\(state)")
            clock.advance(by: .milliseconds(pause - 1))
            #expect(await dialling.dialState(of: far.identity.id)?.nextRetryMilliseconds == 1)
            clock.advance(by: .milliseconds(1))
        }
        await clock.somebodySleeps()
        let again = try await TestListener.start(listening, host: "127.0.7.1", port: Int(endpoint.port))
        clock.advance(by: .seconds(30))
        _ = try #require(await near.established())
        let farChannel = try #require(await far.established())
        // The next loss starts from the beginning.
        try #require(await far.sink(farChannel)).close(.internalError)
        await clock.somebodySleeps()
        let state = try #require(await dialling.dialState(of: far.identity.id))
        #expect(state.attempts == 1 && state.nextRetryMilliseconds == 750)
        #expect(state.lastFailure == "\(endpoint): closed by the peer: internalError (4017)")
        await dialling.shutdown()
        try await again.stop()
    }

    @Test("while connected, the state says so")
    func connected() async throws {
        let pair = try await Pair()
        _ = try await pair.connect()
        // The host is told before the dialler; the dialler's own calls come in between.
        var state = await pair.nearTransport.dialState(of: pair.far.identity.id)
        while state?.attempts != 0 { state = await pair.nearTransport.dialState(of: pair.far.identity.id) }
        #expect(state == DialState(attempts: 0, lastFailure: nil, nextRetryMilliseconds: nil))
        #expect(await pair.nearTransport.dialState(of: ServerID(unchecked: "nobody")) == nil)
        try await pair.stop()
    }

    @Test("who is hung up on is dialled no more, and a channel that is open stays")
    func hangUp() async throws {
        let pair = try await Pair()
        let ids = try await pair.connect()
        await pair.nearTransport.hangUp(pair.far.identity.id)
        #expect(await pair.nearTransport.dialState(of: pair.far.identity.id) == nil)
        try #require(await pair.near.sink(ids.near)).send(heartbeat(1))
        #expect(await pair.far.events.next() == .frame(ids.far, heartbeat(1)))
        try #require(await pair.far.sink(ids.far)).close(.goingAway)
        #expect(await pair.near.events.next() == .closed(ids.near))
        try await pair.stop()
    }

    @Test("another endpoint is tried at once")
    func replacedEndpoint() async throws {
        let clock = ManualClock()
        let near = try TestHost("near", clock: clock)
        let far = try TestHost("far", clock: clock)
        let dialling = try transport(near, clock)
        let listener = try await TestListener.start(try transport(far, clock))
        let dead = try await TestListener.start(try transport(far, clock), host: "127.0.7.2")
        let deadEndpoint = try dead.endpoint()
        try await dead.stop()
        await dialling.dial(far.identity.id, at: [deadEndpoint])
        await clock.somebodySleeps()
        await dialling.dial(far.identity.id, at: [try listener.endpoint()])
        #expect(await near.established() != nil)
        await dialling.shutdown()
        try await listener.stop()
    }

    @Test("a peer that does not answer at its first address is tried at its second")
    func secondEndpoint() async throws {
        let clock = ManualClock()
        let near = try TestHost("near", clock: clock)
        let far = try TestHost("far", clock: clock)
        let dialling = try transport(near, clock)
        let listener = try await TestListener.start(try transport(far, clock))
        let dead = try await TestListener.start(try transport(far, clock), host: "127.0.7.2")
        let deadEndpoint = try dead.endpoint()
        try await dead.stop()
        await dialling.dial(far.identity.id, at: [deadEndpoint, try listener.endpoint()])
        await clock.somebodySleeps()
        clock.advance(by: Limits.dialBackoffMaximum)
        #expect(await near.established() != nil)
        await dialling.shutdown()
        try await listener.stop()
    }

    @Test("when another channel was kept there is no hurry", arguments: [true, false])
    func duplicate(refusedHere: Bool) async throws {
        let clock = ManualClock()
        let near = try TestHost("near", clock: clock, refusedHere ? .refusesToOpen(.duplicateChannel) : .normal)
        let far = try TestHost("far", clock: clock, refusedHere ? .normal : .refusesHello(.duplicateChannel))
        let dialling = try transport(near, clock, chance: 0)
        let listener = try await TestListener.start(try transport(far, clock))
        await dialling.dial(far.identity.id, at: [try listener.endpoint()])
        await clock.somebodySleeps()
        #expect(await dialling.dialState(of: far.identity.id)?.nextRetryMilliseconds == 30_000)
        await dialling.shutdown()
        try await listener.stop()
    }

    @Test("who rests because of another channel dials again soon when that one is said to be gone")
    func hastened() async throws {
        let clock = ManualClock()
        let near = try TestHost("near", clock: clock)
        let far = try TestHost("far", clock: clock, .refusesHello(.duplicateChannel))
        let dialling = try transport(near, clock, chance: 0)
        let listener = try await TestListener.start(try transport(far, clock))
        let endpoint = try listener.endpoint()
        await dialling.dial(far.identity.id, at: [endpoint])
        await clock.somebodySleeps()
        #expect(await dialling.dialState(of: far.identity.id)?.nextRetryMilliseconds == 30_000)
        await far.behave(.normal)
        await dialling.dial(far.identity.id, at: [endpoint])
        while await dialling.dialState(of: far.identity.id)?.nextRetryMilliseconds != 500 { await Task.yield() }
        await clock.somebodySleeps()
        clock.advance(by: .milliseconds(500))
        #expect(await near.established() != nil)
        await dialling.shutdown()
        try await listener.stop()
    }

    @Test("a dial that is asked for again keeps its backoff")
    func notHastened() async throws {
        let clock = ManualClock()
        let near = try TestHost("near", clock: clock)
        let far = try TestHost("far", clock: clock, .refusesHello(.untrustedPeer))
        let dialling = try transport(near, clock, chance: 0)
        let listener = try await TestListener.start(try transport(far, clock))
        let endpoint = try listener.endpoint()
        for attempt in 1...3 {
            await dialling.dial(far.identity.id, at: [endpoint])
            await clock.somebodySleeps()
            for _ in 0..<10 { await dialling.dial(far.identity.id, at: [endpoint]) }
            let state = try #require(await dialling.dialState(of: far.identity.id))
            #expect(state.attempts == attempt && state.nextRetryMilliseconds == Int64(250 << attempt))
            clock.advance(by: .milliseconds(250 << attempt))
        }
        await dialling.shutdown()
        try await listener.stop()
    }

    @Test("over TLS with a certificate that is believed, a channel stands")
    func tls() async throws {
        let near = try TestHost("near")
        let far = try TestHost("far")
        var configuration = WebSocketPeerTransport.Configuration()
        configuration.tls = PeerTLS(trustRoots: .certificates([try TestCertificate.certificate()]))
        let dialling = try WebSocketPeerTransport(host: near, configuration: configuration)
        let listener = try await TestListener.start(
            try WebSocketPeerTransport(host: far), tls: try TestCertificate.serverContext())
        for host in ["127.0.0.1", "localhost"] {
            let peer = ServerID(unchecked: "far")
            await dialling.dial(peer, at: [try #require(Endpoint("wss://\(host):\(listener.port)"))])
            let id = try #require(await near.established())
            try #require(await near.sink(id)).send(heartbeat(1))
            let farID = try #require(await far.established())
            #expect(await far.events.next() == .frame(farID, heartbeat(1)))
            await dialling.hangUp(peer)
        }
        await dialling.shutdown()
        try await listener.stop()
    }

    @Test("a certificate that nobody vouches for is not taken, unless the operator says so")
    func untrustedCertificate() async throws {
        let clock = ManualClock()
        let near = try TestHost("near", clock: clock)
        let far = try TestHost("far", clock: clock)
        let listener = try await TestListener.start(try transport(far, clock), tls: try TestCertificate.serverContext())
        let strict = try transport(near, clock)
        await strict.dial(far.identity.id, at: [try listener.endpoint(secure: true)])
        await clock.somebodySleeps()
        let failure = try #require(await strict.dialState(of: far.identity.id)?.lastFailure)
        #expect(failure.contains("CERTIFICATE_VERIFY_FAILED"), "\(failure)")
        await strict.shutdown()

        var configuration = WebSocketPeerTransport.Configuration()
        configuration.tls.verifiesCertificates = false
        let lax = try WebSocketPeerTransport(host: near, configuration: configuration, clock: clock)
        await lax.dial(far.identity.id, at: [try listener.endpoint(secure: true)])
        #expect(await near.established() != nil)
        await lax.shutdown()
        try await listener.stop()
    }

    @Test(
        "the pause doubles from half a second's half to half a minute, jitter included", arguments: [0.0, 0.25, 0.999])
    func pauses(chance: Double) {
        for (attempt, whole) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30), (1_000_000, 30)] {
            let pause = DialBackoff.pause(after: attempt, chance: chance)
            #expect(abs((pause / .seconds(whole)) - (0.5 + chance / 2)) < 1e-9)
        }
    }
}
