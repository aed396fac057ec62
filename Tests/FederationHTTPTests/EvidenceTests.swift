import FederationCore
import FederationModel
import FederationService
import ServiceTestKit
import TestKit
import Testing

@testable import FederationHTTP

/// What everybody may bring or read about others' keys, whether or not a registry is served.
@Suite("Evidence about others", .timeLimit(.minutes(2 * patience)))
struct EvidenceTests {
    /// Lets a server contradict itself.
    private func contradict(_ id: String, _ port: UInt16, at server: TestServer) async throws {
        var stranger = try Stranger(id, port: port)
        _ = try await server.server.register(stranger.card)
        stranger.name = "Another"
        await #expect(throws: Refusal.self) { try await server.server.register(stranger.card) }
    }

    @Test("contradictions are listed page by page, and no page is large")
    func pages() async throws {
        try await TestServer.run { server async throws in
            for number in 0..<5 { try await contradict("s\(number)", UInt16(7_900 + number), at: server) }
            var seen: [String] = []
            var sizes: [Int] = []
            var next: String?
            repeat {
                let after = next.map { "&after=\($0)" } ?? ""
                let page = try await server.request("GET", "/v1/equivocations?limit=2\(after)", as: .stranger).json
                let elements = try #require(page["equivocations"]?.elements)
                sizes.append(elements.count)
                seen += elements.compactMap { $0["id"]?.text }
                next = page["next"]?.text
            } while next != nil && sizes.count < 10
            #expect(seen == ["s0", "s1", "s2", "s3", "s4"] && sizes == [2, 2, 1])
            // Also in bytes; one is shown in any case, or a reader would never get on.
            let narrow = await server.server.equivocations(after: nil, limit: 100, bytes: 1)
            #expect(narrow.found.map(\.server.rawValue) == ["s0"] && narrow.hasMore)
            let last = await server.server.equivocations(after: ServerID(unchecked: "s3"), limit: 100, bytes: 1)
            #expect(last.found.map(\.server.rawValue) == ["s4"] && !last.hasMore)
            let two = narrow.found[0].first.utf8.count * 4 + 40
            #expect(await server.server.equivocations(after: nil, limit: 100, bytes: two).found.count == 2)
            let wrong = try await server.request("GET", "/v1/equivocations?limit=100000", as: .stranger)
            #expect(wrong.status == 400 && wrong.code == "query.invalid")
        }
    }

    @Test(
        "one address may not bring revocations and read contradictions as often as it likes",
        arguments: [FederationRoutes.RegistryAccess.admin, .signed])
    func bounds(_ access: FederationRoutes.RegistryAccess) async throws {
        try await TestServer.run(registryAccess: access) { server async throws in
            for _ in 0..<60 {
                let answer = try await server.request("POST", "/v1/revocations", as: .stranger, jws: "a.b.c")
                #expect(answer.status == 422 && answer.code == "key.badRevocation", "\(answer)")
            }
            let refused = try await server.request("POST", "/v1/revocations", as: .stranger, jws: "a.b.c")
            #expect(refused.status == 429 && refused.code == "registry.tooManyRequests", "\(refused)")
            #expect(refused.headers["retry-after"] == "1")
            for _ in 0..<300 {
                #expect(try await server.request("GET", "/v1/equivocations", as: .stranger).status == 200)
            }
            #expect(try await server.request("GET", "/v1/equivocations", as: .stranger).status == 429)
            server.clock.advance(by: .seconds(1))
            #expect(try await server.request("POST", "/v1/revocations", as: .stranger, jws: "a.b.c").status == 422)
            #expect(try await server.request("GET", "/v1/equivocations", as: .stranger).status == 200)
        }
    }

    @Test(
        "a registry takes no more ids of strangers than its operator allows, asks nobody for those, and keeps the others"
    )
    func full() async throws {
        let cards = StubCards()
        var configuration = NodeConfiguration(
            name: "R", endpoint: try #require(Endpoint("ws://127.0.0.1:7700")), servesRegistry: true)
        configuration.registeredServers = 2
        let server = try await FederationServer.open(
            identity: try TestServer.identity("registry"), configuration: configuration, store: MemoryStore(),
            assets: MemoryAssetStore(), clock: ManualClock(), logger: TestServer.quiet)
        try await server.start(transport: NoTransport(), cards: cards)
        func register(_ stranger: Stranger) async throws -> String? {
            try cards.serve(stranger.card, at: ManualClock.start)
            do {
                _ = try await server.registerStranger(stranger.card)
                return nil
            } catch {
                return error.code
            }
        }
        var first = try Stranger("s0", port: 7_900)
        #expect(try await register(first) == nil)
        #expect(try await register(Stranger("s1", port: 7_901)) == nil)
        let asked = cards.asked
        #expect(try await register(Stranger("s2", port: 7_902)) == "registry.full")
        #expect(cards.asked == asked)
        first.sequence = 2
        #expect(try await register(first) == nil)
        // Whoever has left comes back, and its place is nobody else's: its id stays bound to its key.
        try await server.deregister(first.id)
        #expect(try await register(Stranger("s2", port: 7_902)) == "registry.full")
        first.sequence = 3
        #expect(try await register(first) == nil)
        await server.stop()
    }
}
