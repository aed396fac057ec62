import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// A home that was restored from before it took a player back, when nobody holds a decision that proves it: only the peer to
/// which the player was going has heard of it.
@Suite("FederationNode, a forgotten reclaim")
struct NodeForgottenReclaimTests {
    private static let ada = PromiseTests.ada
    private static let report = "reclaim forgotten, known to beta"

    private static func reports(_ node: TestNode) -> Int { node.reported.filter { $0.label == report }.count }

    /// Alpha has decided to hand the player to beta, which has not heard of it; a backup of alpha is made; alpha takes the
    /// player back, and beta hears that.
    private static func story(
        _ names: [String]
    ) throws -> (TestFederation, alpha: TestNode, beta: TestNode, HandoffID, backup: StoreTables) {
        let federation = try TestFederation(names)
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        try federation.settle()
        try federation.enter(ada, at: alpha)
        let id = try federation.depart(ada, from: alpha, to: beta.id)
        try federation.settle { node in
            guard node === alpha, alpha.node.ledger.record(id)?.state == .committed else { return }
            if let wire = federation.wire(alpha, beta) { federation.close(wire) }
        }
        try #require(alpha.store.handoffs[id]?.state == .committed && beta.store.handoffs[id]?.state == .reserved)
        let backup = alpha.store
        alpha.enqueue(try alpha.node.reclaim(ada, reason: "beta is gone", at: federation.now).1)
        try federation.settle()
        // Whoever was sent away is told that nothing comes of it.
        try #require(alpha.told.map(\.kind.label).last == "voided player.recalled")
        try federation.connect(alpha, beta)
        try federation.settle()
        try #require(beta.store.handoffs[id]?.abortCode == "player.recalled")
        try #require(beta.store.state.recalls[ada] == Epoch(1 << 24))
        return (federation, alpha, beta, id, backup)
    }

    private static func restore(_ alpha: TestNode, _ backup: StoreTables, in federation: TestFederation) throws {
        federation.crash(alpha)
        alpha.store = backup
        alpha.told = []
        try federation.restart(alpha)
    }

    @Test(
        "the handoff ends, nobody plays the player, the operator is told, and takes them back beyond what the peer knows",
        arguments: [false, true])
    func forgotten(_ peerForgetsHandoff: Bool) throws {
        let (federation, alpha, beta, id, backup) = try Self.story(["alpha", "beta"])
        if peerForgetsHandoff {
            federation.advance(by: Limits.handoffRetention)
            try federation.settle()
            try #require(beta.store.handoffs[id] == nil)
        }
        try Self.restore(alpha, backup, in: federation)
        #expect(alpha.node.ledger.record(id)?.state == .committed && alpha.node.reclaims.isEmpty)
        try federation.heal()
        #expect(alpha.store.handoffs[id]?.state == .aborted)
        #expect(alpha.store.handoffs[id]?.abortCode == "player.recalled")
        #expect(alpha.store.players[Self.ada]?.presence == .departed(to: beta.id, id))
        #expect(alpha.store.players[Self.ada]?.epoch == Epoch(2))
        #expect(federation.playable(Self.ada) == [])
        #expect(Self.reports(alpha) == 1)
        #expect(alpha.told.map(\.kind.label) == ["voided player.recalled"])

        let (record, effects) = try alpha.node.reclaim(Self.ada, reason: "once more", at: federation.now)
        #expect(record.epoch == Epoch(1_024 << 24) && record.voided == Epoch(2))
        alpha.enqueue(effects)
        try federation.settle()
        try federation.write(Self.ada, at: alpha, number: 9)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [alpha.id])
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id])
        #expect(beta.store.players[Self.ada]?.epoch == Epoch((1_024 << 24) + 1))
    }

    @Test("what proves the forgotten reclaim outlives the ledger's retention, until the player is somewhere again")
    func kept() throws {
        let (federation, alpha, _, id, backup) = try Self.story(["alpha", "beta"])
        try Self.restore(alpha, backup, in: federation)
        try federation.heal()
        for _ in 0..<2 {
            federation.advance(by: Limits.handoffRetention)
            try federation.settle()
            #expect(alpha.store.handoffs[id]?.state == .aborted)
        }
        // Also after a restart.
        federation.crash(alpha)
        try federation.restart(alpha)
        federation.advance(by: .seconds(1))
        try federation.settle()
        #expect(alpha.store.handoffs[id]?.state == .aborted)
        let (record, effects) = try alpha.node.reclaim(Self.ada, reason: "once more", at: federation.now)
        #expect(record.epoch.term == Limits.forgottenTerms)
        alpha.enqueue(effects)
        federation.advance(by: Limits.handoffRetention)
        try federation.settle()
        #expect(alpha.store.handoffs[id] == nil && alpha.node.ledger.record(id) == nil)
    }

    @Test(
        "a player who went on under the forgotten term stays where they are, whoever speaks first",
        arguments: [true, false])
    func wentOn(_ refuserFirst: Bool) throws {
        let (federation, alpha, beta, id, backup) = try Self.story(["alpha", "beta", "gamma"])
        let gamma = federation.node("gamma")
        try federation.write(Self.ada, at: alpha, number: 5)
        try federation.settle()
        try federation.depart(Self.ada, from: alpha, to: gamma.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [gamma.id])
        try Self.restore(alpha, backup, in: federation)
        for other in refuserFirst ? [beta, gamma] : [gamma, beta] {
            try federation.connect(alpha, other)
            try federation.settle()
        }
        #expect(federation.playable(Self.ada) == [gamma.id])
        #expect(alpha.node.ledger.openCount == 0 && alpha.store.handoffs[id]?.state == .aborted)
        #expect(alpha.store.players[Self.ada]?.presence.label == "departed")
        #expect(alpha.store.players[Self.ada]?.epoch == Epoch((1 << 24) + 1))
        #expect(Self.reports(alpha) == (refuserFirst ? 1 : 0))
        // What was forgotten is known again: the next term is the next.
        #expect(alpha.node.reclaims[Self.ada]?.epoch == Epoch(1 << 24))
        let record = try alpha.node.reclaim(Self.ada, reason: "gamma is gone", at: federation.now).0
        #expect(record.epoch == Epoch(2 << 24))
    }
}
