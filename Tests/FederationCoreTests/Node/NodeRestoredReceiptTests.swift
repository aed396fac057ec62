import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// Handoffs that one end knows as decided and the other, restored from a backup or long done with them, knows differently: each
/// ends by a receipt when the player came by it, and as recalled when the player was taken back.
@Suite("FederationNode, receipts after a restore")
struct NodeRestoredReceiptTests {
    private static let ada = PromiseTests.ada

    /// Three servers with channels between all of them, and a player at alpha.
    private static func three() throws -> (TestFederation, alpha: TestNode, beta: TestNode, gamma: TestNode) {
        let federation = try TestFederation(["alpha", "beta", "gamma"])
        try federation.connectAll()
        try federation.settle()
        try federation.enter(ada, at: federation.node("alpha"))
        return (federation, federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
    }

    private static func cutOff(_ node: TestNode, from others: [TestNode], in federation: TestFederation) {
        for other in others { if let wire = federation.wire(node, other) { federation.close(wire) } }
    }

    @Test("a source whose backup brings a handoff back that both had done with has its receipt again")
    func receiptAfterCompaction() throws {
        let federation = try TestFederation(["alpha", "beta"])
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        try federation.settle()
        try federation.enter(Self.ada, at: alpha)
        var backup = alpha.store
        let id = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle { _ in
            if alpha.store.handoffs[id]?.state == .committed { backup = alpha.store }
        }
        federation.advance(by: Limits.handoffRetention)
        try federation.settle()
        try federation.connectAll()
        try federation.settle()
        federation.advance(by: .seconds(31))
        try federation.settle()
        #expect(beta.node.ledger.record(id) == nil)
        try Self.restore(alpha, to: backup, in: federation)
        try federation.heal()
        #expect(alpha.node.ledger.record(id)?.state == .completed)
        #expect(federation.playable(Self.ada) == [beta.id])
    }

    /// Alpha's ada goes to beta, and from there to a destination that admits her: beta does not hear of it and waits for the
    /// receipt, cut off from everybody. Also what the destination stored before.
    private static func unacknowledged(
        at name: String
    ) throws -> (TestFederation, beta: TestNode, end: TestNode, HandoffID, before: StoreTables) {
        let (federation, alpha, beta, gamma) = try three()
        let end = federation.node(name)
        try federation.depart(ada, from: alpha, to: beta.id)
        try federation.settle()
        let before = end.store
        let id = try federation.depart(ada, from: beta, to: end.id)
        try federation.settle { _ in
            if end.node.ledger.record(id)?.state == .admitted { cutOff(beta, from: [alpha, gamma], in: federation) }
        }
        #expect(beta.store.handoffs[id]?.state == .committed && end.store.handoffs[id]?.state == .admitted)
        return (federation, beta, end, id, before)
    }

    private static func restore(_ node: TestNode, to before: StoreTables, in federation: TestFederation) throws {
        federation.crash(node)
        node.store = before
        try federation.restart(node)
    }

    @Test("a destination that forgot an admission, and was shown that the player went on, gives the receipt again")
    func receiptAfterRestore() throws {
        let (federation, beta, gamma, id, before) = try Self.unacknowledged(at: "gamma")
        let alpha = federation.node("alpha")
        try federation.depart(Self.ada, from: gamma, to: alpha.id)
        try federation.settle()
        try Self.restore(gamma, to: before, in: federation)
        try federation.connect(alpha, gamma)
        try federation.settle()
        try federation.heal()
        #expect(beta.store.handoffs[id]?.state == .completed)
        #expect(federation.playable(Self.ada) == [alpha.id])
    }

    @Test(
        "a destination that forgot an admission, and knows the player in a later term, ends the handoff as recalled",
        arguments: ["gamma", "alpha"])
    func recalledAfterRestore(_ name: String) throws {
        let (federation, beta, end, id, before) = try Self.unacknowledged(at: name)
        let (alpha, gamma) = (federation.node("alpha"), federation.node("gamma"))
        try Self.restore(end, to: before, in: federation)
        alpha.enqueue(try alpha.node.reclaim(Self.ada, reason: "beta is gone", at: federation.now).1)
        try federation.settle()
        try federation.connect(alpha, gamma)
        try federation.write(Self.ada, at: alpha, number: 5)
        try federation.settle()
        if end === gamma {
            try federation.depart(Self.ada, from: alpha, to: gamma.id)
            try federation.settle()
        }
        try federation.heal()
        #expect(beta.store.handoffs[id]?.abortCode == "player.recalled")
        #expect(federation.playable(Self.ada) == [end.id])
    }

    @Test("a destination restored to a place that it keeps, and shown that the player came and went, gives the receipt")
    func receiptForAPlaceThatIsPast() throws {
        let (federation, alpha, beta, gamma) = try Self.three()
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        var backup: StoreTables?
        let id = try federation.depart(Self.ada, from: beta, to: gamma.id)
        try federation.settle { _ in
            if gamma.store.handoffs[id]?.state == .reserved { backup = gamma.store }
            guard gamma.node.ledger.record(id)?.state == .admitted else { return }
            Self.cutOff(beta, from: [alpha, gamma], in: federation)
        }
        try #require(beta.store.handoffs[id]?.state == .committed && gamma.store.handoffs[id]?.state == .admitted)
        try federation.depart(Self.ada, from: gamma, to: alpha.id)
        try federation.settle()
        gamma.told = []
        try Self.restore(gamma, to: try #require(backup), in: federation)
        try federation.connect(alpha, gamma)
        try federation.settle()
        try #require(gamma.node.ledger.record(id)?.state == .reserved)
        try federation.heal()
        #expect(beta.store.handoffs[id]?.state == .completed && gamma.store.handoffs[id]?.state == .admitted)
        #expect(gamma.store.players[Self.ada]?.presence.label == "departed")
        let told = gamma.told.filter { $0.handoff == id }.map(\.kind.label)
        #expect(told.contains("withdrawn") && !told.contains("admitted"))
        #expect(federation.playable(Self.ada) == [alpha.id])
    }

    @Test("a place that is past keeps nobody out, be its source away for good, also after another start")
    func pastPlaceKeepsNobodyOut() throws {
        let (federation, alpha, beta, gamma) = try Self.three()
        var backup: StoreTables?
        let id = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle { _ in if beta.store.handoffs[id]?.state == .reserved { backup = beta.store } }
        try federation.depart(Self.ada, from: beta, to: gamma.id)
        try federation.settle()
        // Alpha goes away, and beta is restored to the place that it kept for alpha's ada.
        federation.crash(alpha)
        try Self.restore(beta, to: try #require(backup), in: federation)
        try federation.connect(beta, gamma)
        try federation.settle()
        try #require(beta.node.ledger.record(id)?.state == .reserved)
        let back = try federation.depart(Self.ada, from: gamma, to: beta.id)
        try federation.settle { node in
            guard node === beta, beta.store.handoffs[back]?.state == .reserved else { return }
            Self.cutOff(beta, from: [gamma], in: federation)
        }
        // Both places are open on the disk; whichever is read first, the newer one counts.
        federation.crash(beta)
        try federation.restart(beta)
        #expect(beta.node.ledger.openHandoff(of: Self.ada)?.id == back)
        try federation.connect(beta, gamma)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id])
        #expect(beta.store.handoffs[id]?.state == .reserved)
        try federation.restart(alpha)
        try federation.heal()
        #expect(alpha.store.handoffs[id]?.state == .completed && beta.store.handoffs[id]?.state == .admitted)
        #expect(federation.playable(Self.ada) == [beta.id])
    }

    @Test("who came by a later decision, after having been taken back, did not come by the one that is void")
    func noReceiptForWhatIsVoid() throws {
        let (federation, alpha, beta, gamma) = try Self.three()
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        let id = try federation.depart(Self.ada, from: beta, to: gamma.id)
        try federation.settle { node in
            guard node === beta, beta.node.ledger.record(id)?.state == .committed else { return }
            Self.cutOff(beta, from: [alpha, gamma], in: federation)
        }
        try #require(beta.store.handoffs[id]?.state == .committed && gamma.store.handoffs[id]?.state == .reserved)
        let backup = beta.store
        alpha.enqueue(try alpha.node.reclaim(Self.ada, reason: "beta is gone", at: federation.now).1)
        try federation.settle()
        try federation.heal()
        federation.advance(by: Limits.handoffRetention)
        try federation.settle()
        try federation.heal()
        try #require(gamma.node.ledger.record(id) == nil)
        try federation.write(Self.ada, at: alpha, number: 5)
        for (source, destination) in [(alpha, beta), (beta, gamma)] {
            try federation.depart(Self.ada, from: source, to: destination.id)
            try federation.settle()
        }
        try Self.restore(beta, to: backup, in: federation)
        try federation.connect(beta, gamma)
        try federation.settle()
        try federation.heal()
        #expect(beta.store.handoffs[id]?.state == .aborted)
        #expect(beta.store.handoffs[id]?.abortCode == "player.recalled")
        #expect(federation.playable(Self.ada) == [gamma.id])
    }
}
