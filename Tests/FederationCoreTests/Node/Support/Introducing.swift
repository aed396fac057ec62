import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// What tests of introductions say and hear.
enum Introducing {
    /// Whoever one peer has introduced may do everything.
    static let one = TrustPolicy(introducedBy: .init(count: 1, scopes: .all))

    static func introduction(
        of subject: String = "gamma", by introducer: TestNode, key: PublicKey, at issued: Timestamp,
        lifetime: Duration = .seconds(3_600), signedBy signer: TestNode? = nil
    ) -> String {
        let identity = (signer ?? introducer).identity
        return Introduction(
            issuer: identity.id, subject: ServerID(unchecked: subject), key: key,
            endpoint: TableSamples.endpoint("ws://\(subject).example"), issuedAt: issued, expiresAt: issued + lifetime
        ).issue(by: identity)
    }

    /// - Returns: what it brought about.
    @discardableResult
    static func tell(
        _ statements: [String], cards: [String] = [], by teller: TestNode, to node: TestNode,
        _ federation: TestFederation
    ) throws -> [String] {
        let channel = try #require(node.channel(to: teller))
        let frame = FederationFrame.introductions(.init(statements: statements, cards: cards))
        let effects = node.node.receive(frame, on: channel, at: federation.now)
        node.enqueue(effects)
        return effects.labels
    }

    static func set(_ policy: TrustPolicy, at node: TestNode, _ federation: TestFederation) throws {
        node.enqueue(node.node.setPolicy(policy, at: federation.now))
        try federation.settle()
    }

    typealias Two = (TestFederation, alpha: TestNode, beta: TestNode, delta: TestNode, gamma: TestNode)

    /// Alpha with two introducers, beta and delta, neither of which knows gamma itself.
    static func two() throws -> Two {
        let federation = try TestFederation(
            ["alpha", "beta", "delta", "gamma"], trusts: { $0 != "gamma" && $1 != "gamma" })
        try federation.connectAll()
        try federation.settle()
        try set(one, at: federation.node("alpha"), federation)
        return (
            federation, federation.node("alpha"), federation.node("beta"), federation.node("delta"),
            federation.node("gamma")
        )
    }
}
