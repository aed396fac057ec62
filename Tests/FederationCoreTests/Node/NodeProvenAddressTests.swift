import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// Cards that come by others' word to a server that serves a registry.
@Suite("FederationNode, addresses that a registry lists")
struct NodeProvenAddressTests {
    private static let home = "ws://gamma.example"
    private static let moved = "ws://moved.example"

    /// The key that gamma has committed to.
    private static func successor() throws -> ServerIdentity {
        try ServerIdentity(id: ServerID(unchecked: "gamma"), seed: [UInt8](repeating: 90, count: 32))
    }

    /// Alpha serves a registry.
    private static func federation(
        serves: Bool = true, trusts: (String, String) -> Bool = { _, _ in true }
    ) throws -> (TestFederation, alpha: TestNode, beta: TestNode, gamma: TestNode) {
        let federation = try TestFederation(
            ["alpha", "beta", "gamma"],
            configure: { name, configuration in
                configuration.servesRegistry = serves && name == "alpha"
                if name == "gamma" {
                    configuration.commitment = KeyCommitment(next: try successor().publicKey.commitment, recovery: nil)
                }
            }, trusts: trusts)
        try federation.connectAll()
        try federation.settle()
        return (federation, federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
    }

    /// Gamma's next card.
    private static func card(
        of node: TestNode, at places: [String], rotatedTo successor: ServerIdentity? = nil
    ) throws -> String {
        let card = try #require(node.signedCard?.card)
        let endpoints = places.map { TableSamples.endpoint($0) }
        let rotations = successor.map {
            [
                KeyRotation(issuer: card.id, to: $0.publicKey, next: nil, issuedAt: card.issued)
                    .issue(by: node.identity)
            ]
        }
        let signer = successor ?? node.identity
        return ServerCard(
            id: card.id, name: card.name, endpoint: endpoints[0], alternatives: Array(endpoints.dropFirst()),
            publicKey: signer.publicKey, commitment: successor == nil ? card.commitment : KeyCommitment(),
            rotations: rotations ?? [], sequence: card.sequence + 1, worlds: [], issued: card.issued,
            expires: card.expires
        ).issue(by: signer)
    }

    /// Where gamma is listed.
    private static func places(at node: TestNode) -> [Endpoint] {
        let entry = node.node.registry.server(ServerID(unchecked: "gamma"))
        return entry.map { [$0.endpoint] + $0.alternatives } ?? []
    }

    private static func endpoints(_ places: String...) -> [Endpoint] { places.map { TableSamples.endpoint($0) } }

    @Test(
        "a peer's card that names a new address is looked for there, and listed when it was found",
        arguments: [true, false])
    func moved(_ serves: Bool) throws {
        let (federation, alpha, _, gamma) = try Self.federation(serves: serves)
        let card = try Self.card(of: gamma, at: [Self.home, Self.moved])
        let channel = try #require(alpha.channel(to: gamma))
        let logged = alpha.node.log.count
        let first = alpha.node.receive(.notice(.card(card)), on: channel, at: federation.now)
        guard serves else {
            #expect(Self.places(at: alpha) == Self.endpoints(Self.home, Self.moved))
            return
        }
        #expect(first.labels == ["fetch card of gamma"])
        // Said again within the pause it brings nothing about.
        let again = alpha.node.receive(.notice(.card(card)), on: channel, at: federation.now)
        #expect(again.labels.isEmpty)
        #expect(Self.places(at: alpha) == Self.endpoints(Self.home) && alpha.node.log.count == logged)
        let later = Now(
            instant: federation.now.instant + Limits.cardFetchPause,
            timestamp: federation.now.timestamp + Limits.cardFetchPause)
        let repeated = alpha.node.receive(.notice(.card(card)), on: channel, at: later)
        #expect(repeated.labels == ["fetch card of gamma"])
        alpha.enqueue(try alpha.node.register(card, at: federation.now).effects)
        #expect(Self.places(at: alpha) == Self.endpoints(Self.home, Self.moved))
        #expect(alpha.node.log.count == logged + 1)
    }

    @Test("a peer's newer card that names known addresses only is taken at once")
    func known() throws {
        let (federation, alpha, _, gamma) = try Self.federation()
        let sequence = try #require(gamma.signedCard?.card.sequence)
        let channel = try #require(alpha.channel(to: gamma))
        let effects = alpha.node.receive(
            .notice(.card(try Self.card(of: gamma, at: [Self.home]))), on: channel, at: federation.now)
        #expect(!effects.labels.contains("fetch card of gamma"))
        #expect(alpha.node.registry.server(gamma.id)?.recordSequence == sequence + 1)
    }

    @Test("a change of key does not wait for the address, and the log that says so is believed")
    func rotated() throws {
        let (federation, alpha, _, gamma) = try Self.federation()
        let successor = try Self.successor()
        let card = try Self.card(of: gamma, at: [Self.moved], rotatedTo: successor)
        let channel = try #require(alpha.channel(to: gamma))
        let effects = alpha.node.receive(.notice(.card(card)), on: channel, at: federation.now)
        #expect(effects.labels.contains("report gamma rotated") && effects.labels.last == "fetch card of gamma")
        alpha.enqueue(effects)
        try federation.settle()
        #expect(alpha.node.bindings[gamma.id]?.key == successor.publicKey)
        #expect(alpha.node.peers[gamma.id]?.publicKey == successor.publicKey)
        #expect(alpha.node.registry.server(gamma.id)?.publicKey == successor.publicKey)
        #expect(Self.places(at: alpha) == Self.endpoints(Self.home))
        alpha.enqueue(try alpha.node.register(card, at: federation.now).effects)
        try federation.settle()
        #expect(Self.places(at: alpha) == Self.endpoints(Self.moved))
        let audit = try LogReader.audit(alpha, at: federation.now)
        #expect(audit.subjects[gamma.id]?.binding.key == successor.publicKey)
        let listed = audit.check(listed: gamma.id, card, later: [], at: federation.now.timestamp)
        #expect(listed.isEmpty)
    }

    @Test("the card of an introduced stranger is not taken from whoever introduces it, but looked for")
    func introduced() throws {
        let (federation, alpha, beta, gamma) = try Self.federation(trusts: { $0 != "gamma" && $1 != "gamma" })
        try Introducing.set(Introducing.one, at: alpha, federation)
        let card = try #require(gamma.card)
        try Introducing.tell(
            [Introducing.introduction(by: beta, key: gamma.identity.publicKey, at: federation.now.timestamp)],
            cards: [card], by: beta, to: alpha, federation)
        try federation.settle()
        #expect(alpha.node.registry.server(gamma.id) == nil && alpha.node.peers[gamma.id] == nil)
        #expect(alpha.fetched == [gamma.id])
        alpha.enqueue(try alpha.node.register(card, at: federation.now).effects)
        try federation.settle()
        #expect(alpha.node.peers[gamma.id]?.trust == .introduced([beta.id]))
    }

    @Test("one peer's word of where another server is now changes no entry and makes nobody knock there")
    func hearsay() throws {
        let (federation, alpha, beta, gamma) = try Self.federation(trusts: { $0 != "gamma" && $1 != "gamma" })
        alpha.enqueue(try alpha.node.register(try #require(gamma.card), at: federation.now).effects)
        try federation.settle()
        let card = try Self.card(of: gamma, at: [Self.moved])
        try Introducing.tell(
            [Introducing.introduction(by: beta, key: gamma.identity.publicKey, at: federation.now.timestamp)],
            cards: [card], by: beta, to: alpha, federation)
        let channel = try #require(alpha.channel(to: beta))
        alpha.enqueue(alpha.node.receive(.notice(.card(card)), on: channel, at: federation.now))
        try federation.settle()
        #expect(Self.places(at: alpha) == Self.endpoints(Self.home) && alpha.fetched.isEmpty)
    }
}
