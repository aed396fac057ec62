import FederationCore
import FederationModel
import ServiceTestKit
import TestKit
import Testing

@testable import FederationService

@Suite("FederationServer, denied addresses", .timeLimit(.minutes(patience)))
struct DeniedAddressTests {
    private static func deny(_ pattern: String) throws -> TrustPolicy {
        TrustPolicy(deny: [try #require(TrustPattern(pattern))])
    }

    @Test(
        "a channel from a denied address is refused before its Hello is answered, whoever may be there",
        arguments: [
            ("203.0.113.7:4242", true), ("[::ffff:203.0.113.7]:4242", true), ("203.0.114.1:4242", false),
            ("[2001:db8::1]:7700", false), ("local", false),
        ])
    func incoming(_ remote: String, _ isDenied: Bool) async throws {
        let alpha = try await TestServer.start("alpha")
        try await alpha.server.setPolicy(Self.deny("address:203.0.113.0/24"))
        for direction in [ChannelDirection.incoming, .outgoing] {
            let peer = direction == .incoming ? nil : ServerID(unchecked: "beta")
            do throws(ChannelFailure) {
                _ = try await alpha.server.openChannel(direction, peer: peer, remote: remote, sink: Pipe())
                #expect(!isDenied)
            } catch {
                #expect(isDenied && error.code == .untrustedPeer)
            }
        }
    }

    @Test("a policy that denies the address of a live channel closes it at once, and the players stay")
    func live() async throws {
        let pair = try await TestPair.make(remote: "198.51.100.9:7700")
        pair.link.there.hold("offer")
        _ = try await pair.alpha.travel()
        try await eventually { pair.link.there.sent.contains("offer") }
        try await pair.alpha.server.setPolicy(Self.deny("address:198.51.100.0/28"))
        #expect(pair.link.there.sent.last == "close untrustedPeer")
        #expect(await !pair.alpha.server.isConnected(to: pair.beta.id))
        // It is the address that is denied, and not the peer: by another one it is welcome.
        #expect(try await pair.alpha.server.peer(pair.beta.id).trust == .pinned)
        try await eventually { await !pair.beta.server.isConnected(to: pair.alpha.id) }
        let again = try await Link.open(pair.alpha.server, pair.beta.server)
        #expect(await pair.alpha.server.isConnected(to: pair.beta.id))
        try await eventually { (try? await pair.beta.server.player(pair.ada))?.presence == .playable }
        await again.close()
    }

    @Test("a handshake that runs is ended by the policy, too")
    func handshake() async throws {
        let alpha = try await TestServer.start("alpha")
        let beta = try await TestServer.start("beta", seed: 2)
        _ = try await alpha.server.addPeer(try #require(await beta.server.card()?.compact))
        let pipe = Pipe()
        let opened = try await alpha.server.openChannel(.incoming, peer: nil, remote: "198.51.100.9:1", sink: pipe)
        let hello = try await beta.server.openChannel(.outgoing, peer: alpha.id, remote: "alpha", sink: Pipe()).hello
        try await alpha.server.setPolicy(Self.deny("address:198.51.100.9"))
        #expect(pipe.sent == ["close untrustedPeer"])
        guard case .close = await alpha.server.receiveHandshake(hello, on: opened.id) else {
            Issue.record("it goes on")
            return
        }
    }

    @Test("an examination asks no registry about a server at a denied address")
    func registries() async throws {
        let alpha = try await TestServer.open("alpha")
        let examiner = StubExaminer()
        try await alpha.server.start(transport: alpha.transport, examiner: examiner)
        await alpha.server.use(["http://registry.example:7700"])
        try await alpha.server.setPolicy(Self.deny("address:198.51.100.0/28"))
        #expect(await alpha.server.ownEntries(by: examiner).map(\.code) == ["server.unreachable"])
        #expect(examiner.visited == ["listing http://registry.example:7700 but 198.51.100.0/28"])
    }

    @Test("a denied address is not dialled for a pinned peer either")
    func dialling() async throws {
        let alpha = try await TestServer.start("alpha")
        let beta = try await TestServer.start("beta", seed: 2)
        _ = try await alpha.server.addPeer(try #require(await beta.server.card()?.compact))
        let stranger = ServerID(unchecked: "gamma")
        let place = try #require(Endpoint("ws://beta.example"))
        #expect(await alpha.server.addressPolicy(for: beta.id, at: place) == nil)
        #expect(await alpha.server.addressPolicy(for: stranger, at: place) == .publicOnly)
        try await alpha.server.setPolicy(Self.deny("address:198.51.100.0/28"))
        let denied = [try #require(AddressRange("198.51.100.0/28"))]
        #expect(await alpha.server.addressPolicy(for: beta.id, at: place) == .allBut(denied))
        #expect(await alpha.server.addressPolicy(for: stranger, at: place) == AddressPolicy(denied: denied))
    }
}
