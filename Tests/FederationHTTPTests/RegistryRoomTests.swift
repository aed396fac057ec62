import CoreMetrics
import FederationCore
import FederationModel
import FederationService
import ServiceTestKit
import TestKit
import Testing

@testable import FederationHTTP

/// Ids stay bound to their keys, so each takes room for good: who may bring how many, and at whose expense.
@Suite("The room that registries have", .timeLimit(.minutes(2 * patience)))
struct RegistryRoomTests {
    /// Two registries at two addresses.
    private struct Both: RegistryLink {
        static let other = "http://other.test:7700"

        let one: ScriptedRegistry
        let another: ScriptedRegistry

        func ask(_ request: RegistryRequest) async throws(Refusal) -> [UInt8] {
            try await (request.address == Self.other ? another : one).ask(request)
        }
    }

    /// Runs a server that takes `listed` ids of each registry and `strangers` of strangers.
    private func small(
        _ store: MemoryStore, _ clock: ManualClock, listed: Int = 2, strangers: Int = 9,
        cards: StubCards = StubCards(), _ body: (FederationServer) async throws -> Void
    ) async throws {
        var configuration = NodeConfiguration(name: "A", endpoint: try #require(Endpoint("ws://127.0.0.1:7700")))
        configuration.listedServers = listed
        configuration.registeredServers = strangers
        configuration.servesRegistry = true
        let server = try await FederationServer.open(
            identity: try TestServer.identity("alpha"), configuration: configuration, store: store,
            assets: MemoryAssetStore(), clock: clock, logger: TestServer.quiet)
        try await server.start(transport: NoTransport(), cards: cards)
        try await body(server)
        await server.stop()
    }

    @Test("takes no more ids of a registry than it may bring, also by others' leaving, and none the less of another's")
    func room() async throws {
        let (bad, honest) = (try ScriptedRegistry(["s0", "s1", "s2"]), try ScriptedRegistry(["h0"], of: "honest"))
        let (clock, store) = (ManualClock(), MemoryStore())
        func rounds(_ server: FederationServer) async throws {
            let addresses = [ScriptedRegistry.address, Both.other]
            let client = RegistryClient(
                server: server, addresses: addresses, link: Both(one: bad, another: honest), clock: clock)
            clock.advance(by: .seconds(30))
            for address in addresses { #expect(await client.round(address)) }
        }
        try await small(store, clock) { server async throws in
            try await rounds(server)
            let known = await server.servers(status: nil, after: nil, limit: 9).map(\.id.rawValue)
            #expect(known == ["h0", "honest", "registry", "s0", "s1"])
            #expect(await server.registries(listing: ServerID(unchecked: "s1")) == [ScriptedRegistry.address])
            // Ids that have left stay bound, so they make no room.
            try bad.leave(["s0", "s1"])
            try bad.add(["s3", "s4"])
            try honest.add(["h1"])
            try await rounds(server)
            #expect(await server.binding(of: ServerID(unchecked: "s3")) == nil)
            #expect(await server.registries(listing: ServerID(unchecked: "h1")) == [Both.other])
            // Whoever is known comes back.
            try bad.add(["s1"])
            try await rounds(server)
            #expect(await server.registries(listing: ServerID(unchecked: "s1")) == [ScriptedRegistry.address])
        }
        // A restart forgets no count.
        try bad.add(["s5"])
        try await small(store, clock) { server async throws in
            try await rounds(server)
            #expect(await server.binding(of: ServerID(unchecked: "s5")) == nil)
        }
    }

    @Test("what other registries list takes no room from strangers who register here")
    func roomForStrangers() async throws {
        let (bad, honest) = (try ScriptedRegistry(["s0", "s1"]), try ScriptedRegistry(["h0"], of: "honest"))
        let (clock, cards) = (ManualClock(), StubCards())
        // The registries are servers that nobody has brought.
        try await small(MemoryStore(), clock, strangers: 3, cards: cards) { server async throws in
            let link = Both(one: bad, another: honest)
            let client = RegistryClient(
                server: server, addresses: [ScriptedRegistry.address, Both.other], link: link, clock: clock)
            for address in [ScriptedRegistry.address, Both.other] { #expect(await client.round(address)) }
            #expect(try await Self.register("t0", at: server, cards) == nil)
            #expect(try await Self.register("t1", at: server, cards) == "registry.full")
        }
    }

    /// A stranger registers.
    ///
    /// - Returns: the code of the refusal, if it is refused.
    private static func register(
        _ id: String, at server: FederationServer, _ cards: StubCards
    ) async throws -> String? {
        let stranger = try Stranger(id)
        for endpoint in stranger.endpoints { cards.serve(stranger.card, at: endpoint) }
        do throws(Refusal) {
            _ = try await server.registerStranger(stranger.card)
            return nil
        } catch {
            return error.code
        }
    }

    @Test("a registry that is readmitted has no more room than before, and takes none from strangers")
    func readmitted() async throws {
        let bad = try ScriptedRegistry(["s0", "s1"])
        let (clock, store, cards) = (ManualClock(), MemoryStore(), StubCards())
        func round(_ server: FederationServer) async -> Bool {
            clock.advance(by: .seconds(30))
            let client = RegistryClient(
                server: server, addresses: [ScriptedRegistry.address], link: bad, clock: clock)
            return await client.round(ScriptedRegistry.address)
        }
        func isListed(_ id: String, at server: FederationServer) async -> Bool {
            await server.registries(listing: ServerID(unchecked: id)) == [ScriptedRegistry.address]
        }
        // The registry itself is a server that nobody has brought.
        try await small(store, clock, strangers: 2, cards: cards) { server async throws in
            try #require(await round(server))
            for listed in [["s0", "x0", "x1"], ["s1", "x0", "x1", "x2"]] {
                try bad.list(listed)
                #expect(await !round(server), "the log was rewritten")
                try await server.readmit(ScriptedRegistry.address)
                #expect(await round(server))
                #expect(await isListed(listed[0], at: server), "who is known takes no room")
                for id in listed.dropFirst() {
                    #expect(await server.binding(of: ServerID(unchecked: id)) == nil, "\(id)")
                }
            }
            #expect(try await Self.register("t0", at: server, cards) == nil)
            #expect(try await Self.register("t1", at: server, cards) == "registry.full")
        }
        // After a restart too; the operator may give it more.
        try bad.add(["x3"])
        try await small(store, clock, strangers: 2, cards: cards) { server async throws in
            #expect(await round(server))
            #expect(await server.binding(of: ServerID(unchecked: "x3")) == nil)
            #expect(try await Self.register("t1", at: server, cards) == "registry.full")
        }
        try bad.add(["x0", "x1"])
        try await small(store, clock, listed: 3, strangers: 2, cards: cards) { server async throws in
            #expect(await round(server))
            #expect(await isListed("x0", at: server))
            #expect(await server.binding(of: ServerID(unchecked: "x1")) == nil)
        }
    }

    // MARK: What the operator is told

    /// What a registry of which two ids are taken says next, and how many have been left out by then.
    private static let told: [(what: String, says: @Sendable (ScriptedRegistry) throws -> Void, leftOut: Double?)] = [
        ("there is room for two", { try $0.list(["s0", "s1"]) }, nil),
        ("the third has none", { try $0.add(["s2"]) }, 1),
        ("nothing new", { _ in }, 1),
        ("two more on one page", { try $0.add(["s3", "s4"]) }, 3),
        ("those that leave make none", { try $0.leave(["s0", "s1"]) }, 3),
        ("one more, who has none", { try $0.add(["s5"]) }, 4),
        ("those that are known need none", { try $0.add(["s0", "s1"]) }, 4),
        ("one that was left out, named again", { try $0.add(["s2"]) }, 5),
    ]

    /// Would fail if a server that is left out were not counted, or one that is taken were; if a page counted as one, or a
    /// round that read nothing counted again; and if the counter had another name, or did not come to `/metrics`.
    @Test("each server that is left out is counted once for each time that the log names it, and /metrics tells it")
    func counted() async throws {
        let registry = try ScriptedRegistry([])
        try await TestServer.run(configure: { $0.listedServers = 2 }) { server async throws in
            let client = RegistryClient(
                server: server.server, addresses: [ScriptedRegistry.address], link: registry, clock: server.clock)
            for (what, says, leftOut) in Self.told {
                try says(registry)
                server.clock.advance(by: .seconds(30))
                // What a server counts goes to its whole process; this process has other tests.
                let isWhole = await withMetricsFactory(server.metrics) {
                    await client.round(ScriptedRegistry.address)
                }
                #expect(isWhole, "\(what)")
                let samples = try Samples(try await server.request("GET", "/metrics", as: .stranger).text)
                #expect(samples["aether_registry_servers_skipped_total"] == leftOut, "\(what)")
            }
            let known = await server.server.servers(status: nil, after: nil, limit: 9).map(\.id.rawValue)
            #expect(known == ["registry", "s0", "s1"])
        }
    }
}
