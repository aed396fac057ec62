import FederationCore
import FederationCrypto
import FederationModel
import Logging
import ServiceTestKit
import TestKit
import Testing

@testable import FederationService

@Suite("FederationServer, searches of the registry", .timeLimit(.minutes(patience)))
struct SearchTests {
    /// Ids sort by their numbers.
    private static func id(_ number: Int) -> ServerID {
        ServerID(unchecked: "s\(String(number + 100_000))")
    }

    /// A server that knows `count` others; every fifth is a harbour.
    private static func open(_ count: Int) async throws -> FederationServer {
        let identity = try ServerIdentity(id: ServerID(unchecked: "alpha"), seed: ContentHash.of([1]).bytes)
        let endpoint = try #require(Endpoint("ws://127.0.0.1:7700"))
        var stored = StoredState()
        stored.servers = (0..<count).map { number in
            FederatedServer(
                id: id(number), name: number % 5 == 0 ? "Harbour" : "Garden", endpoint: endpoint,
                publicKey: identity.publicKey, registeredAt: ManualClock.start, recordSequence: 1)
        }
        return try await FederationServer.open(
            identity: identity, configuration: NodeConfiguration(name: "The alpha server", endpoint: endpoint),
            store: MemoryStore(stored), assets: MemoryAssetStore(), clock: ManualClock(),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    /// Would fail if a part of a search left servers out, showed them twice, or lost its place.
    @Test(
        "a long search finds what is there, in order and up to its bounds, and says where it goes on",
        arguments: [
            // What is looked for, after which number, the limit; how many are found, and the last of them that goes on.
            (nil, nil, 1_000, 1_000, 999), ("harbour", nil, 100, 100, 495), ("harbour", nil, 500, 500, 2_495),
            ("harbour", nil, 2_000, 2_000, 9_995), ("harbour", nil, 2_001, 2_000, 9_999),
            ("harbour", 1_999, 2_001, 2_000, 11_999),
            ("harbour", 9_999, 2_000, 600, nil), ("nobody", nil, 1, 0, 9_999), ("nobody", 9_999, 1, 0, nil),
        ] as [(String?, Int?, Int, Int, Int?)])
    func found(text: String?, after: Int?, limit: Int, count: Int, next: Int?) async throws {
        let server = try await Self.open(13_000)
        let search = RegistrySearch(text: text)
        let (servers, cursor) = try await server.search(search, after: after.map(Self.id), limit: limit)
        let first = after.map { $0 + 1 } ?? 0
        let expected = (first..<13_000).filter { text == nil || text == "harbour" && $0 % 5 == 0 }.prefix(count)
        #expect(servers.map(\.id) == expected.map(Self.id))
        #expect(cursor == next.map(Self.id))
        let shown = try await server.searchWithCards(search, after: after.map(Self.id), limit: limit)
        #expect(shown.servers.map(\.entry) == servers && shown.next == cursor)
    }

    /// Would fail if a search went through all its entries in one go.
    @Test("whatever else there is to do has its turn during a long search, and so many of these may be under way")
    func turns() async throws {
        let server = try await Self.open(5_000)
        #expect(try await server.searchesMeanwhile(RegistrySearch(text: "nobody")) == 1)
        #expect(try await server.searchesMeanwhile(RegistrySearch(text: "harbour")) == 0)
        await server.begin(Limits.longSearches)
        await #expect(throws: Refusal.self) {
            try await server.search(RegistrySearch(text: "nobody"), after: nil, limit: 100)
        }
        #expect(try await server.search(RegistrySearch(), after: nil, limit: 1_000).servers.count == 1_000)
        await server.begin(-1)
        #expect(try await server.search(RegistrySearch(text: "nobody"), after: nil, limit: 100).servers.isEmpty)
    }
}

extension FederationServer {
    /// Asks for a search and for something else at one moment: how many long searches are under way when the other is
    /// answered.
    fileprivate func searchesMeanwhile(_ search: RegistrySearch) async throws -> Int {
        let searching = Task { try await self.search(search, after: nil, limit: 100).servers.count }
        let other = Task { self.searchesUnderWay }
        let meanwhile = await other.value
        _ = try await searching.value
        return meanwhile
    }

    fileprivate func begin(_ searches: Int) { searchesUnderWay += searches }
}
