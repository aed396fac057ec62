import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

/// What a ledger knows of the handoff under test.
enum LedgerSituation: String, Sendable, CaseIterable {
    case nothing
    case prepared
    case committed
    case completed
    case abortedHere
    case reserved
    case admitted
    case redeemed
    case abortedThere

    /// A ledger in that situation, brought there by its own operations.
    func ledger(_ samples: HandoffSamples) throws -> HandoffLedger {
        var ledger = HandoffLedger()
        switch self {
        case .nothing:
            break
        case .prepared, .committed, .completed, .abortedHere:
            _ = try LedgerOperation.prepare.apply(to: &ledger, samples)
            if self == .abortedHere { _ = try LedgerOperation.abort.apply(to: &ledger, samples) }
            if self == .committed || self == .completed { _ = try LedgerOperation.commit.apply(to: &ledger, samples) }
            if self == .completed { _ = try LedgerOperation.complete.apply(to: &ledger, samples) }
        case .reserved, .admitted, .redeemed, .abortedThere:
            _ = try LedgerOperation.reserve.apply(to: &ledger, samples)
            if self == .abortedThere { _ = try LedgerOperation.abort.apply(to: &ledger, samples) }
            if self == .admitted || self == .redeemed { _ = try LedgerOperation.admit.apply(to: &ledger, samples) }
            if self == .redeemed { _ = try LedgerOperation.redeem.apply(to: &ledger, samples) }
        }
        return ledger
    }
}

/// What can be done with a ledger.
enum LedgerOperation: String, Sendable, CaseIterable {
    case prepare
    /// Of the same player in the same epoch, under another id.
    case prepareBeside
    /// Of the same player in a later epoch.
    case prepareLater
    case commit
    case complete
    case reserve
    case reserveBeside
    case reserveLater
    case admit
    case redeem
    case abort
    case query

    /// Whether the same call again must give the same answer.
    var isIdempotent: Bool {
        switch self {
        case .prepare, .prepareBeside, .prepareLater, .redeem: false
        case .commit, .complete, .reserve, .reserveBeside, .reserveLater, .admit, .abort, .query: true
        }
    }

    /// The state of the record that comes back, or the failure.
    func answer(of ledger: inout HandoffLedger, _ samples: HandoffSamples) throws -> String {
        do {
            return try apply(to: &ledger, samples)
        } catch let failure as HandoffLedger.Failure {
            return failure.label
        }
    }

    @discardableResult
    func apply(to ledger: inout HandoffLedger, _ samples: HandoffSamples) throws -> String {
        let now = HandoffSamples.now
        let id = HandoffSamples.id(1)
        switch self {
        case .prepare: return try ledger.prepare(samples.record(), at: now).state.rawValue
        case .prepareBeside: return try ledger.prepare(samples.record(2), at: now).state.rawValue
        case .prepareLater: return try ledger.prepare(samples.record(2, epoch: Epoch(3)), at: now).state.rawValue
        case .commit: return try ledger.commit(id, from: samples.destination.id, decision: 1, at: now).state.rawValue
        case .complete:
            let receipt = samples.receipt()
            return try ledger.complete(
                id, receipt: receipt, compact: "receipt", from: samples.destination.id, at: now
            ).state.rawValue
        case .reserve: return try ledger.reserve(try samples.envelope(), known: nil, at: now).state.rawValue
        case .reserveBeside: return try ledger.reserve(try samples.envelope(2), known: nil, at: now).state.rawValue
        case .reserveLater:
            return try ledger.reserve(try samples.envelope(2, epoch: Epoch(3)), known: Epoch(2), at: now).state.rawValue
        case .admit: return try ledger.admit(id, token: samples.token(), receipt: "receipt", at: now).state.rawValue
        case .redeem: return try ledger.redeem(samples.token(), at: now).redeemedAt == nil ? "unredeemed" : "redeemed"
        case .abort: return try ledger.abort(id, code: "test.abort", reason: "a test", at: now).state.rawValue
        case .query: return ledger.query(id, from: samples.destination.id).rawValue
        }
    }
}

@Suite("HandoffLedger, every operation in every state")
struct HandoffLedgerTableTests {
    /// One line a situation, one column an operation, in the order of ``LedgerOperation``.
    static let table: [LedgerSituation: [String]] = [
        .nothing: [
            "prepared", "prepared", "prepared", "notFound", "notFound", "reserved", "reserved", "reserved", "notFound",
            "notFound", "notFound", "aborted",
        ],
        .prepared: [
            "invalidState(prepared)", "alreadyOpen", "alreadyOpen", "committed", "invalidState(prepared)", "wrongPeer",
            "alreadyOpen", "alreadyOpen", "notFound", "notFound", "aborted", "prepared",
        ],
        .committed: [
            "invalidState(committed)", "alreadyOpen", "prepared", "committed", "completed", "wrongPeer", "alreadyOpen",
            "reserved", "notFound", "notFound", "invalidState(committed)", "committed",
        ],
        .completed: [
            "invalidState(completed)", "prepared", "prepared", "completed", "completed", "wrongPeer", "reserved",
            "reserved", "notFound", "notFound", "invalidState(completed)", "completed",
        ],
        .abortedHere: [
            "invalidState(aborted)", "prepared", "prepared", "invalidState(aborted)", "invalidState(aborted)",
            "wrongPeer", "reserved", "reserved", "notFound", "notFound", "aborted", "aborted",
        ],
        .reserved: [
            "invalidState(reserved)", "alreadyOpen", "prepared", "notFound", "notFound", "reserved", "alreadyOpen",
            "alreadyOpen", "admitted", "invalidState(reserved)", "aborted", "aborted",
        ],
        .admitted: [
            "invalidState(admitted)", "prepared", "prepared", "notFound", "notFound", "admitted", "reserved",
            "reserved", "admitted", "redeemed", "invalidState(admitted)", "aborted",
        ],
        .redeemed: [
            "invalidState(admitted)", "prepared", "prepared", "notFound", "notFound", "admitted", "reserved",
            "reserved", "admitted", "replayed", "invalidState(admitted)", "aborted",
        ],
        .abortedThere: [
            "invalidState(aborted)", "prepared", "prepared", "notFound", "notFound", "aborted", "reserved", "reserved",
            "invalidState(aborted)", "invalidState(aborted)", "aborted", "aborted",
        ],
    ]

    @Test("answers as the table says, and a refusal changes nothing", arguments: LedgerSituation.allCases)
    func answers(_ situation: LedgerSituation) throws {
        let samples = HandoffSamples.shared
        let row = try #require(Self.table[situation])
        try #require(row.count == LedgerOperation.allCases.count)
        for (operation, expected) in zip(LedgerOperation.allCases, row) {
            var ledger = try situation.ledger(samples)
            let before = LedgerView(ledger)
            let answer = try operation.answer(of: &ledger, samples)
            #expect(answer == expected, "\(operation) when \(situation)")
            let isRefusal = HandoffState(rawValue: expected) == nil && expected != "redeemed"
            if isRefusal { #expect(LedgerView(ledger) == before, "\(operation) when \(situation) changed something") }
        }
    }

    @Test("gives the same answer to the same call again, and changes nothing more", arguments: LedgerSituation.allCases)
    func idempotence(_ situation: LedgerSituation) throws {
        let samples = HandoffSamples.shared
        for operation in LedgerOperation.allCases where operation.isIdempotent {
            var ledger = try situation.ledger(samples)
            let first = try operation.answer(of: &ledger, samples)
            let after = LedgerView(ledger)
            #expect(try operation.answer(of: &ledger, samples) == first, "\(operation) when \(situation)")
            #expect(LedgerView(ledger) == after, "\(operation) again when \(situation) changed something")
        }
    }

    @Test("counts and indexes agree with the records in every situation", arguments: LedgerSituation.allCases)
    func indexes(_ situation: LedgerSituation) throws {
        let ledger = try situation.ledger(.shared)
        let record = ledger.record(HandoffSamples.id(1))
        let isOpen = record.map { !$0.state.isFinal } ?? false
        #expect(ledger.openCount == (isOpen ? 1 : 0))
        #expect(ledger.openHandoff(of: HandoffSamples.player) == (isOpen ? record : nil))
        #expect(record.map { ledger.openHandoffs(with: $0.peer) } ?? [] == (isOpen ? [record].compactMap(\.self) : []))
        for state in HandoffState.allCases {
            let expected = record.map { $0.state == state ? [$0] : [] } ?? []
            #expect(ledger.list(state, limit: 10) == expected)
            #expect(ledger.count(state) == expected.count)
        }
        // The state that crosses is kept exactly as long as it may be needed.
        #expect(ledger.snapshotBytes == (isOpen ? HandoffSamples.snapshot.count : 0))
        #expect(record?.snapshot.isEmpty != isOpen)
    }

    @Test("stands as it was after being stored and restored, and is due at once", arguments: LedgerSituation.allCases)
    func restore(_ situation: LedgerSituation) throws {
        let ledger = try situation.ledger(.shared)
        let stored = StoredHandoffs([ledger.record(HandoffSamples.id(1))].compactMap(\.self))
        let later = Instant(nanoseconds: 99)
        var restored = HandoffLedger(
            restoring: stored, at: Now(instant: later, timestamp: HandoffSamples.now.timestamp))
        #expect(LedgerView(restored) == LedgerView(ledger))
        let due: [HandoffLedger.Due] =
            switch situation {
            case .prepared: [.timeout(HandoffSamples.id(1))]
            case .committed: [.repeatCommit(HandoffSamples.id(1))]
            case .reserved: [.ask(HandoffSamples.id(1))]
            case .nothing, .completed, .abortedHere, .admitted, .redeemed, .abortedThere: []
            }
        let kept: Instant? = situation == .nothing ? nil : later + Limits.handoffRetention
        #expect(restored.nextDeadline == (due.isEmpty ? kept : later))
        #expect(restored.tick(at: later) == due)
    }
}

/// What a ledger shows of itself.
struct LedgerView: Equatable {
    let records: [HandoffState: [HandoffRecord]]
    let open: Int
    let bytes: Int

    init(_ ledger: HandoffLedger) {
        records = Dictionary(
            uniqueKeysWithValues: HandoffState.allCases.map { ($0, ledger.list($0, limit: .max)) })
        open = ledger.openCount
        bytes = ledger.snapshotBytes
    }
}
