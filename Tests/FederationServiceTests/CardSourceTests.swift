import FederationModel
import ServiceTestKit
import Synchronization
import TestKit
import Testing

@testable import FederationService

/// Finds no card, and remembers who was looked for and why.
private final class EmptyCards: CardSource {
    private let visits = Mutex<[String]>([])

    var visited: [String] { visits.withLock { $0 } }

    private func none(_ visit: String) throws(Refusal) -> String {
        visits.withLock { $0.append(visit) }
        throw Refusal(.conflict, code: "endpoint.unproven", reason: "nothing is there", remedy: "run a server")
    }

    func card(at endpoint: Endpoint) async throws(Refusal) -> String { try none("\(endpoint)") }

    func card(
        at endpoint: Endpoint, isOperatorsChoice: Bool, denied: [AddressRange]
    ) async throws(Refusal) -> String {
        try none("\(endpoint)" + (isOperatorsChoice ? " by choice" : ""))
    }

    func card(
        at endpoint: Endpoint, forStrangerIn network: AddressRange?, denied: [AddressRange]
    ) async throws(Refusal) -> String {
        try none("\(endpoint) for \(network?.description ?? "nobody")")
    }
}

@Suite("Where cards are looked for", .timeLimit(.minutes(patience)))
struct CardSourceTests {
    @Test("strangers' registrations and peers' new keys go different ways, and each says on whose word")
    func ways() async throws {
        let (strangers, peers) = (EmptyCards(), EmptyCards())
        let alpha = try await TestServer.open("alpha")
        try await alpha.server.start(transport: alpha.transport, cards: strangers, peerCards: peers)
        let beta = try await TestServer.start("beta", seed: 2)
        let gamma = try await TestServer.start("gamma", seed: 3)
        _ = try await alpha.server.addPeer(try #require(await beta.server.card()?.compact))
        // Where beta was when it was pinned, and where nobody has pinned it.
        let places = [try #require(Endpoint("ws://beta.example")), try #require(Endpoint("ws://10.0.0.5:22"))]
        await alpha.server.fetchCard(of: beta.id, at: places)
        try await eventually { peers.visited.count == 2 }
        #expect(peers.visited == ["ws://beta.example:7700 by choice", "ws://10.0.0.5:22"])
        #expect(strangers.visited.isEmpty)
        let card = try #require(await gamma.server.card()?.compact)
        let network = try #require(NetworkAddress("2001:db8:1:2::7")).network
        #expect(
            await refusal { _ = try await alpha.server.registerStranger(card, from: network) } == "endpoint.unproven")
        #expect(strangers.visited == ["ws://gamma.example:7700 for 2001:db8:1:2::/64"])
        #expect(peers.visited.count == 2)
    }
}
