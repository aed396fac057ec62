import FederationModel
import FederationTransport
import TestPatience
import Testing

/// Two servers find each other again, whatever was lost and whoever noticed.
@Suite("Channels that die or are doubled", .serialized, .timeLimit(.minutes(3 * patience))) struct LivenessTests {
    private let clock = ContinuousClock()

    /// Both dial each other, each through a relay that holds everything back from the dialler's `index`th message on
    /// until both have come so far.
    private func dialBoth(holding index: Int) async throws -> (LiveServer, LiveServer, Relay, Relay) {
        let alpha = try await LiveServer.start("alpha")
        let beta = try await LiveServer.start("beta")
        let both = Latch(2)
        let meddling: Relay.Meddling = { message in
            if message.connection == 1, message.direction == .up, message.index == index {
                both.open()
                await both.wait()
            }
            return await Relay.honest(message)
        }
        let toBeta = try await Relay.start(to: beta.port, connections: 1, meddling)
        let toAlpha = try await Relay.start(to: alpha.port, connections: 100, meddling)
        try await alpha.trust(beta.identity, at: toBeta.port)
        try await beta.trust(alpha.identity, at: toAlpha.port)
        return (alpha, beta, toBeta, toAlpha)
    }

    private func direction(_ server: LiveServer, to other: LiveServer) async -> ChannelDirection? {
        (try? await server.server.peer(other.id))?.direction
    }

    @Test(
        "two servers that dial each other at once keep the channel that the lower one dialled", arguments: [0, 1, 2],
        1...3)
    func simultaneous(index: Int, round: Int) async throws {
        let start = clock.now
        let (alpha, beta, toBeta, toAlpha) = try await dialBoth(holding: index)
        await eventually {
            let kept = await (direction(alpha, to: beta), direction(beta, to: alpha))
            return kept == (.outgoing, .incoming)
        }
        let elapsed = clock.now - start
        print("attack: two simultaneous dials, held at message \(index): one channel after \(elapsed)")
        #expect(elapsed < .seconds(10 * patience))
        let doubled = CloseCode.duplicateChannel
        await eventually {
            alpha.closed(doubled) + alpha.wasClosed(doubled) > 0 && beta.closed(doubled) + beta.wasClosed(doubled) > 0
        }
        // Nobody thinks that anything went wrong: there is one reason for the end of the other one.
        for server in [alpha, beta] {
            #expect(server.closed(.internalError) + server.wasClosed(.internalError) == 0)
            #expect(server.closed(.protocolError) + server.wasClosed(.protocolError) == 0)
        }
        // It carries frames.
        let kept = try #require(alpha.host.channel(to: .outgoing))
        try #require(alpha.host.sink(kept)).send(heartbeat(101))
        _ = try #require(await beta.host.next { if case .frame(_, heartbeat(101)) = $0 { () } else { nil } })
        #expect(await direction(alpha, to: beta) == .outgoing)
        for relay in [toBeta, toAlpha] { try await relay.stop() }
        try await alpha.stop()
        try await beta.stop()
    }

    @Test("the dialler that rested because of the other channel is prompt when that one dies")
    func promptAfterRest() async throws {
        let (alpha, beta, toBeta, toAlpha) = try await dialBoth(holding: 2)
        // Beta rests: its next attempt is half a minute away.
        await eventually { await (beta.transport.dialState(of: alpha.id)?.nextRetryMilliseconds ?? 0) > 20_000 }
        await eventually { await direction(beta, to: alpha) == .incoming }
        let start = clock.now
        try await toBeta.stop()
        await eventually { await direction(beta, to: alpha) == .outgoing }
        let elapsed = clock.now - start
        print("attack: the kept channel died; the resting dialler had another after \(elapsed)")
        #expect(elapsed < .seconds(10 * patience))
        try await toAlpha.stop()
        try await alpha.stop()
        try await beta.stop()
    }

    @Test("a dialler that vanished without a goodbye is replaced by its next dial at once")
    func vanishedDialler() async throws {
        let alpha = try await LiveServer.start("alpha")
        let beta = try await LiveServer.start("beta")
        let relay = try await Relay.start(to: beta.port)
        try await beta.trust(alpha.identity)
        try await alpha.trust(beta.identity, at: relay.port)
        _ = try #require(await beta.host.established())
        relay.freeze()
        // The same server again, in another process, which knows nothing of the first one's channel.
        let again = try await LiveServer.start("alpha")
        let start = clock.now
        try await again.trust(beta.identity, at: beta.port)
        _ = try #require(await beta.host.established())
        let elapsed = clock.now - start
        print("attack: a vanished dialler was replaced after \(elapsed)")
        #expect(elapsed < .seconds(10 * patience))
        await eventually { beta.closed(.duplicateChannel) == 1 }
        #expect(await direction(beta, to: again) == .incoming)
        try await relay.stop()
        for server in [again, alpha, beta] { try await server.stop() }
    }

    @Test("a listener that was started again after a power cut is reached in seconds, though its dials are refused")
    func rebootedListener() async throws {
        let alpha = try await LiveServer.start("alpha")
        let beta = try await LiveServer.start("beta")
        let relay = try await Relay.start(to: beta.port, connections: 100)
        try await beta.trust(alpha.identity)
        try await alpha.trust(beta.identity, at: relay.port)
        _ = try #require(await beta.host.established())
        relay.freeze()
        let again = try await LiveServer.start("beta")
        relay.restart(to: again.port)
        let start = clock.now
        // Alpha still has a channel that it dialled itself, and so refuses this one; but it asks whether its own lives.
        try await again.trust(alpha.identity, at: alpha.port)
        await eventually { await direction(again, to: alpha) != nil }
        let elapsed = clock.now - start
        print("attack: a listener that lost its memory was reached after \(elapsed)")
        #expect(elapsed < .seconds(10 * patience))
        try await relay.stop()
        for server in [again, alpha, beta] { try await server.stop() }
    }

    @Test("a channel on which nothing comes any more is given up as silent, by name")
    func silence() async throws {
        var configuration = WebSocketPeerTransport.Configuration()
        configuration.idleTimeout = .milliseconds(500 * patience)
        let alpha = try await LiveServer.start("alpha", transport: configuration)
        let beta = try await LiveServer.start("beta")
        let relay = try await Relay.start(to: beta.port)
        try await beta.trust(alpha.identity)
        try await alpha.trust(beta.identity, at: relay.port)
        _ = try #require(await alpha.host.established())
        relay.freeze()
        await eventually { alpha.closed(.silent) > 0 }
        #expect(alpha.peerLimit("silence") == 1)
        try await relay.stop()
        for server in [alpha, beta] { try await server.stop() }
    }
}
