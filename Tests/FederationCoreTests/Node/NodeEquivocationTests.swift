import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

/// Servers that contradict themselves, and more of them than proofs are kept of.
@Suite("FederationNode, contradictions")
struct NodeEquivocationTests {
    private static let registry = "https://registry.example"

    /// Beta, which trusts whom a registry lists, and of which no portal leads to gamma.
    private static func federation() throws -> (TestFederation, alpha: TestNode, beta: TestNode, gamma: TestNode) {
        let federation = try TestFederation(["alpha", "beta", "gamma"], trusts: { one, _ in one != "beta" })
        let (alpha, beta, gamma) = (federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
        beta.enqueue(beta.node.setPolicy(TrustPolicy(registryListed: .all), at: federation.now))
        beta.enqueue(try beta.node.removeRoute(TestFederation.portal(to: gamma.id)))
        for node in [alpha, gamma] {
            beta.enqueue(try beta.node.register(try #require(node.card), at: federation.now).effects)
        }
        try federation.settle()
        return (federation, alpha, beta, gamma)
    }

    /// Fills a node with proofs against servers of which nothing else is known, seen after `time`.
    private static func fill(
        _ node: TestNode, seenAfter time: Timestamp = Timestamp(milliseconds: 0), listed: Bool = false
    ) {
        for number in node.node.equivocations.count..<Limits.equivocations {
            let id = ServerID(unchecked: "x\(number)")
            let proof = Equivocation(
                server: id, first: "a", second: "b", seenAt: time + .milliseconds(1 + number))
            node.node.equivocations[id] = proof
            node.store.apply(.putEquivocation(proof))
            if listed { node.node.listings[id] = [registry] }
        }
    }

    /// Lets a server show a node another card with the number of the one that is known.
    private static func contradict(_ server: TestNode, at node: TestNode, _ federation: TestFederation) throws {
        let shown = try #require(server.signedCard).card
        let other = ServerCard(
            id: shown.id, name: "Another face", endpoint: shown.endpoint, publicKey: shown.publicKey,
            commitment: shown.commitment, sequence: shown.sequence, worlds: shown.worlds, issued: shown.issued,
            expires: shown.expires
        ).issue(by: server.identity)
        let registration = try node.node.register(other, at: federation.now)
        #expect(registration.contradiction?.code == "card.equivocation")
        node.enqueue(registration.effects)
        try federation.settle()
    }

    private static func list(_ server: TestNode, at node: TestNode, _ federation: TestFederation) throws {
        node.enqueue(node.node.note(server.id, listedBy: registry, true))
        node.enqueue(node.node.reviewTrust(in: server.id, at: federation.now))
        try federation.settle()
    }

    private static func code(of server: TestNode, at node: TestNode, _ federation: TestFederation) -> String? {
        guard case .refuse(let refusal)? = node.node.decision(on: server.id, at: federation.now) else { return nil }
        return refusal.code
    }

    @Test("however many throwaway ids contradict themselves, the next one is reported, kept, and trusted no more")
    func full() throws {
        let (federation, alpha, beta, _) = try Self.federation()
        try Self.list(alpha, at: beta, federation)
        try federation.connect(alpha, beta)
        try federation.settle()
        #expect(beta.channel(to: alpha) != nil && beta.node.peers[alpha.id] != nil)
        Self.fill(beta)
        try Self.contradict(alpha, at: beta, federation)
        #expect(beta.reported.contains(.equivocated(alpha.id)))
        #expect(beta.reported.contains(.trustEnded(alpha.id, code: "policy.equivocated")))
        #expect(beta.node.peers[alpha.id] == nil && beta.channel(to: alpha) == nil)
        // The oldest proof has given way to its proof, and not the fact.
        let oldest = ServerID(unchecked: "x0")
        #expect(beta.node.equivocations.count == Limits.equivocations)
        #expect(beta.node.equivocations[alpha.id] != nil && beta.node.equivocations[oldest] == nil)
        #expect(beta.node.equivocators == [oldest])
        // Said again it is not news, with or without the cards.
        beta.reported = []
        try Self.contradict(alpha, at: beta, federation)
        #expect(beta.reported.isEmpty)
        federation.crash(beta)
        try federation.restart(beta)
        try federation.settle()
        #expect(beta.node.equivocations.count == Limits.equivocations && beta.node.equivocators == [oldest])
        #expect(try federation.connect(alpha, beta) == nil)
    }

    @Test("who has contradicted itself does not become trustworthy when the proof gives way, nor by a restart")
    func givenWay() throws {
        let (federation, alpha, beta, gamma) = try Self.federation()
        beta.enqueue(try beta.node.removeRoute(TestFederation.portal(to: alpha.id)))
        try Self.list(alpha, at: beta, federation)
        try Self.contradict(alpha, at: beta, federation)
        // Everybody else matters as much, and was seen later.
        Self.fill(beta, seenAfter: federation.now.timestamp, listed: true)
        try Self.list(gamma, at: beta, federation)
        try Self.contradict(gamma, at: beta, federation)
        #expect(beta.node.equivocations[gamma.id] != nil && beta.node.equivocations[alpha.id] == nil)
        #expect(Self.code(of: alpha, at: beta, federation) == "policy.equivocated")
        federation.crash(beta)
        try federation.restart(beta)
        try federation.settle()
        #expect(Self.code(of: alpha, at: beta, federation) == "policy.equivocated")
        #expect(try federation.connect(alpha, beta) == nil)
    }

    @Test("of an id of which nobody else speaks no proof is kept in the place of one that matters, and the fact is")
    func throwaway() throws {
        let (federation, _, beta, gamma) = try Self.federation()
        Self.fill(beta, listed: true)
        let before = Set(beta.node.equivocations.keys)
        try Self.contradict(gamma, at: beta, federation)
        #expect(Set(beta.node.equivocations.keys) == before)
        #expect(beta.reported.contains(.equivocated(gamma.id)))
        try Self.list(gamma, at: beta, federation)
        #expect(Self.code(of: gamma, at: beta, federation) == "policy.equivocated")
        #expect(beta.store.state.equivocations.contains { $0.server == gamma.id })
    }
}
