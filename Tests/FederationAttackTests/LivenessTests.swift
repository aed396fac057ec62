import FederationModel
import FederationTransport
import ServiceTestKit
import TestKit
import Testing

/// Two servers find each other again, whatever was lost and whoever noticed.
@Suite("Channels that die or are doubled", .serialized, .timeLimit(.minutes(5 * patience))) struct LivenessTests {
    /// Of all servers and of their dials: it stands still unless the test moves it. What needs a pause to end, or any
    /// other time to run out, never comes about.
    private let clock = ManualClock()

    private func start(_ id: String) async throws -> LiveServer {
        try await LiveServer.start(
            id, transport: .unhurried, limits: .unhurried, clock: clock, dialClock: clock)
    }

    /// Both dial each other, each through a relay that holds everything back from the dialler's `index`th message on
    /// until both have come so far.
    private func dialBoth(holding index: Int) async throws -> (LiveServer, LiveServer, Relay, Relay) {
        let alpha = try await start("alpha")
        let beta = try await start("beta")
        let acquainted = Latch()
        let both = Latch(2)
        let meddling: Relay.Meddling = { message in
            // Who is dialled must know the dialler by then.
            await acquainted.wait()
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
        acquainted.open()
        return (alpha, beta, toBeta, toAlpha)
    }

    /// The rest of the pause before `server` dials `other` again; 0 when it does not pause.
    private func pause(_ server: LiveServer, before other: LiveServer) async -> Duration {
        .milliseconds(await server.transport.dialState(of: other.id)?.nextRetryMilliseconds ?? 0)
    }

    /// Lets the first pause after a failure pass, once `server` makes it; a longer one would not end with it.
    private func passFirstPause(of server: LiveServer, before other: LiveServer) async {
        await eventually {
            let pause = await pause(server, before: other)
            return pause > .zero && pause <= Limits.dialBackoffMinimum
        }
        clock.advance(by: Limits.dialBackoffMinimum)
    }

    private func direction(_ server: LiveServer, to other: LiveServer) async -> ChannelDirection? {
        (try? await server.server.peer(other.id))?.direction
    }

    /// Would fail if it took either of them a second dial, or anything to run out: a second dial comes after a pause.
    @Test(
        "two servers that dial each other at once keep the channel that the lower one dialled", arguments: [0, 1, 2],
        1...3)
    func simultaneous(index: Int, round: Int) async throws {
        let (alpha, beta, toBeta, toAlpha) = try await dialBoth(holding: index)
        await eventually {
            let kept = await (direction(alpha, to: beta), direction(beta, to: alpha))
            return kept == (.outgoing, .incoming)
        }
        let doubled = CloseCode.duplicateChannel
        await eventually {
            alpha.closed(doubled) + alpha.wasClosed(doubled) > 0 && beta.closed(doubled) + beta.wasClosed(doubled) > 0
        }
        // Nobody thinks that anything went wrong: there is one reason for the end of the other one.
        for server in [alpha, beta] {
            #expect(server.closed(doubled) + server.wasClosed(doubled) == 1)
            #expect(server.closed(.internalError) + server.wasClosed(.internalError) == 0)
            #expect(server.closed(.protocolError) + server.wasClosed(.protocolError) == 0)
        }
        // It carries frames.
        let kept = try #require(alpha.host.channel(to: .outgoing))
        try #require(alpha.host.sink(kept)).send(heartbeat(101))
        _ = try #require(await beta.host.next { if case .frame(_, heartbeat(101)) = $0 { () } else { nil } })
        #expect(await direction(alpha, to: beta) == .outgoing)
        #expect(toBeta.connections == 1 && toAlpha.connections == 1)
        for relay in [toBeta, toAlpha] { try await relay.stop() }
        try await alpha.stop()
        try await beta.stop()
    }

    /// Would fail if it went on resting, or paused for longer than after a first failure: no more time passes.
    @Test("the dialler that rested because of the other channel is prompt when that one dies")
    func promptAfterRest() async throws {
        let (alpha, beta, toBeta, toAlpha) = try await dialBoth(holding: 2)
        // Beta rests: its next attempt is half a minute away. It may have been in a hurry before, when its own channel
        // stood first.
        await eventually {
            let pause = await pause(beta, before: alpha)
            if pause > .zero, pause <= Limits.dialBackoffMinimum { clock.advance(by: Limits.dialBackoffMinimum) }
            return pause > Limits.dialBackoffMaximum / 2
        }
        await eventually { await direction(beta, to: alpha) == .incoming }
        let doubled = CloseCode.duplicateChannel
        func refusals() -> Int64 { alpha.closed(doubled) + alpha.wasClosed(doubled) }
        let before = refusals()
        try await toBeta.stop()
        await eventually {
            let pause = await pause(beta, before: alpha)
            if pause > .zero, pause <= Limits.dialBackoffMinimum { clock.advance(by: Limits.dialBackoffMinimum) }
            // As long as alpha does not know, it keeps the dead channel and refuses another, which makes beta rest once more.
            if pause > Limits.dialBackoffMaximum / 2, refusals() > before, await direction(alpha, to: beta) == nil {
                clock.advance(by: Limits.dialBackoffMaximum)
            }
            return await direction(beta, to: alpha) == .outgoing
        }
        try await toAlpha.stop()
        try await alpha.stop()
        try await beta.stop()
    }

    /// Would fail if its next dial were refused because of the dead channel: nothing ends that one, and no time passes
    /// in which it could dial again.
    @Test("a dialler that vanished without a goodbye is replaced by its next dial at once")
    func vanishedDialler() async throws {
        let alpha = try await start("alpha")
        let beta = try await start("beta")
        let relay = try await Relay.start(to: beta.port)
        try await beta.trust(alpha.identity)
        try await alpha.trust(beta.identity, at: relay.port)
        _ = try #require(await beta.host.established())
        relay.freeze()
        // The same server again, in another process, which knows nothing of the first one's channel.
        let again = try await start("alpha")
        try await again.trust(beta.identity, at: beta.port)
        _ = try #require(await beta.host.established())
        await eventually { beta.closed(.duplicateChannel) == 1 }
        #expect(await direction(beta, to: again) == .incoming)
        try await relay.stop()
        for server in [again, alpha, beta] { try await server.stop() }
    }

    /// Would fail if alpha did not find out that its channel is dead, or dialled again after more than a first pause.
    @Test("a listener that was started again after a power cut is reached in seconds, though its dials are refused")
    func rebootedListener() async throws {
        let alpha = try await start("alpha")
        let beta = try await start("beta")
        let relay = try await Relay.start(to: beta.port, connections: 100)
        try await beta.trust(alpha.identity)
        try await alpha.trust(beta.identity, at: relay.port)
        _ = try #require(await beta.host.established())
        _ = try #require(await alpha.host.established())
        relay.freeze()
        let again = try await start("beta")
        relay.restart(to: again.port)
        // Alpha still has a channel that it dialled itself, and so refuses this one; but it asks whether its own lives.
        try await again.trust(alpha.identity, at: alpha.port)
        await passFirstPause(of: alpha, before: again)
        await eventually { await direction(again, to: alpha) != nil }
        try await relay.stop()
        for server in [again, alpha, beta] { try await server.stop() }
    }

    /// Would fail if silence did not end the channel, or ended it under another name.
    @Test("a channel on which nothing comes any more is given up as silent, by name")
    func silence() async throws {
        var configuration = WebSocketPeerTransport.Configuration()
        // Must run out. Where it does so too soon, because the machine is slow, alpha dials again.
        configuration.idleTimeout = .milliseconds(500)
        let alpha = try await LiveServer.start("alpha", transport: configuration)
        let beta = try await LiveServer.start("beta")
        let relay = try await Relay.start(to: beta.port, connections: 1_000)
        try await beta.trust(alpha.identity)
        try await alpha.trust(beta.identity, at: relay.port)
        let channel = try #require(await alpha.host.established())
        relay.freeze()
        await alpha.host.closed(channel)
        try await relay.stop()
        for server in [alpha, beta] { try await server.stop() }
        #expect(alpha.closed(.silent) > 0 && alpha.peerLimit("silence") == alpha.closed(.silent))
    }
}
