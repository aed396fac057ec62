import FederationModel
import FederationService
import TestKit
import Testing

@testable import FederationTransport

@Suite("Dialling servers that nobody pinned", .timeLimit(.minutes(5 * patience)))
struct DialPolicyTests {
    private func transport(_ host: TestHost, _ clock: ManualClock, _ resolver: any NameResolver) throws
        -> WebSocketPeerTransport
    {
        var configuration = WebSocketPeerTransport.Configuration()
        configuration.chance = { 0.5 }
        configuration.resolver = resolver
        return try WebSocketPeerTransport(host: host, configuration: configuration, clock: clock)
    }

    @Test("a name with a private address is not dialled, and with leave it is", arguments: [false, true])
    func judged(allowsPrivate: Bool) async throws {
        let clock = ManualClock()
        let near = try TestHost("near", clock: clock)
        let far = try TestHost("far", clock: clock)
        // The second answer leads to nobody: only the first, which was judged, may be dialled.
        let resolver = ScriptedResolver(["far.test": [["127.0.0.1"], ["127.0.7.20"]]])
        let dialling = try transport(near, clock, resolver)
        await near.judge(by: AddressPolicy(allowsPrivate: allowsPrivate))
        let listener = try await TestListener.start(try transport(far, clock, resolver))
        let endpoint = try #require(Endpoint("ws://far.test:\(listener.port)"))
        await dialling.dial(far.identity.id, at: [endpoint])
        if allowsPrivate {
            #expect(await near.established() != nil)
        } else {
            await clock.somebodySleeps()
            let state = try #require(await dialling.dialState(of: far.identity.id))
            #expect(state.lastCode == "address.refused" && state.nextRetryMilliseconds == 750)
            #expect(
                state.lastFailure
                    == "\(endpoint): far.test (127.0.0.1) is a loopback address, which is this machine")
        }
        #expect(resolver.asked == ["far.test"])
        await dialling.shutdown()
        try await listener.stop()
    }

    @Test(
        "a denied address is not dialled, also when a name resolves to it, whoever has chosen it",
        arguments: [true, false], ["far.test", "127.0.0.1"])
    func denied(isPinned: Bool, name: String) async throws {
        let clock = ManualClock()
        let near = try TestHost("near", clock: clock)
        let far = try TestHost("far", clock: clock)
        let resolver = ScriptedResolver(["far.test": [["127.0.0.1"]]])
        let dialling = try transport(near, clock, resolver)
        let denied = [try #require(AddressRange("127.0.0.0/24"))]
        await near.judge(by: isPinned ? .allBut(denied) : AddressPolicy(allowsPrivate: true).denying(denied))
        let listener = try await TestListener.start(try transport(far, clock, resolver))
        await dialling.dial(far.identity.id, at: [try #require(Endpoint("ws://\(name):\(listener.port)"))])
        await clock.somebodySleeps()
        let state = try #require(await dialling.dialState(of: far.identity.id))
        #expect(state.lastCode == "address.denied" && state.attempts == 1, "\(state)")
        // The deny list does not name it any more.
        await near.judge(by: isPinned ? .allBut([]) : AddressPolicy(allowsPrivate: true))
        await dialling.dialNow(far.identity.id)
        #expect(await near.established() != nil)
        await dialling.shutdown()
        try await listener.stop()
    }

    @Test("a peer that an operator pinned may be anywhere, and its name is the system's to resolve")
    func pinned() async throws {
        let clock = ManualClock()
        let near = try TestHost("near", clock: clock)
        let far = try TestHost("far", clock: clock)
        let resolver = ScriptedResolver([:])
        let dialling = try transport(near, clock, resolver)
        let listener = try await TestListener.start(try transport(far, clock, resolver))
        await dialling.dial(far.identity.id, at: [try listener.endpoint()])
        #expect(await near.established() != nil)
        #expect(resolver.asked.isEmpty)
        await dialling.shutdown()
        try await listener.stop()
    }

    @Test("who says to be back is dialled at once, once, and the pauses grow on as before")
    func back() async throws {
        let clock = ManualClock()
        let near = try TestHost("near", clock: clock)
        let far = try TestHost("far", clock: clock)
        let dialling = try transport(near, clock, ScriptedResolver([:]))
        let dead = try await TestListener.start(try transport(far, clock, ScriptedResolver([:])), host: "127.0.7.21")
        let endpoint = try dead.endpoint()
        try await dead.stop()
        // Nobody is dialled yet: nothing to hasten.
        await dialling.dialNow(far.identity.id)
        await dialling.dial(far.identity.id, at: [endpoint])
        await clock.somebodySleeps()
        #expect(await dialling.dialState(of: far.identity.id)?.nextRetryMilliseconds == 750)
        await dialling.dialNow(far.identity.id)
        await clock.somebodySleeps()
        let state = try #require(await dialling.dialState(of: far.identity.id))
        #expect(state.attempts == 2 && state.nextRetryMilliseconds == 1_500, "\(state)")
        #expect(state.lastCode == "unreachable")
        await dialling.shutdown()
    }
}
