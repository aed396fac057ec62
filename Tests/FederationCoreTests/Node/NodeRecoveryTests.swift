import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// What outlives a good day: ledgers that shrink again, servers that were restored from a backup, players who are taken
/// back, worlds that have a say in who enters.
@Suite("FederationNode, recovery")
struct NodeRecoveryTests {
    private static let ada = PromiseTests.ada

    /// Two servers with a channel and a player at alpha.
    private static func pair() throws -> (TestFederation, alpha: TestNode, beta: TestNode) {
        let federation = try TestFederation(["alpha", "beta"])
        try federation.connectAll()
        try federation.settle()
        try federation.enter(ada, at: federation.node("alpha"))
        return (federation, federation.node("alpha"), federation.node("beta"))
    }

    private static func told(_ node: TestNode) -> [String] { node.told.map(\.kind.label) }

    // MARK: Compaction

    @Test("ledgers shrink again once both ends are done, and what was known of the player stays")
    func compaction() throws {
        let (federation, alpha, beta) = try Self.pair()
        let id = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        #expect(alpha.store.handoffs[id]?.state == .completed && beta.store.handoffs[id]?.state == .admitted)
        // The first tick lets the source forget, and the destination ask.
        federation.advance(by: Limits.handoffRetention)
        try federation.settle()
        try federation.connectAll()
        try federation.settle()
        federation.advance(by: .seconds(31))
        try federation.settle()
        for node in [alpha, beta] {
            #expect(node.node.ledger.record(id) == nil && node.store.handoffs.isEmpty)
            #expect(node.node.players[Self.ada]?.epoch == Epoch(2))
        }
        #expect(federation.playable(Self.ada) == [beta.id])
    }

    @Test("a destination keeps what the source may still need")
    func unsettled() throws {
        let (federation, alpha, beta) = try Self.pair()
        let id = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle { node in
            // The receipt is lost with the channel.
            guard node === beta, beta.node.ledger.record(id)?.state == .admitted else { return }
            if let wire = federation.wire(alpha, beta) { federation.close(wire) }
        }
        #expect(alpha.node.ledger.record(id)?.state == .committed)
        federation.advance(by: Limits.handoffRetention)
        try federation.settle()
        #expect(beta.node.ledger.record(id)?.state == .admitted)
        try federation.heal()
        #expect(alpha.node.ledger.record(id)?.state == .completed)
    }

    // MARK: Backups

    @Test("a source restored from a backup learns from the destination that the player has left")
    func restoredSource() throws {
        let (federation, alpha, beta) = try Self.pair()
        let backup = alpha.store
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        federation.crash(alpha)
        alpha.store = backup
        try federation.restart(alpha)
        #expect(alpha.node.players[Self.ada]?.presence == .playable)
        // Nobody can be asked yet; as soon as the destination is there it says so, before anything else.
        let wire = try #require(try federation.connect(alpha, beta))
        while alpha.node.players[Self.ada]?.presence == .playable {
            while try federation.execute(alpha) || federation.execute(beta) {}
            if !wire.frames.1.isEmpty { federation.deliver(wire, toFirst: false) }
            if !wire.frames.0.isEmpty { federation.deliver(wire, toFirst: true) }
        }
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id])
        #expect(alpha.store.players[Self.ada]?.epoch == Epoch(2))
        #expect(Self.told(alpha).contains("withdrawn here"))
        // From here on it counts on from what it has learned: the next journey is not taken for an old one.
        try federation.depart(Self.ada, from: beta, to: alpha.id)
        try federation.settle()
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id])
        #expect(alpha.node.decisions[beta.id] == 2)
    }

    @Test(
        "a backup that does not even know the player, or holds the handoff undecided, is told as well",
        arguments: [true, false])
    func restoredFurther(_ isOlder: Bool) throws {
        let federation = try TestFederation(["alpha", "beta"])
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        try federation.settle()
        var backup = alpha.store
        try federation.enter(Self.ada, at: alpha)
        let id = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle { node in
            if !isOlder, alpha.store.handoffs[id]?.state == .prepared { backup = alpha.store }
        }
        federation.crash(alpha)
        alpha.store = backup
        try federation.restart(alpha)
        try federation.connect(alpha, beta)
        while try federation.execute(alpha) || federation.execute(beta) {}
        try federation.heal()
        #expect(federation.playable(Self.ada) == [beta.id])
        #expect(alpha.store.players[Self.ada]?.epoch == Epoch(2))
    }

    @Test("evidence has the last word about a player who was leaving again, in memory and on the disk")
    func evidenceWhileLeaving() throws {
        let federation = try TestFederation(["alpha", "beta", "gamma"])
        let (alpha, beta, gamma) = (federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
        try federation.connectAll()
        try federation.settle()
        try federation.enter(Self.ada, at: alpha)
        let backup = alpha.store
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        federation.crash(alpha)
        alpha.store = backup
        try federation.restart(alpha)
        // The restored copy is on its way to gamma when beta comes and knows better.
        try federation.connect(alpha, gamma)
        while try federation.execute(alpha) || federation.execute(gamma) {}
        let id = try federation.depart(Self.ada, from: alpha, to: gamma.id)
        while try federation.execute(alpha) {}
        try federation.connect(alpha, beta)
        let wire = try #require(federation.wire(alpha, beta))
        while alpha.node.ledger.record(id)?.state == .prepared {
            while try federation.execute(alpha) || federation.execute(beta) {}
            if !wire.frames.1.isEmpty { federation.deliver(wire, toFirst: false) }
            if !wire.frames.0.isEmpty { federation.deliver(wire, toFirst: true) }
        }
        while try federation.execute(alpha) {}
        #expect(alpha.node.players[Self.ada]?.presence.label == "departed")
        #expect(alpha.store.players[Self.ada] == alpha.node.players[Self.ada])
        try federation.heal()
        #expect(federation.playable(Self.ada) == [beta.id])
    }

    @Test("evidence counts only when this server signed it, as a decision, for that peer")
    func evidence() throws {
        let (federation, alpha, beta) = try Self.pair()
        let channel = try #require(alpha.channel(to: beta))
        let token = SessionToken(
            issuer: alpha.id, player: Self.ada, audience: beta.id, handoff: HandoffSamples.id(9),
            issuedAt: federation.now.timestamp, notBefore: federation.now.timestamp,
            expiresAt: federation.now.timestamp + Limits.tokenLifetime, world: TestFederation.worldID(of: beta.id),
            portal: TestFederation.portal(to: beta.id), epoch: Epoch(2), snapshot: ContentHash.of([]), revision: 1,
            decision: 1)
        let offered = SessionToken(
            issuer: alpha.id, player: Self.ada, audience: beta.id, handoff: HandoffSamples.id(9),
            issuedAt: federation.now.timestamp, notBefore: federation.now.timestamp,
            expiresAt: federation.now.timestamp + Limits.tokenLifetime, world: TestFederation.worldID(of: beta.id),
            portal: TestFederation.portal(to: beta.id), epoch: Epoch(2), snapshot: ContentHash.of([]), revision: 1)
        let forger = try ServerIdentity(id: alpha.id, seed: [UInt8](repeating: 99, count: 32))
        let forgeries = ["a.b.c", token.issue(by: forger), offered.issue(by: alpha.identity)]
        let effects = alpha.node.receive(.evidence(forgeries), on: channel, at: federation.now)
        #expect(effects.labels == Array(repeating: "report refused evidence.invalid", count: 3))
        #expect(alpha.node.players[Self.ada]?.presence == .playable)
        // The positive control: with its own signature on a decision it believes it.
        let genuine = alpha.node.receive(.evidence([token.issue(by: alpha.identity)]), on: channel, at: federation.now)
        #expect(
            genuine.labels
                == ["persist decision 1 + departed", "report relearned", "tell withdrawn here", "send position"])
    }

    // MARK: Taking back

    @Test("a player whose host is gone is taken back, and the host's copy is void when it returns")
    func reclaim() throws {
        let (federation, alpha, beta) = try Self.pair()
        try federation.write(Self.ada, at: alpha, number: 7)
        try federation.settle()
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        federation.crash(beta)
        let (record, effects) = try alpha.node.reclaim(Self.ada, reason: "beta's disk died", at: federation.now)
        #expect(effects.labels == ["persist left + reclaim", "report reclaimed"])
        alpha.enqueue(effects)
        try federation.settle()
        #expect(record.voided == Epoch(2) && record.epoch == Epoch(1 << 24) && record.server == beta.id)
        let kept = try #require(alpha.node.players[Self.ada])
        #expect(kept.presence == .left && kept.epoch == record.epoch && kept.state.last == 7)
        try federation.restart(beta)
        #expect(beta.node.players[Self.ada]?.presence == .playable)
        try federation.connect(beta, alpha)
        try federation.settle()
        #expect(beta.store.players[Self.ada]?.presence == .recalled)
        #expect(Self.told(beta).contains("withdrawn here"))
        try federation.write(Self.ada, at: alpha, number: 8)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [alpha.id])
        // The player may go there again, with the new epoch.
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id])
        #expect(beta.node.players[Self.ada]?.epoch == Epoch((1 << 24) + 1))
    }

    @Test("what is taken back while the destination has not answered ends at both, and admits nobody")
    func reclaimCommitted() throws {
        let (federation, alpha, beta) = try Self.pair()
        let id = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle { node in
            guard node === alpha, alpha.node.ledger.record(id)?.state == .committed else { return }
            if federation.wire(alpha, beta) != nil { federation.crash(beta) }
        }
        #expect(beta.store.handoffs[id]?.state == .reserved)
        alpha.enqueue(try alpha.node.reclaim(Self.ada, reason: "beta is gone", at: federation.now).1)
        try federation.settle()
        #expect(alpha.store.handoffs[id]?.abortCode == "player.recalled")
        try federation.heal()
        #expect(beta.store.handoffs[id]?.state == .aborted)
        #expect(federation.playable(Self.ada) == [])
        try federation.write(Self.ada, at: alpha, number: 9)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [alpha.id])
    }

    @Test(
        "a handoff between two others ends when the home takes the player back, whichever of them hears it first",
        arguments: [true, false])
    func reclaimBetweenOthers(_ destinationFirst: Bool) throws {
        let federation = try TestFederation(["alpha", "beta", "gamma"])
        let (alpha, beta, gamma) = (federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
        try federation.connectAll()
        try federation.settle()
        try federation.enter(Self.ada, at: alpha)
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        let id = try federation.depart(Self.ada, from: beta, to: gamma.id)
        try federation.settle { _ in
            guard beta.node.ledger.record(id)?.state == .committed else { return }
            for other in [alpha, gamma] { if let wire = federation.wire(beta, other) { federation.close(wire) } }
            if let wire = federation.wire(alpha, gamma) { federation.close(wire) }
        }
        #expect(gamma.store.handoffs[id]?.state == .reserved)
        alpha.enqueue(try alpha.node.reclaim(Self.ada, reason: "beta is gone", at: federation.now).1)
        try federation.settle()
        try federation.connect(alpha, destinationFirst ? gamma : beta)
        try federation.settle()
        try federation.heal()
        #expect(beta.node.ledger.openCount == 0 && gamma.node.ledger.openCount == 0)
        #expect(federation.playable(Self.ada) == (destinationFirst ? [] : federation.playable(Self.ada)))
        federation.advance(by: .seconds(31))
        try federation.settle()
        #expect(federation.playable(Self.ada).isEmpty)
        try federation.write(Self.ada, at: alpha, number: 5)
        try federation.settle()
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id])
    }

    @Test("a way home that nobody will decide about ends with the reclaim")
    func reclaimWhileReturning() throws {
        let (federation, alpha, beta) = try Self.pair()
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        let id = try federation.depart(Self.ada, from: beta, to: alpha.id)
        try federation.settle { _ in
            if alpha.store.handoffs[id]?.state == .reserved, beta.isUp { federation.crash(beta) }
        }
        alpha.enqueue(try alpha.node.reclaim(Self.ada, reason: "beta is gone", at: federation.now).1)
        try federation.settle()
        #expect(alpha.node.ledger.openHandoff(of: Self.ada) == nil)
        #expect(alpha.store.handoffs[id]?.abortCode == "player.recalled")
        try federation.heal()
        try federation.write(Self.ada, at: alpha, number: 5)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [alpha.id])
    }

    @Test(
        "a home that was restored from before a reclaim learns of it with its later decisions, and recalls anew",
        arguments: [true, false])
    func forgottenReclaim(_ hostFirst: Bool) throws {
        let federation = try TestFederation(["alpha", "beta", "gamma"])
        federation.countsOldTerms = false
        let (alpha, beta, gamma) = (federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
        try federation.connectAll()
        try federation.settle()
        try federation.enter(Self.ada, at: alpha)
        try federation.depart(Self.ada, from: alpha, to: gamma.id)
        try federation.settle()
        let backup = alpha.store
        // Gamma hears nothing of the reclaim, and plays on.
        for other in [alpha, beta] { if let wire = federation.wire(gamma, other) { federation.close(wire) } }
        alpha.enqueue(try alpha.node.reclaim(Self.ada, reason: "gamma is gone", at: federation.now).1)
        try federation.settle()
        try federation.write(Self.ada, at: alpha, number: 5)
        try federation.settle()
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id, gamma.id])
        federation.crash(alpha)
        alpha.store = backup
        try federation.restart(alpha)
        for other in hostFirst ? [gamma, beta] : [beta, gamma] {
            try federation.connect(alpha, other)
            try federation.settle()
        }
        #expect(federation.playable(Self.ada) == [beta.id])
        #expect(gamma.store.players[Self.ada]?.presence == .recalled)
        #expect(alpha.store.state.reclaims.map(\.epoch) == [Epoch(1 << 24)])
    }

    @Test("evidence about a player whom a restored server does not know leaves the recall of that player standing")
    func recallBeforeEvidence() throws {
        let federation = try TestFederation(["alpha", "beta", "gamma"])
        let (alpha, beta, gamma) = (federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
        try federation.connectAll()
        try federation.settle()
        let backup = beta.store
        try federation.enter(Self.ada, at: alpha)
        for (source, destination) in [(alpha, beta), (beta, gamma)] {
            try federation.depart(Self.ada, from: source, to: destination.id)
            try federation.settle()
        }
        // Gamma hears nothing of the reclaim, and beta forgets that ada was ever there.
        for other in [alpha, beta] { if let wire = federation.wire(gamma, other) { federation.close(wire) } }
        alpha.enqueue(try alpha.node.reclaim(Self.ada, reason: "gamma is gone", at: federation.now).1)
        try federation.settle()
        federation.crash(beta)
        beta.store = backup
        try federation.restart(beta)
        for other in [alpha, gamma] {
            try federation.connect(beta, other)
            try federation.settle()
        }
        #expect(beta.store.players[Self.ada]?.presence == .recalled)
        #expect(beta.store.players[Self.ada]?.epoch == Epoch(1 << 24))
        try federation.depart(Self.ada, from: gamma, to: beta.id)
        try federation.settle()
        #expect(Self.told(gamma).last == "returned player.recalled")
        #expect(federation.playable(Self.ada) == [gamma.id])
        try federation.heal()
        #expect(federation.playable(Self.ada) == [])
    }

    @Test("only the home takes back, only whom it has handed away, and only with a reason")
    func reclaimRefused() throws {
        let (federation, alpha, beta) = try Self.pair()
        func code(_ node: TestNode, _ player: PlayerID, _ reason: String = "gone") -> String? {
            do {
                _ = try node.node.reclaim(player, reason: reason, at: federation.now)
                return nil
            } catch {
                return error.code
            }
        }
        let nobody = PlayerID(name: PlayerName(unchecked: "nobody"), home: alpha.id)
        #expect(code(alpha, nobody) == "player.unknown")
        #expect(code(alpha, Self.ada) == "player.notAway")
        let id = try federation.depart(Self.ada, from: alpha, to: beta.id)
        #expect(code(alpha, Self.ada) == "player.frozen")
        try federation.settle()
        #expect(alpha.node.ledger.record(id)?.state == .completed)
        #expect(code(beta, Self.ada) == "player.notHome")
        for reason in ["", "a\nb", String(repeating: "x", count: 129)] {
            #expect(code(alpha, Self.ada, reason) == "reclaim.reasonInvalid")
        }
        #expect(code(alpha, Self.ada) == nil)
        #expect(code(alpha, Self.ada) == "player.notAway")
    }

    @Test("a peer takes back only its own players")
    func foreignRecall() throws {
        let (federation, alpha, beta) = try Self.pair()
        let channel = try #require(alpha.channel(to: beta))
        let recalled = FederationFrame.RecalledPlayer(player: Self.ada, epoch: Epoch(9 << 24))
        let effects = alpha.node.receive(.recall([recalled]), on: channel, at: federation.now)
        #expect(effects.labels == ["report refused recall.foreign"])
        #expect(alpha.node.players[Self.ada]?.presence == .playable)
    }

    @Test("a server that has never seen the player remembers the recall, and lets no old copy in")
    func recallOfAStranger() throws {
        let federation = try TestFederation(["alpha", "beta", "gamma"])
        let (alpha, beta, gamma) = (federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
        try federation.connectAll()
        try federation.settle()
        try federation.enter(Self.ada, at: alpha)
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        // Beta cannot hear alpha, but it can still hand the player on to gamma.
        if let wire = federation.wire(alpha, beta) { federation.close(wire) }
        alpha.enqueue(try alpha.node.reclaim(Self.ada, reason: "beta is gone", at: federation.now).1)
        try federation.settle()
        #expect(gamma.store.state.recalls == [Self.ada: Epoch(1 << 24)])
        federation.crash(gamma)
        try federation.restart(gamma)
        try federation.connect(beta, gamma)
        try federation.settle()
        try federation.depart(Self.ada, from: beta, to: gamma.id)
        try federation.settle()
        #expect(Self.told(beta).last == "returned player.recalled")
        #expect(gamma.node.players[Self.ada] == nil)
        // The player as the home server has them is welcome.
        try federation.heal()
        try federation.write(Self.ada, at: alpha, number: 3)
        try federation.settle()
        try federation.depart(Self.ada, from: alpha, to: gamma.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [gamma.id])
    }

    @Test("nobody brings a player home under a term that the home has not begun")
    func foreignTerm() throws {
        let (federation, alpha, beta) = try Self.pair()
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        let token = SessionToken(
            issuer: beta.id, player: Self.ada, audience: alpha.id, handoff: HandoffSamples.id(9),
            issuedAt: federation.now.timestamp, notBefore: federation.now.timestamp,
            expiresAt: federation.now.timestamp + Limits.tokenLifetime, world: TestFederation.worldID(of: alpha.id),
            portal: TestFederation.portal(to: alpha.id), epoch: Epoch(1 << 24), snapshot: ContentHash.of([]),
            revision: 1)
        let offer = FederationFrame.HandoffOffer(
            handoff: HandoffSamples.id(9), token: token.issue(by: beta.identity), snapshot: [])
        let channel = try #require(alpha.channel(to: beta))
        let effects = alpha.node.receive(.offer(offer), on: channel, at: federation.now)
        #expect(effects.labels == ["report refused player.foreignTerm", "send reject player.foreignTerm"])
    }

    // MARK: The world's word

    /// What the world says, and what becomes of the player.
    private static let words: [(word: String, told: String, place: String)] = [
        ("come in", "completed", "beta"), ("the ball is over", "returned world.refused", "alpha"),
        ("", "returned world.silent", "alpha"),
    ]

    @Test("a guarded world is asked, and its silence is a no", arguments: words)
    func approval(_ word: String, _ told: String, _ place: String) throws {
        let (federation, alpha, beta) = try Self.pair()
        beta.node.setGuarded(TestFederation.worldID(of: beta.id), true)
        let id = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        #expect(Self.told(beta) == ["arriving"])
        #expect(beta.node.ledger.record(id) == nil && beta.store.handoffs[id] == nil)
        #expect(beta.node.arrivalBytes == alpha.player(Self.ada)?.state.count)
        switch word {
        case "come in": beta.enqueue(try beta.node.answerArrival(id, refusal: nil, at: federation.now))
        case "": federation.advance(by: Limits.arrivalTimeout)
        default: beta.enqueue(try beta.node.answerArrival(id, refusal: word, at: federation.now))
        }
        try federation.settle()
        #expect(Self.told(alpha).last == told)
        #expect(federation.playable(Self.ada) == [ServerID(unchecked: place)])
        if !word.isEmpty, place == "alpha" {
            #expect(alpha.node.ledger.record(id)?.abortReason?.contains(word) == true)
        }
        #expect(throws: Refusal.self) { try beta.node.answerArrival(id, refusal: nil, at: federation.now) }
        #expect(beta.node.arrivalBytes == 0)
    }

    @Test("who is called off while the world thinks does not enter, whatever it says then")
    func calledOffAtTheDoor() throws {
        let (federation, alpha, beta) = try Self.pair()
        beta.node.setGuarded(TestFederation.worldID(of: beta.id), true)
        let id = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        alpha.enqueue(try alpha.node.callOff(id, at: federation.now))
        try federation.settle()
        #expect(Self.told(beta) == ["arriving", "withdrawn"])
        #expect(beta.node.arrivalBytes == 0)
        #expect(throws: Refusal.self) { try beta.node.answerArrival(id, refusal: nil, at: federation.now) }
        #expect(federation.playable(Self.ada) == [alpha.id])
    }

    // MARK: Bounds

    @Test("the source gives up after its bound and four round trips, and the player stays")
    func acceptTimeout() throws {
        let (federation, alpha, beta) = try Self.pair()
        let wire = try #require(federation.wire(alpha, beta))
        let id = try federation.depart(Self.ada, from: alpha, to: beta.id)
        while try federation.execute(alpha) {}
        federation.lose(wire, toFirst: false, at: 0)
        federation.advance(by: Limits.acceptTimeout - .nanoseconds(1))
        try federation.settle()
        #expect(alpha.node.ledger.record(id)?.state == .prepared)
        federation.advance(by: .nanoseconds(1))
        try federation.settle()
        #expect(Self.told(alpha).last == "returned handoff.timeout")
        #expect(federation.playable(Self.ada) == [alpha.id])
    }
}
