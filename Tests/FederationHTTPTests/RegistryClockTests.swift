import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import TestPatience
import Testing

@testable import FederationHTTP

@Suite("Registries, and clocks that differ", .timeLimit(.minutes(2 * patience)))
struct RegistryClockTests {
    /// Would fail if a card that is not valid yet by a slow clock were passed over: its server would be listed only when it
    /// shows the next one.
    @Test("a reader whose clock is slow reads a page with a fresh card again, and says why")
    func slow() async throws {
        let cards = StubCards()
        try await TestServer.run("registry", registryAccess: .signed, cards: cards) { registry async throws in
            try await TestServer.run("alpha", clock: ManualClock()) { alpha async throws in
                let ahead = Duration.seconds(1_000)
                registry.clock.advance(by: ahead)
                var beta = try Stranger("beta")
                beta.issued = ManualClock.start + ahead
                let id = beta.id
                _ = try await registry.server.register(beta.card)
                _ = try await registry.server.register(try Stranger("gamma", port: 7_901).card)
                let client = RegistryClient(
                    server: alpha.server, addresses: [registry.address], link: TestLink(), clock: alpha.clock)
                func source() async throws -> RegistrySource {
                    try #require(await alpha.server.sources().first { $0.address == registry.address })
                }
                #expect(await !client.round(registry.address))
                let slow = try await source()
                #expect(slow.lastError?.code == "registry.clock" && slow.read == 0 && !slow.isFaulty)
                // Cards are dated in whole seconds.
                #expect(slow.lastError?.reason.contains(" 999 s ") == true)
                #expect(await alpha.server.registries(listing: id).isEmpty)
                // What else is on the page holds.
                #expect(await alpha.server.registries(listing: ServerID(unchecked: "gamma")) == [registry.address])
                alpha.clock.advance(by: ahead)
                _ = await client.round(registry.address)
                let right = try await source()
                #expect(right.lastError?.code != "registry.clock" && right.read == right.size && right.read >= 2)
                #expect(await alpha.server.registries(listing: id) == [registry.address])
            }
        }
    }

    /// Would fail if any card from the future stopped the reading: whoever got one into a log could stop all its readers.
    @Test("a card that is ahead of the registry's clock too is passed over")
    func ahead() async throws {
        try await TestServer.run { alpha async throws in
            let registry = try ScriptedRegistry(["s0", "s1"])
            registry.change { $0.listed[0].issued = ManualClock.start + .seconds(1_000) }
            let client = RegistryClient(
                server: alpha.server, addresses: [ScriptedRegistry.address], link: registry, clock: alpha.clock)
            #expect(await client.round(ScriptedRegistry.address))
            let source = try #require(
                await alpha.server.sources().first { $0.address == ScriptedRegistry.address })
            #expect(source.read == 2 && source.servers == 1)
            #expect(await alpha.server.registries(listing: ServerID(unchecked: "s0")).isEmpty)
        }
    }
}
