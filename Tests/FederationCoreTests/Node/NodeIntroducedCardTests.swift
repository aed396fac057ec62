import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// Cards that come along with introductions.
@Suite("FederationNode, cards of the introduced")
struct NodeIntroducedCardTests {
    /// Gamma's card as it would be with another number, name or key.
    private static func card(
        of node: TestNode, sequence: UInt64? = nil, name: String = "gamma", expires: Timestamp? = nil,
        as identity: ServerIdentity? = nil
    ) throws -> String {
        let card = try #require(node.signedCard?.card)
        let identity = identity ?? node.identity
        return ServerCard(
            id: card.id, name: name, endpoint: card.endpoint, publicKey: identity.publicKey,
            commitment: card.commitment,
            sequence: sequence ?? card.sequence, worlds: [], issued: card.issued, expires: expires ?? card.expires
        ).issue(by: identity)
    }

    @Test("who introduces a server shows its card, and it is a peer without being looked for")
    func carried() throws {
        // Gamma comes to beta when alpha has long been there, and the other way round.
        for first in ["alpha", "gamma"] {
            let federation = try TestFederation(
                ["alpha", "beta", "gamma"], trusts: { Set([$0, $1]) != ["alpha", "gamma"] })
            let (alpha, beta, gamma) = (
                federation.node("alpha"), federation.node("beta"), federation.node("gamma")
            )
            for node in [alpha, gamma] { try Introducing.set(Introducing.one, at: node, federation) }
            try federation.connect(federation.node(first), beta)
            try federation.settle()
            try federation.connect(first == "alpha" ? gamma : alpha, beta)
            try federation.settle()
            for (node, other) in [(alpha, gamma), (gamma, alpha)] {
                #expect(node.node.peers[other.id]?.trust == .introduced([beta.id]))
                #expect(node.node.registry.server(other.id)?.endpoint == other.signedCard?.card.endpoint)
                #expect(node.fetched.isEmpty && node.dialled.contains(other.id))
            }
            try federation.connect(alpha, gamma)
            try federation.settle()
            #expect(alpha.channel(to: gamma) != nil)
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// What comes along with beta's introduction of gamma.
        let card: @Sendable (Introducing.Two) throws -> String
        var report: String?
    }

    static let uselessCards = [
        Case(testDescription: "nothing that is a card", card: { _ in "nonsense" }, report: "introduction.cardRefused"),
        Case(
            testDescription: "the card of another",
            card: { try #require($0.delta.card) }, report: "introduction.cardRefused"),
        Case(
            testDescription: "the introducer's own", card: { try #require($0.beta.card) },
            report: "introduction.cardRefused"),
        Case(
            testDescription: "a card under another key",
            card: { nodes in
                let other = try ServerIdentity(id: nodes.gamma.id, seed: .init(repeating: 9, count: 32))
                return try Self.card(of: nodes.gamma, as: other)
            }),
        Case(
            testDescription: "a card that has expired",
            card: { try Self.card(of: $0.gamma, expires: $0.0.now.timestamp) },
            report: "introduction.cardRefused"),
    ]

    @Test(
        "a card that says nothing of who was introduced is not taken, and its own is looked for",
        arguments: uselessCards)
    func useless(_ one: Case) throws {
        let all = try Introducing.two()
        let (federation, alpha, beta, _, gamma) = all
        let labels = try Introducing.tell(
            [Introducing.introduction(by: beta, key: gamma.identity.publicKey, at: federation.now.timestamp)],
            cards: [try one.card(all)], by: beta, to: alpha, federation)
        try federation.settle()
        #expect(
            labels.filter { $0.hasPrefix("report") } == [one.report.map { "report refused \($0)" }].compactMap(\.self))
        #expect(alpha.node.registry.server(gamma.id) == nil && alpha.node.peers[gamma.id] == nil)
        #expect(alpha.fetched == [gamma.id])
    }

    @Test("of a stranger whom the policy does not trust, the card is not kept")
    func stranger() throws {
        let (federation, alpha, beta, delta, gamma) = try Introducing.two()
        try Introducing.set(TrustPolicy(introducedBy: .init(count: 2, scopes: .all)), at: alpha, federation)
        let card = try #require(gamma.card)
        for (introducer, isEnough) in [(beta, false), (delta, true)] {
            let statement = Introducing.introduction(
                by: introducer, key: gamma.identity.publicKey, at: federation.now.timestamp)
            try Introducing.tell([statement], cards: [card], by: introducer, to: alpha, federation)
            try federation.settle()
            #expect((alpha.node.registry.server(gamma.id) != nil) == isEnough)
            #expect((alpha.node.peers[gamma.id] != nil) == isEnough)
        }
        #expect(alpha.fetched.isEmpty)
    }

    @Test("two introducers that name two keys: no card is taken, whichever of the two it fits")
    func contested() throws {
        let (federation, alpha, beta, delta, gamma) = try Introducing.two()
        try Introducing.set(TrustPolicy(introducedBy: .init(count: 2, scopes: .all)), at: alpha, federation)
        let now = federation.now.timestamp
        try Introducing.tell(
            [Introducing.introduction(by: beta, key: beta.identity.publicKey, at: now)], by: beta, to: alpha, federation
        )
        try Introducing.tell(
            [Introducing.introduction(by: delta, key: gamma.identity.publicKey, at: now)],
            cards: [try #require(gamma.card)], by: delta, to: alpha, federation)
        try federation.settle()
        #expect(alpha.reported.contains(.introductionsContradict(gamma.id)))
        #expect(alpha.node.registry.server(gamma.id) == nil && alpha.fetched.isEmpty)
    }

    @Test("of a known server the newer card is taken, the older one not, and one that contradicts is proof")
    func known() throws {
        let (federation, alpha, beta, _, gamma) = try Introducing.two()
        let sequence = try #require(gamma.signedCard?.card.sequence)
        func tell(_ card: String) throws -> [String] {
            federation.advance(by: .seconds(1))
            let statement = Introducing.introduction(
                by: beta, key: gamma.identity.publicKey, at: federation.now.timestamp)
            return try Introducing.tell([statement], cards: [card], by: beta, to: alpha, federation)
        }
        func name() -> String? { alpha.node.registry.server(gamma.id)?.name }
        let second = try Self.card(of: gamma, sequence: sequence + 1, name: "second")
        _ = try tell(second)
        #expect(name() == "second")
        #expect(try tell(try Self.card(of: gamma, name: "first")).filter { $0.hasPrefix("report") } == [])
        #expect(name() == "second")
        #expect(try tell(second).filter { $0.hasPrefix("report") } == [])
        _ = try tell(try Self.card(of: gamma, sequence: sequence + 2, name: "third"))
        #expect(name() == "third" && alpha.node.peers[gamma.id] != nil)
        let labels = try tell(try Self.card(of: gamma, sequence: sequence + 2, name: "another third"))
        #expect(labels.contains("report gamma equivocated"))
        #expect(name() == "third" && alpha.node.peers[gamma.id] == nil)
        #expect(alpha.node.equivocations[gamma.id] != nil)
    }
}
