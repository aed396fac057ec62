import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import Synchronization
import TestKit
import Testing

@testable import FederationHTTP

@Suite("Peers at a glance", .timeLimit(.minutes(1 * patience)))
struct PeerGlanceTests {
    /// A dialler that waits for its next attempt, and remembers whom it was told to try at once.
    private final class WaitingTransport: PeerTransport {
        let hastened = Mutex<[ServerID]>([])

        func dial(_ peer: ServerID, at endpoints: [Endpoint]) async {}

        func hangUp(_ peer: ServerID) async {}

        func dialState(of peer: ServerID) async -> DialState? {
            DialState(
                attempts: 7, lastFailure: "ws://127.0.0.1:7800: closed by the peer: wrongKey (4005)",
                lastCode: "wrongKey", nextRetryMilliseconds: 12_000)
        }

        func dialNow(_ peer: ServerID) async {
            hastened.withLock { $0.append(peer) }
        }
    }

    private func beat(_ id: String, _ sequence: UInt64, _ server: TestServer, by signer: String? = nil) throws -> String
    {
        HeartbeatStatement(
            issuer: try TestServer.identity(id).id, audience: server.server.id, sequence: sequence,
            issuedAt: server.clock.now().timestamp
        ).issue(
            by: try ServerIdentity(
                id: try TestServer.identity(id).id, seed: ContentHash.of(Array((signer ?? id).utf8)).bytes))
    }

    @Test("a peer tells its state, why it is trusted, what it may do, how old its key is and what went wrong last")
    func peer() async throws {
        try await TestServer.run(transport: WaitingTransport()) { server async throws in
            try await server.request("POST", "/v1/peers", jws: server.card(of: "beta"))
            server.clock.advance(by: .seconds(90_000))
            let peer = try await server.request("GET", "/v1/peers/beta").json
            #expect(peer["state"]?.text == "waiting" && peer["trust"]?.text == "pinned")
            #expect(peer["scopes"]?.elements?.compactMap(\.text) == ["heartbeat", "route", "assets", "handoff"])
            #expect(peer["keySince"]?.text == peer["addedAt"]?.text)
            #expect(peer["failingSeconds"]?.integer == 90_000)
            #expect(peer["channel"] == nil && peer["queuedFrames"] == nil)
            let dial = try #require(peer["dial"])
            #expect(dial["lastCode"]?.text == "wrongKey" && dial["nextRetryMilliseconds"]?.integer == 12_000)
            #expect(dial["attempts"]?.integer == 7)
            // A day is visible without being asked for.
            let status = try await server.request("GET", "/v1/status").json
            let failing = try #require(status["failingPeers"]?.elements?.first)
            #expect(failing["id"]?.text == "beta" && failing["seconds"]?.integer == 90_000)
            let metrics = try await server.request("GET", "/metrics").text
            for line in [
                "aether_peer_failing_seconds{peer=\"beta\"} 90000", "aether_peers_by_state{state=\"disconnected\"} 1",
                "aether_peers_by_state{state=\"connected\"} 0", "# TYPE aether_peer_failing_seconds gauge",
            ] {
                #expect(metrics.contains(line + "\n"), "\(line)")
            }
            // Who is excluded is not missed.
            try await server.request("POST", "/v1/peers/beta/suspend", json: #"{"reason":"noise"}"#)
            let suspended = try await server.request("GET", "/v1/peers/beta").json
            #expect(suspended["state"]?.text == "suspended" && suspended["failingSeconds"] == nil)
            #expect(!(try await server.request("GET", "/metrics").text.contains("aether_peer_failing_seconds{")))
        }
    }

    @Test(
        "a restart does not end a peer's failure, and one that was online has not failed while this server did not run",
        arguments: [(ServerStatus.offline, Int64(30 * 24 * 3_600)), (.online, 0)])
    func restarted(_ status: ServerStatus, _ before: Int64) async throws {
        let store = MemoryStore()
        let clock = ManualClock()
        try await TestServer.run(clock: clock, store: store, transport: WaitingTransport()) { server async throws in
            let added = try await server.request("POST", "/v1/peers", jws: server.card(of: "beta"))
            #expect(added.status == 201)
        }
        let state = try await store.load()
        var entry = try #require(state.servers.first { $0.id.rawValue == "beta" })
        entry.status = status
        entry.lastHeartbeat = ManualClock.start
        try await store.apply([.putServer(entry, card: state.cards[entry.id])])
        clock.advance(by: .seconds(30 * 24 * 3_600))
        try await TestServer.run(clock: clock, store: store, transport: WaitingTransport()) { server async throws in
            func failing() async throws -> Int64? {
                try await server.request("GET", "/v1/peers/beta").json["failingSeconds"]?.integer
            }
            #expect(try await failing() == before)
            clock.advance(by: .seconds(60))
            #expect(try await failing() == before + 60)
            #expect(
                try await server.request("GET", "/metrics").text.contains(
                    "aether_peer_failing_seconds{peer=\"beta\"} \(before + 60)\n"))
        }
    }

    @Test("a peer that was believed on first use is listed before it has shown a card, and can be suspended")
    func withoutCard() async throws {
        let store = MemoryStore()
        let beta = try TestServer.identity("beta")
        let record = PeerRecord(
            server: beta.id, publicKey: beta.publicKey, addedAt: ManualClock.start, trust: .firstUse,
            scopes: [.heartbeat, .route])
        try await store.apply([
            .trust(.putPolicy(TrustPolicy(firstUse: [.heartbeat, .route]))), .putPeer(record),
            .putBinding(KeyBinding(server: beta.id, key: beta.publicKey, since: ManualClock.start)),
        ])
        try await TestServer.run(store: store) { server async throws in
            let listed = try await server.request("GET", "/v1/peers").json["peers"]?.elements
            #expect(listed?.compactMap { $0["id"]?.text } == ["beta"])
            #expect(listed?.first?["trust"]?.text == "firstUse" && listed?.first?["status"]?.text == "offline")
            #expect(listed?.first?["fingerprint"]?.text == beta.publicKey.fingerprint)
            let suspended = try await server.request(
                "POST", "/v1/peers/beta/suspend", json: #"{"reason":"spam"}"#)
            let shown = try suspended.json
            #expect(suspended.status == 200 && shown["status"]?.text == "suspended", "\(suspended)")
            #expect(shown["state"]?.text == "suspended" && shown["suspensionReason"]?.text == "spam")
            let asked = try await server.request("GET", "/v1/peers/beta").json
            #expect(asked["state"]?.text == "suspended" && asked["suspensionReason"]?.text == "spam")
            #expect(try await server.request("GET", "/v1/status").json["suspendedPeers"]?.integer == 1)
            let back = try await server.request("POST", "/v1/peers/beta/reinstate")
            let again = try back.json
            #expect(back.status == 200 && again["status"]?.text == "offline", "\(back)")
            #expect(again["suspensionReason"] == nil)
            let nobody = try await server.request("POST", "/v1/peers/nobody/suspend", json: #"{"reason":"spam"}"#)
            #expect(nobody.status == 404)
        }
    }

    @Test("a peer that says, signed, that it is back is tried at once; all others hear that they lack the key")
    func comeback() async throws {
        let transport = WaitingTransport()
        try await TestServer.run(transport: transport) { server async throws in
            try await server.request("POST", "/v1/peers", jws: server.card(of: "beta"))
            try await server.request("POST", "/v1/servers", jws: server.card(of: "gamma"))
            let forged = try beat("beta", 1, server, by: "gamma")
            let cases: [(id: String, statement: String)] = [
                ("beta", forged), ("beta", "a.b.c"), ("gamma", try beat("gamma", 1, server)),
                ("nobody", try beat("beta", 1, server)), ("beta", try beat("gamma", 1, server)),
            ]
            for (id, statement) in cases {
                let answer = try await server.request(
                    "POST", "/v1/servers/\(id)/heartbeat", as: .stranger, jws: statement)
                #expect(answer.status == 401, "\(id): \(answer)")
            }
            #expect(transport.hastened.withLock { $0 }.isEmpty)
            let statement = try beat("beta", 1, server)
            for _ in 0..<3 {
                let answer = try await server.request(
                    "POST", "/v1/servers/beta/heartbeat", as: .stranger, jws: statement)
                #expect(answer.status == 200)
            }
            #expect(transport.hastened.withLock { $0 }.map(\.rawValue) == ["beta"])
        }
    }
}
