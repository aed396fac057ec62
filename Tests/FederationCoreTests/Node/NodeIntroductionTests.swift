import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// Servers that hear of one another from those they trust.
@Suite("FederationNode, introductions")
struct NodeIntroductionTests {
    private static let ada = PromiseTests.ada

    /// A line: alpha and beta trust each other, beta and gamma do, and so on; nobody else.
    private static func line(
        _ names: [String] = ["alpha", "beta", "gamma"], isLasting: Bool = false
    ) throws -> (TestFederation, alpha: TestNode, beta: TestNode, gamma: TestNode) {
        let federation = try TestFederation(
            names,
            health: isLasting
                ? try HealthThresholds(degraded: 100, unreachable: 1_000, interval: .seconds(24 * 3_600)) : .standard,
            trustLifetime: isLasting ? .seconds(30 * 24 * 3_600) : Limits.trustLifetime,
            configure: { name, configuration in
                configuration.commitment = KeyCommitment(next: try next(of: name).publicKey.commitment, recovery: nil)
            },
            trusts: { left, right in
                guard let left = names.firstIndex(of: left), let right = names.firstIndex(of: right) else {
                    return false
                }
                return abs(left - right) == 1
            })
        try federation.connectAll()
        try federation.settle()
        try federation.enter(ada, at: federation.node("alpha"))
        return (federation, federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
    }

    /// The key that a server has committed to.
    private static func next(of name: String) throws -> ServerIdentity {
        try ServerIdentity(
            id: ServerID(unchecked: name), seed: [UInt8](repeating: UInt8(name.utf8.count + 60), count: 32))
    }

    /// Alpha and gamma trust each other by beta's word.
    private static func introduced() throws -> (TestFederation, alpha: TestNode, beta: TestNode, gamma: TestNode) {
        let all = try line()
        let (federation, alpha, _, gamma) = all
        for (node, other) in [(alpha, gamma), (gamma, alpha)] {
            try Introducing.set(Introducing.one, at: node, federation)
            node.enqueue(try node.node.register(try #require(other.card), at: federation.now).effects)
            try federation.settle()
        }
        try federation.connect(alpha, gamma)
        try federation.settle()
        return all
    }

    @Test("whoever was heard of is trusted by the policy only, and then players cross")
    func heardOf() throws {
        let (federation, alpha, beta, gamma) = try Self.line()
        #expect(alpha.node.introductions.all.map(\.subject) == [gamma.id])
        #expect(gamma.node.introductions.all.map(\.subject) == [alpha.id])
        #expect(beta.node.introductions.all.isEmpty)
        #expect(alpha.node.peers[gamma.id] == nil && alpha.fetched.isEmpty)
        #expect(try federation.connect(alpha, gamma) == nil)
        try Introducing.set(Introducing.one, at: alpha, federation)
        #expect(alpha.fetched == [gamma.id])
        alpha.enqueue(try alpha.node.register(try #require(gamma.card), at: federation.now).effects)
        try federation.settle()
        #expect(alpha.node.peers[gamma.id]?.trust == .introduced([beta.id]))
        #expect(try federation.connect(alpha, gamma) == nil, "gamma has not decided to trust alpha")
        try Introducing.set(Introducing.one, at: gamma, federation)
        gamma.enqueue(try gamma.node.register(try #require(alpha.card), at: federation.now).effects)
        try federation.connect(alpha, gamma)
        try federation.settle()
        try federation.depart(Self.ada, from: alpha, to: gamma.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [gamma.id])
        try federation.checkRest()
    }

    @Test("two introducers are two")
    func tooFew() throws {
        let (federation, alpha, _, gamma) = try Self.line()
        try Introducing.set(TrustPolicy(introducedBy: .init(count: 2, scopes: .all)), at: alpha, federation)
        alpha.enqueue(try alpha.node.register(try #require(gamma.card), at: federation.now).effects)
        #expect(alpha.fetched.isEmpty && alpha.node.peers[gamma.id] == nil)
    }

    @Test(
        "the end of trust in the middle of an offered handoff closes at once, and the player stays",
        arguments: [true, false])
    func removal(_ isSource: Bool) throws {
        let (federation, alpha, _, gamma) = try Self.introduced()
        let handoff = try federation.depart(Self.ada, from: alpha, to: gamma.id)
        while try federation.execute(alpha) {}
        let wire = try #require(federation.wire(alpha, gamma))
        let toFirst = wire.ends.0 === gamma
        // The offer is on its way, or gamma keeps a place and its word of that is lost with the channel.
        if !isSource {
            federation.deliver(wire, toFirst: toFirst)
            while try federation.execute(gamma) {}
            #expect(gamma.handoff(handoff)?.state == .reserved)
            federation.lose(wire, toFirst: !toFirst, at: 0)
        }
        let node = isSource ? alpha : gamma
        node.enqueue(node.node.setPolicy(TrustPolicy(), at: federation.now))
        #expect(node.channel(to: isSource ? gamma : alpha) == nil)
        try federation.settle()
        federation.advance(by: .seconds(5))
        try federation.settle()
        #expect(alpha.handoff(handoff)?.state == .aborted)
        #expect(federation.playable(Self.ada) == [alpha.id])
    }

    @Test("trust ends with the introducer's, and with the introduction")
    func ending() throws {
        let (federation, alpha, beta, gamma) = try Self.introduced()
        alpha.enqueue(try alpha.node.removePeer(beta.id, at: federation.now))
        try federation.settle()
        #expect(alpha.node.introductions.all.isEmpty && alpha.store.state.introductions.isEmpty)
        #expect(alpha.node.peers[gamma.id] == nil && alpha.channel(to: gamma) == nil)
        // Gamma still goes by beta's word, until that is old and beta does not renew it.
        #expect(gamma.node.peers[alpha.id] != nil)
        federation.close(try #require(federation.wire(beta, gamma)))
        federation.advance(by: Limits.introductionValidity)
        try federation.settle()
        #expect(gamma.node.peers[alpha.id] == nil && gamma.store.state.introductions.isEmpty)
    }

    @Test("what was heard is never passed on, and an introduced server introduces nobody")
    func noHearsay() throws {
        let (federation, alpha, beta, gamma) = try Self.line(["alpha", "beta", "gamma", "delta"])
        let delta = federation.node("delta")
        #expect(alpha.node.introductions.subjects == [gamma.id])
        #expect(beta.node.introductions.subjects == [delta.id])
        #expect(gamma.node.introductions.subjects == [alpha.id])
        #expect(delta.node.introductions.subjects == [beta.id])
        // Alpha and gamma trust each other by beta's word now: gamma's word of delta does not count with alpha, nor is
        // alpha told of delta or delta of alpha.
        for (node, other) in [(alpha, gamma), (gamma, alpha)] {
            try Introducing.set(Introducing.one, at: node, federation)
            node.enqueue(try node.node.register(try #require(other.card), at: federation.now).effects)
        }
        try federation.connect(alpha, gamma)
        try federation.settle()
        #expect(alpha.channel(to: gamma) != nil)
        #expect(alpha.node.introductions.subjects == [gamma.id])
        #expect(delta.node.introductions.subjects == [beta.id])
    }

    @Test("the same is told once a day, and not to those without the route scope, nor when the operator will not")
    func pace() throws {
        let (federation, alpha, beta, _) = try Self.line(isLasting: true)
        func reconnect() throws {
            federation.close(try #require(federation.wire(alpha, beta)))
            try federation.settle()
            try federation.connect(alpha, beta)
            try federation.settle()
        }
        /// When beta has last told alpha of gamma.
        func told() -> Timestamp? { alpha.node.introductions.all.first?.introduction.issuedAt }
        let first = told()
        federation.advance(by: .seconds(3_600 * 12))
        try reconnect()
        #expect(told() == first && first != nil)
        federation.advance(by: .seconds(3_600 * 13))
        try federation.settle()
        let second = told()
        #expect(second != first, "a day later, without a new channel")
        beta.enqueue(try beta.node.setScopes(alpha.id, [.heartbeat, .handoff], at: federation.now))
        federation.advance(by: .seconds(3_600 * 26))
        try reconnect()
        #expect(told() == second)
        try Introducing.set(TrustPolicy(introduces: false), at: beta, federation)
        beta.enqueue(try beta.node.setScopes(alpha.id, .all, at: federation.now))
        try reconnect()
        #expect(told() == second)
        try Introducing.set(TrustPolicy(), at: beta, federation)
        #expect(told() != second)
    }

    @Test("only the introducer's own signed and present word is taken, and no more than a peer may say")
    func verified() throws {
        let (federation, alpha, beta, gamma) = try Self.line()
        let now = federation.now.timestamp
        let key = gamma.identity.publicKey
        let cases: [(String, String?)] = [
            (Introducing.introduction(of: "x1", by: beta, key: key, at: now), nil),
            (Introducing.introduction(of: "x2", by: beta, key: key, at: now, signedBy: gamma), "introduction.refused"),
            (
                Introducing.introduction(of: "x3", by: beta, key: key, at: now + .seconds(-7_200)),
                "introduction.refused"
            ),
            (Introducing.introduction(of: "x4", by: beta, key: key, at: now + .seconds(7_200)), "introduction.refused"),
            (
                Introducing.introduction(
                    of: "x5", by: beta, key: key, at: now, lifetime: Limits.introductionLifetime + .seconds(1)),
                "introduction.refused"
            ),
            (try #require(beta.card), "introduction.refused"), ("nonsense", "introduction.refused"),
        ]
        for (statement, code) in cases {
            let labels = try Introducing.tell([statement], by: beta, to: alpha, federation)
            #expect(labels.contains { $0.hasPrefix("persist") } == (code == nil), "\(labels)")
            #expect(labels.contains("report refused \(code ?? "")") == (code != nil), "\(labels)")
        }
        // Of itself nobody needs to hear.
        #expect(
            try Introducing.tell(
                [Introducing.introduction(of: "alpha", by: beta, key: key, at: now)], by: beta, to: alpha, federation)
                == [])
        for number in 0..<(Limits.introductionsPerIntroducer - 2) {
            let labels = try Introducing.tell(
                [Introducing.introduction(of: "y\(number)", by: beta, key: key, at: now)], by: beta, to: alpha,
                federation)
            #expect(labels.count == 1)
        }
        #expect(
            try Introducing.tell(
                [Introducing.introduction(of: "z", by: beta, key: key, at: now)], by: beta, to: alpha, federation)
                == ["report refused introduction.full"])
        let many = (0..<32).map { Introducing.introduction(of: "y\($0)", by: beta, key: key, at: now) }
        _ = try Introducing.tell(many, by: beta, to: alpha, federation)
        #expect(try Introducing.tell(many, by: beta, to: alpha, federation) == ["report refused introduction.tooMany"])
        federation.advance(by: .seconds(20))
        #expect(try Introducing.tell(many, by: beta, to: alpha, federation) == ["report refused introduction.tooMany"])
    }

    private static func isExpected(_ card: ServerCard, at node: TestNode, _ federation: TestFederation) -> Bool {
        node.node.isExpected(card, at: federation.now)
    }

    @Test("two keys for one server: nobody is trusted for that, and no card is taken")
    func contradiction() throws {
        let (federation, alpha, beta, delta, gamma) = try Introducing.two()
        let card = try #require(gamma.card)
        let read = try ServerCard.verify(card, at: federation.now.timestamp)
        #expect(!Self.isExpected(read, at: alpha, federation))
        let now = federation.now.timestamp
        _ = try Introducing.tell(
            [Introducing.introduction(by: beta, key: gamma.identity.publicKey, at: now)], by: beta, to: alpha,
            federation)
        try federation.settle()
        #expect(alpha.fetched == [gamma.id])
        #expect(Self.isExpected(read, at: alpha, federation))
        _ = try Introducing.tell(
            [Introducing.introduction(by: delta, key: delta.identity.publicKey, at: now)], by: delta, to: alpha,
            federation)
        try federation.settle()
        #expect(alpha.reported.contains(.introductionsContradict(gamma.id)))
        #expect(!Self.isExpected(read, at: alpha, federation))
        alpha.enqueue(try alpha.node.register(card, at: federation.now).effects)
        try federation.settle()
        #expect(alpha.node.peers[gamma.id] == nil)
    }

    @Test("a card under a key that no introducer has named is not expected, wherever it was found")
    func otherKey() throws {
        let (federation, alpha, beta, _, gamma) = try Introducing.two()
        let read = try ServerCard.verify(try #require(gamma.card), at: federation.now.timestamp)
        _ = try Introducing.tell(
            [Introducing.introduction(by: beta, key: beta.identity.publicKey, at: federation.now.timestamp)], by: beta,
            to: alpha, federation)
        try federation.settle()
        #expect(alpha.fetched == [gamma.id] && !Self.isExpected(read, at: alpha, federation))
    }

    @Test("who is a peer keeps its place when one introducer names another key, and that is reported")
    func oneWord() throws {
        let (federation, alpha, beta, delta, gamma) = try Introducing.two()
        let now = federation.now.timestamp
        _ = try Introducing.tell(
            [Introducing.introduction(by: beta, key: gamma.identity.publicKey, at: now)], by: beta, to: alpha,
            federation)
        alpha.enqueue(try alpha.node.register(try #require(gamma.card), at: federation.now).effects)
        try federation.settle()
        #expect(alpha.node.peers[gamma.id] != nil)
        _ = try Introducing.tell(
            [Introducing.introduction(by: delta, key: delta.identity.publicKey, at: now)], by: delta, to: alpha,
            federation)
        try federation.settle()
        #expect(alpha.reported.contains(.introductionsContradict(gamma.id)))
        #expect(alpha.node.peers[gamma.id] != nil)
    }

    @Test("an introducer that may do less than it would give is not heard, unless the operator has pinned it")
    func noEscalation() throws {
        let (federation, alpha, beta, _, gamma) = try Introducing.two()
        var record = try #require(alpha.node.peers[beta.id])
        record.trust = .registry("https://registry.example")
        for (scopes, isHeard) in [(PeerScopes.heartbeat, false), (.all, true)] {
            record.scopes = scopes
            alpha.node.peers[beta.id] = record
            let isIntroducer = alpha.node.trustView.isIntroducer(beta.id)
            #expect(isIntroducer == isHeard, "\(scopes)")
        }
        record.trust = .pinned
        record.scopes = .heartbeat
        alpha.node.peers[beta.id] = record
        let isIntroducer = alpha.node.trustView.isIntroducer(beta.id)
        #expect(isIntroducer)
        _ = (federation, gamma)
    }

    @Test("an introduced peer that rotates its key stays one")
    func rotated() throws {
        let (federation, alpha, _, gamma) = try Self.introduced()
        let successor = try Self.next(of: "gamma")
        gamma.enqueue(try gamma.node.rotate(to: successor, next: nil, at: federation.now))
        try federation.settle()
        let after = try #require(alpha.node.peers[gamma.id])
        #expect(after.publicKey == successor.publicKey && after.trust == .introduced([ServerID(unchecked: "beta")]))
        #expect(alpha.node.verifiedPeer(gamma.id, at: federation.now) != nil)
    }

    @Test("cards of the introduced are looked for seldom, ever more seldom, and for few at one time")
    func searches() throws {
        let (federation, alpha, beta, gamma) = try Self.line()
        try Introducing.set(Introducing.one, at: alpha, federation)
        #expect(alpha.fetched == [gamma.id])
        let now = federation.now.timestamp
        let statements = (0..<20).map {
            Introducing.introduction(
                of: "x\(10 + $0)", by: beta, key: gamma.identity.publicKey, at: now, lifetime: .seconds(7_000))
        }
        _ = try Introducing.tell(statements, by: beta, to: alpha, federation)
        try federation.settle()
        #expect(alpha.fetched.count == Limits.cardSearches)
        _ = try Introducing.tell(statements, by: beta, to: alpha, federation)
        federation.advance(by: .seconds(29))
        try federation.settle()
        #expect(alpha.fetched.count == Limits.cardSearches)
        // An hour later: each is asked for a handful of times, not sixty.
        for _ in 0..<60 {
            federation.advance(by: .seconds(60))
            try federation.connectAll()
            try federation.settle()
        }
        let counts = Dictionary(grouping: alpha.fetched, by: \.self).mapValues(\.count)
        #expect(counts.count == 21 && counts.values.allSatisfy { (2...8).contains($0) }, "\(counts)")
    }

    @Test(
        "an introducer that moves away from where it was denied brings those back whom it had introduced; all are dialled"
    )
    func movedIntroducer() throws {
        let (federation, alpha, beta, gamma) = try Self.introduced()
        var policy = Introducing.one
        policy.deny = [.host("beta.example")]
        try Introducing.set(policy, at: alpha, federation)
        #expect(alpha.node.peers[gamma.id] == nil)
        let card = try #require(beta.signedCard?.card)
        let moved = ServerCard(
            id: card.id, name: card.name, endpoint: TableSamples.endpoint("ws://moved.example"),
            publicKey: card.publicKey, commitment: card.commitment, sequence: card.sequence + 1, worlds: [],
            issued: card.issued, expires: card.expires
        ).issue(by: beta.identity)
        let labels = try alpha.node.addPeer(moved, at: federation.now).effects.labels
        #expect(labels.filter { $0.hasPrefix("dial") }.sorted() == ["dial beta", "dial gamma"], "\(labels)")
    }

    @Test("introductions and the policy survive a restart")
    func restart() throws {
        let (federation, alpha, _, gamma) = try Self.introduced()
        let before = alpha.node.introductions.all
        federation.crash(alpha)
        try federation.restart(alpha)
        try federation.settle()
        #expect(alpha.node.introductions.all == before && alpha.node.policy == Introducing.one)
        #expect(alpha.node.peers[gamma.id]?.trust == .introduced([ServerID(unchecked: "beta")]))
        #expect(alpha.dialled.contains(gamma.id))
    }
}
