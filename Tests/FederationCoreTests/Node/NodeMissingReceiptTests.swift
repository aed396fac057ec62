import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// Decisions whose destination is away, for long or for good, while the player has gone on: they wait for their receipts, and keep
/// nobody out.
@Suite("FederationNode, decisions without a receipt")
struct NodeMissingReceiptTests {
    private static let ada = PromiseTests.ada

    /// Four servers with channels between all of them, and a player at home at alpha.
    private static func four() throws -> (TestFederation, [TestNode]) {
        let federation = try TestFederation(["alpha", "beta", "gamma", "delta"])
        try federation.connectAll()
        try federation.settle()
        try federation.enter(ada, at: federation.node("alpha"))
        return (federation, federation.nodes)
    }

    private static func cut(_ one: TestNode, _ other: TestNode, in federation: TestFederation) {
        if let wire = federation.wire(one, other) { federation.close(wire) }
    }

    private static func restore(_ node: TestNode, to before: StoreTables, in federation: TestFederation) throws {
        federation.crash(node)
        node.store = before
        try federation.restart(node)
    }

    /// Alpha's ada goes to beta, which admits her without alpha's hearing of it, and from there to gamma; beta goes away. Also what
    /// beta stored while it only kept a place.
    private static func journey() throws -> (
        TestFederation, nodes: [TestNode], first: HandoffID, second: HandoffID, beta: StoreTables
    ) {
        let (federation, nodes) = try four()
        let (alpha, beta, gamma) = (nodes[0], nodes[1], nodes[2])
        var before = beta.store
        let first = try federation.depart(ada, from: alpha, to: beta.id)
        try federation.settle { _ in
            if beta.store.handoffs[first]?.state == .reserved { before = beta.store }
            if beta.node.ledger.record(first)?.state == .admitted { cut(alpha, beta, in: federation) }
        }
        let second = try federation.depart(ada, from: beta, to: gamma.id)
        try federation.settle()
        federation.crash(beta)
        try #require(alpha.store.handoffs[first]?.state == .committed)
        try #require(before.handoffs[first]?.state == .reserved && gamma.store.handoffs[second]?.state == .admitted)
        return (federation, nodes, first, second, before)
    }

    @Test("a player comes home while the first server of the journey is away, with all that was saved since")
    func homeWithoutTheFirst() throws {
        let (federation, nodes, first, second, _) = try Self.journey()
        let (alpha, gamma) = (nodes[0], nodes[2])
        try federation.write(Self.ada, at: gamma, number: 7)
        try federation.settle()
        try federation.depart(Self.ada, from: gamma, to: alpha.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [alpha.id])
        #expect(alpha.store.players[Self.ada]?.state.last == 7)
        #expect(alpha.store.handoffs[first]?.state == .committed)
        // Nobody is sent after a player who is here.
        #expect(alpha.node.redirectToken(for: first, at: federation.now) == nil)
        // The player may go on at once, also after another start.
        federation.crash(alpha)
        try federation.restart(alpha)
        try federation.connect(alpha, gamma)
        try federation.settle()
        try federation.depart(Self.ada, from: alpha, to: gamma.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [gamma.id])
        #expect(alpha.node.ledger.openHandoffs(of: Self.ada).map(\.id) == [first])
        // The other end comes back with all that it knew, and both ends forget.
        try federation.heal()
        try federation.checkRest()
        #expect(alpha.store.handoffs[first]?.receipt != nil)
        #expect(nodes[1].store.handoffs[first]?.state == .admitted)
        #expect(nodes[1].store.handoffs[second]?.state == .completed)
        federation.advance(by: Limits.handoffRetention)
        try federation.settle()
        try federation.heal()
        federation.advance(by: .seconds(31))
        try federation.settle()
        #expect(nodes.allSatisfy { $0.node.ledger.record(first) == nil && $0.node.ledger.record(second) == nil })
    }

    @Test(
        "a destination that was restored to its place, and whose receipt the source has, is not told to admit whom the source has again"
    )
    func restoredAfterTheReceipt() throws {
        let (federation, nodes) = try Self.four()
        let (alpha, beta, gamma) = (nodes[0], nodes[1], nodes[2])
        var before = beta.store
        let first = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle { _ in if beta.store.handoffs[first]?.state == .reserved { before = beta.store } }
        try #require(alpha.store.handoffs[first]?.state == .completed)
        for (source, destination) in [(beta, gamma), (gamma, alpha)] {
            try federation.depart(Self.ada, from: source, to: destination.id)
            try federation.settle()
        }
        try Self.restore(beta, to: before, in: federation)
        try federation.connect(alpha, beta)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [alpha.id])
        #expect(beta.store.handoffs[first]?.state == .aborted)
    }

    @Test("nor does a decision in a term that the home has ended keep a player out who comes in the next")
    func laterTerm() throws {
        let (federation, nodes) = try Self.four()
        let (alpha, beta, gamma) = (nodes[0], nodes[1], nodes[2])
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        let onwards = try federation.depart(Self.ada, from: beta, to: gamma.id)
        try federation.settle { _ in
            if beta.node.ledger.record(onwards)?.state == .committed { federation.crash(gamma) }
        }
        try #require(beta.store.handoffs[onwards]?.state == .committed)
        alpha.enqueue(try alpha.node.reclaim(Self.ada, reason: "gamma is gone", at: federation.now).1)
        try federation.settle()
        try federation.write(Self.ada, at: alpha, number: 5)
        try federation.settle()
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id])
        #expect(beta.store.handoffs[onwards]?.state == .committed)
        try federation.heal()
        try federation.checkRest()
        let ended = try #require(beta.store.handoffs[onwards])
        #expect(ended.state == .aborted && ended.abortCode == "player.recalled")
        #expect(gamma.store.handoffs[onwards]?.state == .aborted)
        #expect(federation.playable(Self.ada) == [beta.id])
    }

    @Test("who is home again is not offered once more to a server that was restored to before the journey")
    func restoredToBefore() throws {
        let (federation, nodes, first, _, kept) = try Self.journey()
        let (alpha, beta, gamma) = (nodes[0], nodes[1], nodes[2])
        try federation.depart(Self.ada, from: gamma, to: alpha.id)
        try federation.settle()
        federation.crash(gamma)
        var before = kept
        before.apply([.removeHandoff(first)])
        try Self.restore(beta, to: before, in: federation)
        try federation.connect(alpha, beta)
        try federation.settle()
        federation.advance(by: .seconds(31))
        try federation.settle()
        #expect(federation.playable(Self.ada) == [alpha.id])
        let ended = try #require(alpha.store.handoffs[first])
        #expect(ended.abortCode == "handoff.overtaken", "\(ended.state) \(beta.store.handoffs[first]?.state as Any)")
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id])
        try federation.heal()
        try federation.checkRest()
    }

    @Test(
        "a decision keeps its snapshot until its destination shows that it has had the player, and ends with its term")
    func lightAndEnded() throws {
        let (federation, nodes) = try Self.four()
        let (alpha, beta, gamma) = (nodes[0], nodes[1], nodes[2])
        func decide(for destination: TestNode) throws -> HandoffID {
            let id = try federation.depart(Self.ada, from: alpha, to: destination.id)
            try federation.settle { _ in
                if destination.node.ledger.record(id)?.state == .admitted {
                    Self.cut(alpha, destination, in: federation)
                }
            }
            #expect(alpha.node.ledger.record(id)?.state == .committed)
            return id
        }
        let first = try decide(for: beta)
        #expect(alpha.node.ledger.record(first)?.snapshot.isEmpty == false)
        // The channel opens again, and before any receipt comes the player does.
        try federation.connect(alpha, beta)
        let channel = try #require(alpha.channel(to: beta))
        for decision in [nil, 1] as [UInt64?] {
            let word = Self.word(of: beta, 9, epoch: Epoch(3), decision: decision, to: alpha, at: federation.now)
            alpha.enqueue(alpha.node.receive(word, on: channel, at: federation.now))
        }
        #expect(alpha.player(Self.ada)?.presence == .playable)
        Self.cut(alpha, beta, in: federation)
        // Gone, disk and all: what it knows is not what it said.
        federation.crash(beta)
        beta.store = StoreTables()
        while try federation.execute(alpha) {}
        #expect(alpha.store.handoffs[first]?.state == .committed && alpha.store.handoffs[first]?.snapshot == [])
        let second = try decide(for: gamma)
        #expect(alpha.node.ledger.openHandoffs(of: Self.ada).map(\.id) == [first, second])
        #expect(alpha.node.ledger.snapshotBytes == alpha.node.ledger.record(second)?.snapshot.count)
        alpha.enqueue(try alpha.node.reclaim(Self.ada, reason: "they are gone", at: federation.now).1)
        while try federation.execute(alpha) {}
        #expect([first, second].map { alpha.store.handoffs[$0]?.abortCode } == ["player.recalled", "player.recalled"])
        #expect(alpha.node.ledger.openCount == 0 && alpha.node.ledger.snapshotBytes == 0)
    }

    // MARK: Peers that lie

    /// A frame by which `source` hands ada over to `destination`, whether it has her or not.
    private static func word(
        of source: TestNode, _ number: UInt8, epoch: Epoch, decision: UInt64?, to destination: TestNode, at now: Now
    ) -> FederationFrame {
        let snapshot: [UInt8] = [number]
        let handoff = HandoffSamples.id(number)
        let token = SessionToken(
            issuer: source.id, player: ada, audience: destination.id, handoff: handoff, issuedAt: now.timestamp,
            notBefore: now.timestamp, expiresAt: now.timestamp + Limits.tokenLifetime,
            world: TestFederation.worldID(of: destination.id), portal: TestFederation.portal(to: destination.id),
            epoch: epoch, snapshot: ContentHash.of(snapshot), revision: 1, decision: decision
        ).issue(by: source.identity)
        guard decision != nil else {
            return .offer(FederationFrame.HandoffOffer(handoff: handoff, token: token, snapshot: snapshot))
        }
        return .commit(FederationFrame.HandoffCommit(handoff: handoff, token: token))
    }

    @Test("while a place is kept for a player no other is, in whatever epoch, so that nobody can be let in twice")
    func onePlace() throws {
        let (federation, nodes) = try Self.four()
        let (alpha, beta, gamma) = (nodes[0], nodes[1], nodes[2])
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle { node in
            if beta.node.ledger.record(HandoffID(high: 0, low: 1))?.state == .admitted {
                Self.cut(alpha, beta, in: federation)
            }
        }
        try #require(alpha.node.ledger.list(.committed, limit: 1).count == 1)
        try federation.connect(alpha, gamma)
        let lying = try #require(alpha.channel(to: gamma))
        func tell(_ number: UInt8, epoch: Epoch, decision: UInt64?) -> String? {
            let word = Self.word(
                of: gamma, number, epoch: epoch, decision: decision, to: alpha, at: federation.now)
            return alpha.node.receive(word, on: lying, at: federation.now).labels.last
        }
        #expect(tell(3, epoch: Epoch(3), decision: nil) == "send accept")
        for epoch in [Epoch(3), Epoch(4), Epoch(90)] {
            #expect(tell(9, epoch: epoch, decision: nil) == "send reject handoff.alreadyOpen")
        }
        #expect(tell(3, epoch: Epoch(3), decision: 1)?.hasPrefix("send admitted") == true)
        #expect(tell(9, epoch: Epoch(90), decision: nil) == "send reject player.present")
        #expect(tell(9, epoch: Epoch(90), decision: 2) == "send reject handoff.unknown")
        #expect(alpha.player(Self.ada)?.state == [3])
    }
}
