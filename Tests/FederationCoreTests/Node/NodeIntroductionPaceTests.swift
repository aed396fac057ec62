import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

/// How much introductions can bring about, whatever those do whom they are about and from whom they come.
@Suite("FederationNode, how many introductions there are")
struct NodeIntroductionPaceTests {
    private static func gamma(_ number: UInt8) throws -> ServerIdentity {
        try ServerIdentity(id: ServerID(unchecked: "gamma"), seed: [UInt8](repeating: number + 60, count: 32))
    }

    /// A line in which neighbours trust each other, and in which channels and trust outlast days.
    private static func line(
        _ names: [String] = ["alpha", "beta", "gamma"], room: Int = Limits.registeredServers
    ) throws -> TestFederation {
        try TestFederation(
            names, health: try HealthThresholds(degraded: 100, unreachable: 1_000, interval: .seconds(24 * 3_600)),
            trustLifetime: .seconds(30 * 24 * 3_600),
            configure: { name, configuration in
                configuration.registeredServers = room
                guard name == "gamma" else { return }
                configuration.commitment = KeyCommitment(next: try gamma(1).publicKey.commitment, recovery: nil)
            },
            trusts: { left, right in
                guard let left = names.firstIndex(of: left), let right = names.firstIndex(of: right) else {
                    return false
                }
                return abs(left - right) == 1
            })
    }

    // MARK: Told

    @Test("who changes its key again and again is told of once more, and then a day later")
    func rotating() throws {
        let federation = try Self.line()
        let (alpha, beta, gamma) = (federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
        try federation.connectAll()
        try federation.settle()
        /// The key under which beta has told alpha of gamma.
        func told() -> PublicKey? { alpha.node.introductions.about(gamma.id).first?.introduction.key }
        #expect(told() == gamma.identity.publicKey)
        for number in 1...4 as ClosedRange<UInt8> {
            gamma.enqueue(
                try gamma.node.rotate(
                    to: try Self.gamma(number), next: try Self.gamma(number + 1).publicKey.commitment,
                    at: federation.now))
            try federation.settle()
            federation.close(try #require(federation.wire(beta, gamma)))
            try federation.settle()
            try #require(try federation.connect(gamma, beta) != nil)
            try federation.settle()
            let proved = beta.node.verifiedPeer(gamma.id, at: federation.now)?.publicKey
            #expect(proved == (try Self.gamma(number).publicKey))
            #expect(told() == (try Self.gamma(1).publicKey), "after \(number)")
        }
        federation.advance(by: Limits.introductionPause + .seconds(3_600))
        try federation.settle()
        #expect(told() == (try Self.gamma(4).publicKey))
    }

    @Test("nobody is sent more introductions in an hour than half of what they take, and what waits comes later")
    func heldBack() throws {
        let federation = try Self.line()
        let (alpha, beta, gamma) = (federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
        try federation.connect(alpha, beta)
        try federation.settle()
        var full = FederationNode.IntroductionAllowance(
            nil, within: Limits.introductionWindow, at: federation.now.instant)
        let isWithin = full.take(Limits.introductionBurst / 2, of: Limits.introductionBurst / 2)
        #expect(isWithin)
        beta.node.introductionsTold[alpha.id] = full
        try federation.connect(beta, gamma)
        try federation.settle()
        #expect(gamma.node.introductions.subjects == [alpha.id])
        #expect(alpha.node.introductions.subjects.isEmpty)
        federation.advance(by: Limits.introductionWindow)
        try federation.settle()
        #expect(alpha.node.introductions.subjects == [gamma.id])
    }

    // MARK: Heard

    private static func strangers(
        _ range: Range<Int>, by introducer: TestNode, _ federation: TestFederation
    ) -> [String] {
        range.map {
            Introducing.introduction(
                of: "s\($0)", by: introducer, key: introducer.identity.publicKey, at: federation.now.timestamp,
                lifetime: .seconds(60))
        }
    }

    @Test("an introducer brings so many strangers in a day, however soon its word ends and however often it comes anew")
    func strangers() throws {
        let federation = try Self.line(["alpha", "beta"])
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        try federation.settle()
        for start in stride(from: 0, to: Limits.introductionsPerIntroducer, by: Limits.introductionsPerFrame) {
            try Introducing.tell(
                Self.strangers(start..<(start + Limits.introductionsPerFrame), by: beta, federation), by: beta,
                to: alpha, federation)
        }
        #expect(alpha.node.introductions.count == Limits.introductionsPerIntroducer)
        federation.advance(by: .seconds(120))
        try federation.settle()
        #expect(alpha.node.introductions.count == 0)
        func tell(_ number: Int) throws -> [String] {
            try Introducing.tell(
                Self.strangers(number..<(number + 1), by: beta, federation), by: beta, to: alpha, federation)
        }
        #expect(try tell(100) == ["report refused introduction.full"])
        // Who is removed and comes back begins nothing anew.
        alpha.enqueue(try alpha.node.removePeer(beta.id, at: federation.now))
        try federation.settle()
        alpha.enqueue(try alpha.node.addPeer(try #require(beta.card), at: federation.now).effects)
        try federation.settle()
        try #require(try federation.connect(alpha, beta) != nil)
        try federation.settle()
        #expect(try tell(101) == ["report refused introduction.full"])
        federation.advance(by: Limits.introductionPause)
        try federation.settle()
        #expect(try tell(102) == ["persist introduction of s102 by beta"])
    }

    @Test("no stranger is heard of where the registry has as many ids as it takes", arguments: [(1, false), (2, true)])
    func noRoom(_ room: Int, _ isHeard: Bool) throws {
        let federation = try Self.line(["alpha", "beta"], room: room)
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        try federation.settle()
        let labels = try Introducing.tell(
            Self.strangers(0..<1, by: beta, federation), by: beta, to: alpha, federation)
        #expect(labels == [isHeard ? "persist introduction of s0 by beta" : "report refused introduction.full"])
        // Of whoever is known anybody may go on to speak.
        let known = Introducing.introduction(
            of: "gamma", by: beta, key: beta.identity.publicKey, at: federation.now.timestamp)
        alpha.node.bindings[ServerID(unchecked: "gamma")] = KeyBinding(
            server: ServerID(unchecked: "gamma"), key: beta.identity.publicKey, since: federation.now.timestamp)
        #expect(
            try Introducing.tell([known], by: beta, to: alpha, federation)
                == ["persist introduction of gamma by beta"])
    }
}
