import FederationCore
import FederationModel
import FederationWire
import ServiceTestKit
import TestKit
import Testing

/// What one bad link does to three servers, through real sockets and by a clock that the test moves: alpha and beta lose
/// each other, and both have a channel with gamma.
@Suite("One bad link between servers, through sockets", .timeLimit(.minutes(5 * patience))) struct IndirectProbeTests {
    /// How the link between alpha and beta fails.
    enum Fault: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case cut = "it is cut, and dials are refused"
        case frozen = "nothing passes any more, and both ends believe that all is well"
        case oneWay = "only what beta sends is lost"

        var testDescription: String { rawValue }
    }

    private struct Scene {
        let alpha: LiveServer
        let beta: LiveServer
        let gamma: LiveServer
        let clock = ManualClock()
        let between: Relay
        /// Between gamma and beta.
        let third: Relay
        private let isMuted: Latch

        init() async throws {
            alpha = try await LiveServer.start("alpha", clock: clock)
            beta = try await LiveServer.start("beta", clock: clock)
            gamma = try await LiveServer.start("gamma", clock: clock)
            // Nobody tells another of an address at which only they reach a third.
            let servers = [alpha, beta, gamma]
            for server in servers { try await server.server.setPolicy(TrustPolicy(introduces: false)) }
            let isMuted = Latch()
            self.isMuted = isMuted
            between = try await Relay.start(to: beta.port) { message in
                isMuted.isOpen && message.direction == .down ? [] : await Relay.honest(message)
            }
            third = try await Relay.start(to: beta.port)
            for (dialler, listener, port) in [
                (alpha, beta, between.port), (gamma, beta, third.port), (alpha, gamma, gamma.port),
            ] {
                try await listener.trust(dialler.identity)
                try await dialler.trust(listener.identity, at: port)
            }
            for server in servers {
                for other in servers where other.id != server.id {
                    await eventually { (try? await server.server.peer(other.id))?.isTrusted == true }
                }
            }
        }

        func fail(_ fault: Fault) async throws {
            switch fault {
            case .cut:
                try await between.stop()
                for (server, other) in [(alpha, beta), (beta, alpha)] { await isGone(other, from: server) }
            case .frozen: between.freeze()
            case .oneWay: isMuted.open()
            }
        }

        /// Cuts gamma off from beta as well.
        func cutThird() async throws {
            try await third.stop()
            await isGone(beta, from: gamma)
        }

        private func isGone(_ other: LiveServer, from server: LiveServer) async {
            await eventually { (try? await server.server.peer(other.id))?.direction == nil }
        }

        /// Lets an interval pass, and waits until those who are well with each other have answered each other in it; by then
        /// each has counted the silence of others.
        func pass(_ well: [(LiveServer, LiveServer)]) async {
            clock.advance(by: HealthThresholds.standard.interval)
            let now = clock.now().timestamp
            for (server, other) in well + well.map({ ($1, $0) }) {
                await eventually { (try? await server.server.peer(other.id))?.entry?.lastHeartbeat == now }
            }
        }

        /// Waits until gamma has answered a server's question, and until that server has taken note.
        ///
        /// - Returns: what gamma says; nil when nothing comes any more.
        func answer(to server: LiveServer, over direction: ChannelDirection, mark: UInt64) async throws -> Bool? {
            let answer = await server.host.next { event -> Bool? in
                if case .frame(_, .probeResult(let result)) = event { result.reached } else { nil }
            }
            // Frames of one channel are handled one after the other.
            let channel = try #require(gamma.host.channel(to: direction))
            try #require(gamma.host.sink(channel)).send(heartbeat(mark))
            _ = await server.host.next { if case .frame(_, heartbeat(mark)) = $0 { () } else { nil } }
            return answer
        }

        func stop() async throws {
            for server in [alpha, beta, gamma] { try await server.stop() }
        }
    }

    /// Would fail if a question or an answer did not come through a real channel, if the silent peer were asked about too
    /// late or nobody's word counted, and then beta were unreachable after ten intervals; if a word counted for longer than
    /// two intervals, or a no for a yes, and then it were not when gamma loses it as well; and if others' word made it
    /// healthy.
    @Test(
        "a peer that a common one reaches stays degraded, at both ends, and is unreachable when that one loses it too",
        arguments: Fault.allCases)
    func oneBadLink(_ fault: Fault) async throws {
        let scene = try await Scene()
        let (alpha, beta, gamma) = (scene.alpha, scene.beta, scene.gamma)
        let thresholds = HealthThresholds.standard
        // Others are asked two failures before it counts.
        let firstQuestion = thresholds.unreachable - 2
        try await scene.fail(fault)
        for interval in 1...(thresholds.unreachable + 4) {
            await scene.pass([(alpha, gamma), (beta, gamma)])
            if interval >= firstQuestion {
                for (server, direction) in [(alpha, ChannelDirection.incoming), (beta, .outgoing)] {
                    let mark = UInt64(1_000 + interval)
                    let answer = try await scene.answer(to: server, over: direction, mark: mark)
                    #expect(answer == true, "\(server.id) in interval \(interval)")
                }
            }
            for (server, other) in [(alpha, beta), (beta, alpha)] {
                let peer = try await server.server.peer(other.id)
                let health: HealthStatus = interval < thresholds.degraded ? .healthy : .degraded
                #expect(peer.health == health, "\(server.id) in interval \(interval)")
                #expect(peer.isVouchedFor == (interval >= thresholds.unreachable), "\(server.id) in \(interval)")
            }
        }
        try await scene.cutThird()
        // The word of the last interval counts for one more.
        for health in [HealthStatus.degraded, .unreachable] {
            await scene.pass([(alpha, gamma)])
            if health == .degraded {
                #expect(try await scene.answer(to: alpha, over: .incoming, mark: 2_000) == false)
            }
            #expect(try await alpha.server.peer(beta.id).health == health)
        }
        #expect(try await alpha.server.peer(gamma.id).health == .healthy)
        if fault != .cut { try await scene.between.stop() }
        try await scene.stop()
    }
}
