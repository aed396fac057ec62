import FederationHTTP
import FederationModel
import FederationTransport
import TestKit
import Testing

/// One address that takes all it can get of connections and handshakes, while others are served. The addresses are this
/// machine's, so the servers here count those as well.
@Suite("One address against all", .serialized, .timeLimit(.minutes(5 * patience))) struct CrowdTests {
    private static let attackers = "127.0.0.2"
    private static let most = 20
    private static let many = 60

    /// What a connection asks for in order to stay.
    struct Asking: Sendable, CustomTestStringConvertible {
        let what: String
        let request: String
        let status: Int
        var testDescription: String { what }

        static let all = [
            Asking(
                what: "requests on connections that stay open", request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                status: 404),
            Asking(
                what: "WebSockets of clients",
                request: Attacker.opening.replacing(PeerRoute.path, with: ClientSocket.path), status: 101),
            Asking(what: "WebSockets of peers", request: Attacker.opening, status: 101),
        ]
    }

    /// Connects from the attackers' address and asks; nil when it is turned away.
    private func ask(_ asking: Asking, _ port: Int) async throws -> Attacker? {
        let attacker = try await Attacker.connect(port, from: Self.attackers)
        await attacker.send(Array(asking.request.utf8))
        guard let answer = await attacker.received.next() else { return nil }
        #expect(answer == .status(asking.status))
        return attacker
    }

    @Test("its connections are bounded for their whole life, whatever they have become", arguments: Asking.all)
    func connections(asking: Asking) async throws {
        var limits = ListenerLimits.patient
        limits.connectionsPerAddress = Self.most
        limits.countsLoopback = true
        let server = try await LiveServer.start("target", limits: limits)
        let honest = try await LiveServer.start("honest")
        try await server.trust(honest.identity)
        let port = server.port
        let held = try await withThrowingTaskGroup(of: Attacker?.self) { group in
            for _ in 0..<Self.many { group.addTask { try await ask(asking, port) } }
            var held: [Attacker] = []
            for try await attacker in group { if let attacker { held.append(attacker) } }
            return held
        }
        #expect(held.count == Self.most)
        #expect(server.portLimit("connections_per_address") == Int64(Self.many - Self.most))
        #expect(server.portLimit("connections") == 0 && server.portLimit("newcomers") == 0)
        // From another address a peer gets through the whole handshake.
        try await honest.trust(server.identity, at: port)
        try #require(await honest.host.established() != nil)
        // And places come free with the connections that had them.
        for attacker in held { await attacker.hangUp() }
        await eventually {
            guard let attacker = try? await ask(asking, port) else { return false }
            await attacker.hangUp()
            return true
        }
        try await honest.stop()
        try await server.stop()
    }

    @Test("the handshakes that it begins are bounded, and cost no key pair and no signature beyond that")
    func handshakeRate() async throws {
        var configuration = WebSocketPeerTransport.Configuration.patient
        configuration.countsLoopback = true
        // Each stays open, so that nothing but their rate is in the way.
        configuration.openHandshakesPerAddress = 1_000
        let server = try await LiveServer.start("target", transport: configuration)
        let honest = try await LiveServer.start("honest")
        try await server.trust(honest.identity)
        let known = try LiveServer.identity("known")
        try await server.trust(known)
        let hello = Attacker.message(try KnownPeer.handshake(known).helloMessage)
        let port = server.port
        let clock = ContinuousClock()
        let start = clock.now
        var attackers: [Attacker] = []
        for _ in 0..<PeerRate.attempts {
            let attacker = try await Attacker.upgrade(port, from: Self.attackers)
            await attacker.send(hello)
            attackers.append(attacker)
        }
        await eventually {
            Int64(server.host.signatures) + server.peerLimit("handshake_rate") >= Int64(PeerRate.attempts)
        }
        let earned = Int((clock.now - start) / PeerRate.pause) + 1
        let refused = server.peerLimit("handshake_rate")
        print("attack: of \(PeerRate.attempts) handshakes of one address \(refused) were refused (handshake_rate)")
        #expect(refused >= Int64(PeerRate.attempts - PeerRate.atOnce - earned) && refused > 0)
        #expect(server.host.opened == PeerRate.attempts - Int(refused))
        #expect(server.peerLimit("handshakes") == 0)
        await eventually { server.closed(.overloaded) >= refused }
        try await honest.trust(server.identity, at: port)
        try #require(await honest.host.established() != nil)
        for attacker in attackers { await attacker.hangUp() }
        try await honest.stop()
        try await server.stop()
    }

    /// What SECURITY.md says of the rate, with more attempts than can be earned meanwhile.
    private enum PeerRate {
        static let atOnce = 60
        static let pause: Duration = .milliseconds(500)
        static let attempts = 300
    }
}
