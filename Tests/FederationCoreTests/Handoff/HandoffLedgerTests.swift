import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

@Suite("HandoffLedger")
struct HandoffLedgerTests {
    private let samples = HandoffSamples.shared

    // MARK: Who may speak

    @Test(
        "only the server at the other end moves a handoff",
        arguments: [LedgerOperation.commit, .complete, .admit, .redeem])
    func wrongPeer(_ operation: LedgerOperation) throws {
        let stranger = ServerID(unchecked: "stranger")
        let id = HandoffSamples.id(1)
        var ledger = try (operation == .commit || operation == .complete ? LedgerSituation.committed : .admitted)
            .ledger(samples)
        let before = LedgerView(ledger)
        #expect(throws: HandoffLedger.Failure.self) {
            switch operation {
            case .commit: _ = try ledger.commit(id, from: stranger, decision: 1, at: HandoffSamples.now)
            case .complete:
                _ = try ledger.complete(
                    id, receipt: samples.receipt(issuer: stranger), compact: "", from: stranger, at: HandoffSamples.now)
            default:
                let token = SessionToken(
                    issuer: stranger, player: HandoffSamples.player, audience: samples.destination.id, handoff: id,
                    issuedAt: HandoffSamples.now.timestamp, notBefore: HandoffSamples.now.timestamp,
                    expiresAt: HandoffSamples.now.timestamp + Limits.tokenLifetime, world: HandoffSamples.world,
                    portal: HandoffSamples.portal, epoch: Epoch(2), snapshot: ContentHash.of(HandoffSamples.snapshot),
                    revision: 7, decision: 1)
                if operation == .admit {
                    _ = try ledger.admit(id, token: token, receipt: "", at: HandoffSamples.now)
                } else {
                    _ = try ledger.redeem(token, at: HandoffSamples.now)
                }
            }
        }
        #expect(LedgerView(ledger) == before)
        #expect(ledger.query(id, from: stranger) == .aborted)
    }

    @Test("an id that a peer did not open says nothing to it")
    func reservedForAnother() throws {
        var ledger = try LedgerSituation.reserved.ledger(samples)
        let other = HandoffRecord(
            id: HandoffSamples.id(9), role: .destination,
            player: PlayerID(name: PlayerName(unchecked: "bob"), home: ServerID(unchecked: "third")),
            peer: ServerID(unchecked: "third"), portal: HandoffSamples.portal, world: HandoffSamples.world, spawn: nil,
            epoch: Epoch(2), revision: 1, snapshotHash: ContentHash.of([]), snapshot: [], clientKey: nil,
            state: .reserved, openedAt: HandoffSamples.now.timestamp, changedAt: HandoffSamples.now.timestamp)
        var shared = HandoffLedger(
            restoring: [other, try #require(ledger.record(HandoffSamples.id(1)))], at: HandoffSamples.now)
        let envelope = try samples.envelope(9)
        #expect(throws: HandoffLedger.Failure.wrongPeer(HandoffSamples.id(9), expected: ServerID(unchecked: "third"))) {
            try shared.reserve(envelope, known: nil, at: HandoffSamples.now)
        }
        #expect(try ledger.reserve(try samples.envelope(), known: nil, at: HandoffSamples.now).state == .reserved)
    }

    // MARK: What is offered

    /// An offer under the id of the first one that differs from it.
    enum Difference: String, Sendable, CaseIterable {
        case player
        case world
        case epoch
        case snapshot
    }

    @Test("the same id with another content is another handoff, and refused", arguments: Difference.allCases)
    func sameIDDifferently(_ difference: Difference) throws {
        let envelope =
            switch difference {
            case .player:
                try samples.envelope(player: PlayerID(name: PlayerName(unchecked: "eve"), home: samples.source.id))
            case .world: try samples.envelope(world: WorldID(unchecked: "elsewhere"))
            case .epoch: try samples.envelope(epoch: Epoch(3))
            case .snapshot: try samples.envelope(snapshot: Array("a lamp and 4 coins".utf8))
            }
        for situation in [LedgerSituation.reserved, .admitted, .abortedThere] {
            var ledger = try situation.ledger(samples)
            let before = LedgerView(ledger)
            #expect(throws: HandoffLedger.Failure.playerMismatch(HandoffSamples.id(1))) {
                try ledger.reserve(envelope, known: nil, at: HandoffSamples.now)
            }
            #expect(LedgerView(ledger) == before)
        }
    }

    @Test("the token of a commit must be the one of the reservation", arguments: Difference.allCases)
    func admitDifferently(_ difference: Difference) throws {
        let token =
            switch difference {
            case .player:
                samples.token(player: PlayerID(name: PlayerName(unchecked: "eve"), home: samples.source.id))
            case .world: samples.token(world: WorldID(unchecked: "elsewhere"))
            case .epoch: samples.token(epoch: Epoch(3))
            case .snapshot: samples.token(snapshot: Array("a lamp and 4 coins".utf8))
            }
        var ledger = try LedgerSituation.reserved.ledger(samples)
        let before = LedgerView(ledger)
        #expect(throws: HandoffLedger.Failure.playerMismatch(HandoffSamples.id(1))) {
            try ledger.admit(HandoffSamples.id(1), token: token, receipt: "", at: HandoffSamples.now)
        }
        #expect(LedgerView(ledger) == before)
    }

    @Test("an epoch that is not newer than the known one is stale", arguments: [UInt64(1), 2, 3])
    func staleEpoch(_ known: UInt64) throws {
        var ledger = HandoffLedger()
        let envelope = try samples.envelope(epoch: Epoch(2))
        if known < 2 {
            #expect(try ledger.reserve(envelope, known: Epoch(known), at: HandoffSamples.now).state == .reserved)
        } else {
            #expect(
                throws: HandoffLedger.Failure.staleEpoch(HandoffSamples.player, offered: Epoch(2), known: Epoch(known))
            ) { try ledger.reserve(envelope, known: Epoch(known), at: HandoffSamples.now) }
            #expect(ledger.openCount == 0)
        }
    }

    @Test("a snapshot may have a mebibyte and not a byte more, and must have its hash")
    func snapshots() throws {
        var ledger = HandoffLedger()
        let largest = [UInt8](repeating: 1, count: Limits.snapshotBytes)
        #expect(try ledger.prepare(samples.record(snapshot: largest), at: HandoffSamples.now).state == .prepared)
        let other = PlayerID(name: PlayerName(unchecked: "bob"), home: samples.source.id)
        #expect(throws: HandoffLedger.Failure.snapshotTooLarge(Limits.snapshotBytes + 1)) {
            try ledger.prepare(samples.record(2, player: other, snapshot: largest + [1]), at: HandoffSamples.now)
        }
        let (hash, wrong) = (ContentHash.of(HandoffSamples.snapshot), ContentHash.of([1]))
        #expect(throws: HandoffLedger.Failure.snapshotHashMismatch(expected: wrong, actual: hash)) {
            try ledger.prepare(samples.record(2, player: other, hash: wrong), at: HandoffSamples.now)
        }
    }

    @Test("is full when the snapshots fill its memory, and has room again when one is over")
    func full() throws {
        var ledger = HandoffLedger()
        let snapshot = [UInt8](repeating: 1, count: Limits.snapshotBytes)
        let hash = ContentHash.of(snapshot)
        let records = (0..<1_025).map { number in
            let text = "000\(String(number, radix: 16))".suffix(4)
            let id = HandoffID(String(repeating: "0", count: 28) + text) ?? HandoffSamples.id(0)
            return HandoffRecord(
                id: id, role: .source,
                player: PlayerID(name: PlayerName(unchecked: "p\(number)"), home: samples.source.id),
                peer: samples.destination.id, portal: HandoffSamples.portal, world: HandoffSamples.world, spawn: nil,
                epoch: Epoch(2), revision: 1, snapshotHash: hash, snapshot: snapshot, clientKey: nil, state: .prepared,
                openedAt: HandoffSamples.now.timestamp, changedAt: HandoffSamples.now.timestamp)
        }
        ledger = HandoffLedger(restoring: StoredHandoffs(records.dropLast()), at: HandoffSamples.now)
        #expect(ledger.snapshotBytes == Limits.allSnapshotsBytes)
        #expect(throws: HandoffLedger.Failure.full) { try ledger.prepare(records[1_024], at: HandoffSamples.now) }
        _ = try ledger.abort(records[0].id, code: "test.abort", reason: "", at: HandoffSamples.now)
        #expect(try ledger.prepare(records[1_024], at: HandoffSamples.now).state == .prepared)
    }

    @Test("a player is sent on past as many decisions without a receipt as the bound says, and told why not after that")
    func unconfirmed() throws {
        func record(_ epoch: Int, _ state: HandoffState) throws -> HandoffRecord {
            HandoffRecord(
                id: HandoffID(high: 0, low: UInt64(epoch)), role: .source, player: HandoffSamples.player,
                peer: samples.destination.id, portal: HandoffSamples.portal, world: HandoffSamples.world, spawn: nil,
                epoch: Epoch(UInt64(epoch)), revision: 1, snapshotHash: ContentHash.of([]), snapshot: [],
                clientKey: nil, state: state, openedAt: HandoffSamples.now.timestamp,
                changedAt: HandoffSamples.now.timestamp)
        }
        let decided = try (1...Limits.openHandoffsOfPlayer).map { try record($0 * 2, .committed) }
        let next = try record(Limits.openHandoffsOfPlayer * 2 + 2, .prepared)
        var ledger = HandoffLedger(restoring: StoredHandoffs(decided), at: HandoffSamples.now)
        #expect(throws: HandoffLedger.Failure.unconfirmed(HandoffSamples.player)) {
            try ledger.prepare(next, at: HandoffSamples.now)
        }
        ledger = HandoffLedger(restoring: StoredHandoffs(decided.dropLast()), at: HandoffSamples.now)
        #expect(try ledger.prepare(next, at: HandoffSamples.now).state == .prepared)
    }

    // MARK: Receipts and tokens

    @Test("a receipt counts only for its handoff, player, epoch and issuer", arguments: 0..<4)
    func receipts(_ number: Int) throws {
        let receipt =
            switch number {
            case 0: samples.receipt(2)
            case 1: samples.receipt(player: PlayerID(name: PlayerName(unchecked: "eve"), home: samples.source.id))
            case 2: samples.receipt(epoch: Epoch(3))
            default: samples.receipt(issuer: ServerID(unchecked: "stranger"))
            }
        var ledger = try LedgerSituation.committed.ledger(samples)
        let before = LedgerView(ledger)
        #expect(throws: HandoffLedger.Failure.invalidReceipt(HandoffSamples.id(1))) {
            try ledger.complete(
                HandoffSamples.id(1), receipt: receipt, compact: "", from: samples.destination.id,
                at: HandoffSamples.now)
        }
        #expect(LedgerView(ledger) == before)
    }

    @Test("a token is redeemed once, also after a restart, unless the first redemption was taken back")
    func redemption() throws {
        let ledger = try LedgerSituation.redeemed.ledger(samples)
        let record = try #require(ledger.record(HandoffSamples.id(1)))
        var restored = HandoffLedger(restoring: [record], at: HandoffSamples.now)
        #expect(throws: HandoffLedger.Failure.replayed(record.id)) {
            try restored.redeem(samples.token(), at: HandoffSamples.now)
        }
        // A fresh token of the same handoff is the same token.
        #expect(throws: HandoffLedger.Failure.replayed(record.id)) {
            try restored.redeem(samples.token(issuedAt: .seconds(3_600)), at: HandoffSamples.now)
        }
        #expect(restored.takeBackRedemption(of: record.id)?.redeemedAt == nil)
        #expect(restored.takeBackRedemption(of: record.id) == nil)
        #expect(try restored.redeem(samples.token(), at: HandoffSamples.now).redeemedAt != nil)
    }

    // MARK: Time

    @Test("the source waits its time for an answer and not longer")
    func deadline() throws {
        let last = HandoffSamples.at(Limits.acceptTimeout - .nanoseconds(1))
        let late = HandoffSamples.at(Limits.acceptTimeout)
        var ledger = try LedgerSituation.prepared.ledger(samples)
        #expect(ledger.nextDeadline == late.instant)
        #expect(ledger.tick(at: last.instant).isEmpty)
        #expect(throws: HandoffLedger.Failure.timeout(HandoffSamples.id(1))) {
            try ledger.commit(HandoffSamples.id(1), from: samples.destination.id, decision: 1, at: late)
        }
        #expect(ledger.tick(at: late.instant) == [.timeout(HandoffSamples.id(1))])
        var prompt = try LedgerSituation.prepared.ledger(samples)
        #expect(
            try prompt.commit(HandoffSamples.id(1), from: samples.destination.id, decision: 1, at: last).state
                == .committed)
    }

    @Test("nothing aborts what is committed: it is said again with doubling pauses of at most thirty seconds, for days")
    func repetition() throws {
        var ledger = try LedgerSituation.committed.ledger(samples)
        var pauses: [Double] = []
        var last = HandoffSamples.now.instant
        for _ in 0..<10_000 {
            let next = try #require(ledger.nextDeadline)
            let due = ledger.tick(at: next)
            guard !due.isEmpty else { continue }
            #expect(due == [.repeatCommit(HandoffSamples.id(1))])
            pauses.append(Double((next - last).clampedNanoseconds) / 1e9)
            last = next
        }
        #expect(Array(pauses.prefix(7)) == [1, 2, 4, 8, 16, 30, 30])
        #expect(pauses.max() == 30)
        #expect(ledger.record(HandoffSamples.id(1))?.state == .committed)
    }

    @Test("a thousand and some are taken up at once, and the rest after a pause, so that no channel is flooded")
    func pacing() throws {
        let reserved = try #require(try LedgerSituation.reserved.ledger(samples).record(HandoffSamples.id(1)))
        let stored = (0..<3_000).map { (number: Int) -> HandoffRecord in
            let bytes = [UInt8(number >> 8), UInt8(number & 0xFF)] + [UInt8](repeating: 7, count: 14)
            return HandoffRecord(
                id: HandoffID(bytes: bytes)!, role: .destination,
                player: PlayerID(name: PlayerName(unchecked: "p\(number)"), home: reserved.player.home),
                peer: reserved.peer, portal: reserved.portal, world: reserved.world, spawn: nil,
                epoch: reserved.epoch, revision: 1, snapshotHash: reserved.snapshotHash, snapshot: reserved.snapshot,
                clientKey: nil, state: .reserved, openedAt: reserved.openedAt, changedAt: reserved.changedAt)
        }
        var ledger = HandoffLedger(restoring: StoredHandoffs(stored), at: HandoffSamples.now)
        var asked: Set<HandoffLedger.Due> = []
        var counts: [Int] = []
        for turn in 0..<3 {
            let now = HandoffSamples.now.instant + Limits.handoffPace * turn
            #expect(ledger.nextDeadline == now)
            let due = ledger.tick(at: now)
            #expect(ledger.tick(at: now).isEmpty || turn == 2)
            asked.formUnion(due)
            counts.append(due.count)
        }
        #expect(counts == [1_024, 1_024, 952])
        #expect(asked.count == 3_000)
    }

    @Test("a destination asks and asks, and never ends a reservation by itself")
    func asking() throws {
        var ledger = try LedgerSituation.reserved.ledger(samples)
        var asked = 0
        while asked < 1_000 {
            let next = try #require(ledger.nextDeadline)
            for due in ledger.tick(at: next) {
                #expect(due == .ask(HandoffSamples.id(1)))
                asked += 1
            }
        }
        #expect(ledger.record(HandoffSamples.id(1))?.state == .reserved)
    }

    @Test(
        "what is over is kept for its time; then the source forgets it, and the destination asks whether it may",
        arguments: [
            (LedgerSituation.completed, HandoffLedger.Due.forget(HandoffSamples.id(1))),
            (.abortedHere, .forget(HandoffSamples.id(1))), (.abortedThere, .forget(HandoffSamples.id(1))),
            (.admitted, .settle(HandoffSamples.id(1))), (.redeemed, .settle(HandoffSamples.id(1))),
        ])
    func retention(_ situation: LedgerSituation, _ expected: HandoffLedger.Due) throws {
        var ledger = try situation.ledger(samples)
        let over = HandoffSamples.at(Limits.handoffRetention).instant
        #expect(ledger.tick(at: over + .nanoseconds(-1)).isEmpty)
        #expect(ledger.nextDeadline == over)
        // Nobody who was not asked can make it forget an admitted one.
        let unasked = ledger.settle(HandoffSamples.id(1))
        #expect(!unasked)
        #expect(ledger.tick(at: over) == [expected])
        if case .settle = expected {
            #expect(ledger.nextDeadline == over + .seconds(30))
            let settled = ledger.settle(HandoffSamples.id(1))
            #expect(settled)
        } else {
            #expect(ledger.nextDeadline == nil)
            let forgotten = ledger.forget(HandoffSamples.id(1))
            #expect(forgotten)
        }
        #expect(LedgerView(ledger) == LedgerView(HandoffLedger()))
        let again = ledger.forget(HandoffSamples.id(1))
        #expect(!again)
    }

    @Test("nothing that is open is forgotten", arguments: [LedgerSituation.prepared, .committed, .reserved])
    func openIsKept(_ situation: LedgerSituation) throws {
        var ledger = try situation.ledger(samples)
        for _ in 0..<3 {
            for due in ledger.tick(at: HandoffSamples.at(Limits.handoffRetention * 2).instant) {
                switch due {
                case .forget, .settle: Issue.record("\(due) in \(situation)")
                case .timeout, .repeatCommit, .ask: break
                }
            }
        }
        let isForgotten = ledger.forget(HandoffSamples.id(1)) || ledger.settle(HandoffSamples.id(1))
        #expect(!isForgotten)
        #expect(ledger.openCount == 1)
    }

    @Test("an offer's token decides nothing, and only a decision's admits")
    func undecided() throws {
        var ledger = try LedgerSituation.reserved.ledger(samples)
        #expect(throws: HandoffLedger.Failure.undecided(HandoffSamples.id(1))) {
            try ledger.admit(
                HandoffSamples.id(1), token: samples.token(decision: nil), receipt: "", at: HandoffSamples.now)
        }
        #expect(ledger.record(HandoffSamples.id(1))?.state == .reserved)
    }

    @Test("lists one state, the newest first, and no more than was asked for")
    func listing() throws {
        var ledger = HandoffLedger()
        for number in UInt8(1)...20 {
            let player = PlayerID(name: PlayerName(unchecked: "p\(number)"), home: samples.source.id)
            // Two always begin at the same moment.
            let record = samples.record(number, player: player, openedAt: .seconds(Int(number / 2)))
            _ = try ledger.prepare(record, at: HandoffSamples.now)
        }
        #expect(ledger.list(.prepared, limit: 5).map(\.id) == [20, 19, 18, 17, 16].map { HandoffSamples.id($0) })
        #expect(ledger.list(.prepared, limit: .max).count == 20)
        for limit in [0, -1] { #expect(ledger.list(.prepared, limit: limit).isEmpty) }
    }
}
