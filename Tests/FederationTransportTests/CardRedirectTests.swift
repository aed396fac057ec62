import FederationModel
import FederationService
import NIOHTTP1
import Synchronization
import TestKit
import Testing

@testable import FederationTransport

/// What answers at an address proves it; what answers behind a redirect is somewhere else.
@Suite("Cards behind redirects", .timeLimit(.minutes(5 * patience)))
struct CardRedirectTests {
    /// On whose word a card is looked for.
    enum Word: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case peer = "a peer's"
        case choice = "the operator's"
        case stranger = "a stranger's"

        var testDescription: String { rawValue }

        func card(at place: Endpoint, from cards: GuardedCards) async throws -> String {
            switch self {
            case .peer: try await cards.card(at: place, isOperatorsChoice: false, denied: [])
            case .choice: try await cards.card(at: place, isOperatorsChoice: true, denied: [])
            case .stranger:
                try await cards.card(
                    at: place, forStrangerIn: try #require(NetworkAddress("198.51.100.1")).network, denied: [])
            }
        }
    }

    @Test(
        "a card is never fetched through a redirect, on whoever's word, and the operator is told why",
        arguments: [301, 302, 303, 307, 308], Word.allCases)
    func refused(_ status: Int, _ word: Word) async throws {
        let behind = try await ScriptedServer.start(host: "127.0.7.71") { _ in .full(.ok, body: "a.b.c") }
        let target = "http://127.0.7.71:\(behind.port)/.well-known/aether-federation"
        let server = try await ScriptedServer.start(host: "127.0.7.72") { _ in
            .full(HTTPResponseStatus(statusCode: status), ["Location": target])
        }
        var configuration = GuardedFetcher.Configuration()
        configuration.policy = AddressPolicy(allowsPrivate: true)
        configuration.timeLimit = unhurried
        let fetcher = try GuardedFetcher(configuration: configuration, resolver: ScriptedResolver([:]))
        let told = Mutex<[Refusal]>([])
        let cards = GuardedCards(fetcher) { _, refusal in told.withLock { $0.append(refusal) } }
        let place = try #require(Endpoint("ws://127.0.7.72:\(server.port)"))
        let refusal = await #expect(throws: Refusal.self) { try await word.card(at: place, from: cards) }
        // Whoever made it look there is told no more than of a closed port.
        #expect(refusal?.code == "endpoint.unproven" && refusal?.reason == "no card was found at \(place)")
        #expect(server.asked.count == 1 && behind.asked.isEmpty)
        let causes = told.withLock { $0 }
        #expect(causes.map(\.code) == ["fetch.forbiddenRedirect"])
        #expect(causes.first?.reason.contains("leads to '\(target)'") == true)
        // Where it is, it is found.
        let origin = try #require(Endpoint("ws://127.0.7.71:\(behind.port)"))
        #expect(try await word.card(at: origin, from: cards) == "a.b.c")
        try await server.stop()
        try await behind.stop()
    }
}
