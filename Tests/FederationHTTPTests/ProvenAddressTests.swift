import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import TestKit
import Testing

@testable import FederationHTTP
@testable import FederationService

/// What a server that serves a registry takes of the cards that it looks for itself.
@Suite("Addresses that a registry has looked for", .timeLimit(.minutes(2 * patience)))
struct ProvenAddressTests {
    /// Waits until something has become true, and not for ever.
    private func eventually(_ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(10 * patience)
        while try await !condition() {
            try #require(ContinuousClock.now < deadline)
            await Task.yield()
        }
    }

    @Test("a card is listed when every new address in it answers; its key counts before")
    func everyAddress() async throws {
        let cards = StubCards()
        try await TestServer.run("registry", registryAccess: .signed, cards: cards) { registry async throws in
            var gamma = try Stranger("gamma")
            try gamma.commit(toNext: "second")
            let home = gamma.endpoints[0]
            _ = try await registry.server.register(gamma.card)
            try gamma.rotate(to: "second")
            gamma.endpoints = [try Stranger.endpoint(7_650), home, try Stranger.endpoint(7_651)]
            let (id, key, places) = (gamma.id, gamma.keys.publicKey, gamma.endpoints)
            cards.serve(gamma.card, at: places[0])
            await registry.server.fetchCard(of: id, at: [places[0]])
            try await eventually { await registry.server.binding(of: id)?.key == key }
            // The address where the card was found has answered, and the known one need not.
            #expect(cards.asked == 2)
            #expect(try await registry.server.server(id).endpoint == home)
            #expect(try await registry.server.server(id).alternatives.isEmpty)
            cards.serve(gamma.card, at: places[2])
            await registry.server.fetchCard(of: id, at: [places[0]])
            try await eventually { try await registry.server.server(id).endpoint == places[0] }
            #expect(try await registry.server.server(id).alternatives == Array(places.dropFirst()))
        }
    }

    /// Where a card is found that names two new addresses, of which not both answer.
    enum Place: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case home = "where its server was before"
        case new = "at a new address in it"
        case elsewhere = "at an address that is not in it"

        var testDescription: String { rawValue }

        var port: UInt16 {
            switch self {
            case .home: 7_900
            case .new: 7_650
            case .elsewhere: 7_652
            }
        }
    }

    @Test(
        "a card that contradicts the known one is kept as evidence, wherever it is found and whatever answers for it",
        arguments: Place.allCases)
    func contradiction(_ place: Place) async throws {
        let cards = StubCards()
        try await TestServer.run("registry", registryAccess: .signed, cards: cards) { registry async throws in
            var gamma = try Stranger("gamma")
            let (id, first, home) = (gamma.id, gamma.card, gamma.endpoints[0])
            _ = try await registry.server.register(first)
            gamma.endpoints = [home, try Stranger.endpoint(7_650), try Stranger.endpoint(7_651)]
            let second = gamma.card
            let found = try Stranger.endpoint(place.port)
            cards.serve(second, at: found)
            await registry.server.fetchCard(of: id, at: [found])
            try await eventually { try await !registry.store.load().equivocations.isEmpty }
            let kept = try await registry.store.load().equivocations
            #expect(kept.map(\.server) == [id] && kept.map(\.first) == [first] && kept.map(\.second) == [second])
            // It lists nothing.
            #expect(try await registry.server.server(id).alternatives.isEmpty)
            #expect(try await registry.store.load().cards[id] == first)
        }
    }
}
