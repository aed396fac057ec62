import FederationCrypto
import FederationModel
import TestKit
import Testing

@testable import FederationCore

/// A ledger that is restored at once against one to which the same records were added one by one.
@Suite("A restored ledger")
struct HandoffRestoreTests {
    private static let seeds: [UInt64] = [1, 2, 3, 20_261_130]
    private static let peers = (0..<4).map { ServerID(unchecked: "peer-\($0)") }
    private static let players = (0..<40).map {
        PlayerID(name: PlayerName(unchecked: "p\($0)"), home: ServerID(unchecked: "source"))
    }
    private static let now = HandoffSamples.at(.seconds(3 * 86_400))

    /// Many in every state. Players have several that are open, also with the same epoch; many were opened at the same
    /// time; some changed in the future, for clocks jump.
    private static func records(_ random: inout SeededGenerator) -> [HandoffRecord] {
        (0..<1_500).map { number in
            let state = HandoffState.allCases[Int.random(in: 0..<6, using: &random)]
            let isSource =
                switch state {
                case .prepared, .committed, .completed: true
                case .reserved, .admitted: false
                case .aborted: Bool.random(using: &random)
                }
            let hasSnapshot = !state.isFinal || Int.random(in: 0..<50, using: &random) == 0
            let snapshot = hasSnapshot ? [UInt8](repeating: 1, count: Int.random(in: 1..<64, using: &random)) : []
            let changed = now.timestamp + .seconds(Int.random(in: -172_800...3_600, using: &random))
            return HandoffRecord(
                id: HandoffID(high: random.next(), low: UInt64(number)), role: isSource ? .source : .destination,
                player: players[Int.random(in: 0..<40, using: &random)],
                peer: peers[Int.random(in: 0..<4, using: &random)], portal: HandoffSamples.portal,
                world: HandoffSamples.world,
                spawn: Bool.random(using: &random) ? SpawnPoint(x: Double(number), y: 0.5, z: -1) : nil,
                epoch: Epoch(UInt64.random(in: 1...4, using: &random)), revision: random.next(),
                snapshotHash: ContentHash.of(snapshot), snapshot: snapshot, snapshotSize: 64,
                clientKey: Bool.random(using: &random) ? TableSamples.key(UInt8(number % 200)) : nil,
                decision: state == .prepared || state == .reserved ? nil : UInt64(number), state: state,
                openedAt: Timestamp(milliseconds: changed.milliseconds / 3_600_000 * 3_600_000), changedAt: changed,
                abortCode: state == .aborted ? "test.abort" : nil, abortReason: state == .aborted ? "because" : nil,
                receipt: state == .completed || state == .admitted ? "receipt-\(number)" : nil,
                redeemedAt: state == .admitted && number % 2 == 0 ? changed : nil)
        }
    }

    private static func oneByOne(_ records: [HandoffRecord]) -> HandoffLedger {
        var ledger = HandoffLedger()
        for record in records { ledger.restore(record, at: now) }
        return ledger
    }

    @Test("knows and lists what was stored, every field of it, in its order", arguments: seeds)
    func holds(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let records = Self.records(&random)
        let ledger = HandoffLedger(restoring: StoredHandoffs(records), at: Self.now)
        for record in records { #expect(ledger.record(record.id) == record) }
        #expect(ledger.record(HandoffSamples.id(1)) == nil)
        for state in HandoffState.allCases {
            let expected = records.filter { $0.state == state }
                .sorted { ($1.openedAt, $1.id) < ($0.openedAt, $0.id) }
            #expect(ledger.count(state) == expected.count)
            #expect(ledger.list(state, limit: .max) == expected)
            #expect(ledger.list(state, limit: 3) == Array(expected.prefix(3)))
        }
        let open = records.filter { !$0.state.isFinal }
        #expect(ledger.openCount == open.count)
        #expect(ledger.snapshotBytes == records.map(\.snapshot.count).reduce(0, +))
        for player in Self.players {
            // Of several the one with the highest epoch, and of several of those the last.
            let highest = open.filter { $0.player == player }.map(\.epoch).max()
            let counting = open.last(where: { $0.player == player && $0.epoch == highest })
            #expect(ledger.openHandoff(of: player) == counting)
            let inOrder = open.enumerated().filter { $0.element.player == player }
                .sorted { ($0.element.epoch, $0.offset) < ($1.element.epoch, $1.offset) }
            #expect(ledger.openHandoffs(of: player) == inOrder.map(\.element))
        }
    }

    @Test("is the ledger to which they were added one by one, also in all that follows", arguments: seeds)
    func sameAsOneByOne(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let records = Self.records(&random)
        var ledger = HandoffLedger(restoring: StoredHandoffs(records), at: Self.now)
        var model = Self.oneByOne(records)
        Self.compare(ledger, model)
        var ticks = 0
        var dues = 0
        while let next = model.nextDeadline, next < (Self.now.instant + .seconds(3 * 86_400)), ticks < 3_000 {
            #expect(ledger.nextDeadline == next)
            let due = model.tick(at: next)
            #expect(ledger.tick(at: next) == due)
            let now = Now(instant: next, timestamp: Self.now.timestamp + (next - Self.now.instant))
            for due in due {
                let choice = Int.random(in: 0..<4, using: &random)
                let answer = Self.follow(&ledger, due, choice, at: now)
                let expected = Self.follow(&model, due, choice, at: now)
                #expect(answer == expected)
            }
            ticks += 1
            dues += due.count
            if ticks.isMultiple(of: 200) { Self.compare(ledger, model) }
        }
        Self.compare(ledger, model)
        #expect(dues > records.count)
        #expect(model.count(.completed) < records.filter { $0.state == .completed }.count)
    }

    private static func compare(_ ledger: HandoffLedger, _ model: HandoffLedger) {
        #expect(LedgerView(ledger) == LedgerView(model))
        #expect(ledger.nextDeadline == model.nextDeadline)
        for peer in peers {
            #expect(ledger.openHandoffs(with: peer) == model.openHandoffs(with: peer))
            #expect(ledger.openCount(with: peer) == model.openCount(with: peer))
        }
        for player in players {
            let ordered = ledger.openHandoffs(of: player)
            #expect(ordered == model.openHandoffs(of: player) && ordered.last == ledger.openHandoff(of: player))
            #expect(zip(ordered, ordered.dropFirst()).allSatisfy { $0.epoch <= $1.epoch })
        }
    }

    /// What a node might do about it, and what the ledger says of the handoff afterwards.
    private static func follow(
        _ ledger: inout HandoffLedger, _ due: HandoffLedger.Due, _ choice: Int, at now: Now
    ) -> HandoffRecord? {
        switch due {
        case .timeout(let id):
            _ = try? ledger.abort(id, code: "test.timeout", reason: "", at: now)
            return ledger.record(id)
        case .ask(let id):
            if choice == 0 { _ = try? ledger.abort(id, code: "test.ask", reason: "no", at: now) }
            return ledger.record(id)
        case .repeatCommit(let id):
            if choice == 0 { _ = ledger.void(id, code: "test.void", reason: "home", at: now) }
            return ledger.record(id)
        case .settle(let id):
            if choice < 2 { _ = ledger.settle(id) } else { _ = ledger.takeBackRedemption(of: id) }
            return ledger.record(id)
        case .forget(let id):
            if choice == 0 { ledger.keep(id, at: now.instant) } else { _ = ledger.forget(id) }
            return ledger.record(id)
        }
    }
}
