public import FederationCrypto
public import FederationModel
import HeapModule

/// Every handoff of one server, from both ends, and the rules by which it moves.
///
/// Terms: the *source* hands a player to the *destination*; the source *decides*, once; the *epoch* counts a player's
/// committed handoffs. States and what they can become: see ``HandoffState``. The ledger changes nothing else: the caller
/// freezes, releases and admits the player, and makes both changes durable together.
///
/// Before `committed` a timeout aborts; after it nothing does. A destination never leaves `reserved` by itself: it asks.
public struct HandoffLedger: Sendable {
    /// What is due for an open handoff, as ``tick(at:)`` finds it.
    public enum Due: Hashable, Sendable {
        /// Prepared for too long: abort.
        case timeout(HandoffID)
        /// Committed without a receipt: say so again.
        case repeatCommit(HandoffID)
        /// Reserved without a decision: ask.
        case ask(HandoffID)
        /// Admitted and kept long enough: ask whether the source still needs it.
        case settle(HandoffID)
        /// Over, kept long enough, and nobody needs it: forget.
        case forget(HandoffID)
    }

    /// Orders the handoffs of one state for listing: the newest first.
    private struct Newest: Comparable, Sendable {
        let openedAt: Timestamp
        let id: HandoffID

        init(_ record: HandoffRecord) {
            openedAt = record.openedAt
            id = record.id
        }

        init(_ packed: PackedHandoff) {
            openedAt = packed.openedAt
            id = packed.id
        }

        static func < (left: Newest, right: Newest) -> Bool { (right.openedAt, right.id) < (left.openedAt, left.id) }
    }

    private var records = HandoffTable()
    private var open = OpenHandoffs()
    private var byState: [HandoffState: OrderedKeys<Newest>] = [:]
    /// When each handoff that is over is looked at again; see ``tick(at:)``.
    private var retirements = Heap<HandoffDeadline>()
    /// How often the source was asked about an admitted handoff.
    private var settlements: [HandoffID: Int] = [:]
    /// So many handoffs were due at once that the next wait until then.
    private var rested = Instant(nanoseconds: .min)
    /// How long a handoff that is over is kept.
    public let retention: Duration
    /// nil in the product; see ``FederationNode/plant(_:)``.
    var plantedBug: PlantedBug?
    /// Bytes of the snapshots that the records hold.
    public private(set) var snapshotBytes = 0

    public init(retention: Duration = Limits.handoffRetention) {
        self.retention = retention
    }

    /// The ledger as it was stored. Open handoffs are due at once: each end asks the other or says it again.
    ///
    /// What is over is taken as it is held, and put in order once: a million looked at and inserted one by one take as
    /// long as the store takes to read them.
    public init(restoring stored: StoredHandoffs, retention: Duration = Limits.handoffRetention, at now: Now) {
        self.init(retention: retention)
        records.reserveCapacity(stored.count)
        var over: [HandoffState: [Newest]] = [:]
        var retiring: [HandoffDeadline] = []
        retiring.reserveCapacity(stored.count)
        for handoff in stored.kept {
            switch handoff {
            case .open(let record):
                restore(record, at: now)
            case .over(let packed):
                records.insert(packed)
                if packed.hasSnapshot { snapshotBytes += packed.record.snapshot.count }
                over[packed.state, default: []].append(Newest(packed))
                retiring.append(HandoffDeadline(at: retirement(of: packed.changedAt, at: now), id: packed.id))
            }
        }
        while let (state, newest) = over.popFirst() { byState[state] = OrderedKeys(newest) }
        retirements = Heap(retiring)
    }

    /// Adds one handoff as it was stored.
    mutating func restore(_ record: HandoffRecord, at now: Now) {
        insert(record, due: now.instant)
        if record.state.isFinal { retire(record, at: retirement(of: record.changedAt, at: now)) }
    }

    /// When a handoff that was over at `changedAt` has been kept for its time.
    private func retirement(of changedAt: Timestamp, at now: Now) -> Instant {
        now.instant + (retention - min(max(now.timestamp - changedAt, .zero), retention))
    }

    // MARK: Looking

    public func record(_ id: HandoffID) -> HandoffRecord? { records[id] }

    /// The state of a handoff alone, for which one that is over need not be unpacked.
    func state(of id: HandoffID) -> HandoffState? { records.state(of: id) }

    /// The open handoff of a player, if there is one; of several the one with the highest epoch, and of several of those the
    /// last.
    public func openHandoff(of player: PlayerID) -> HandoffRecord? {
        open.counting(of: player).flatMap { records[$0.id] }
    }

    /// The open handoffs of a player in order of their epochs. The last one counts. The player has gone on since those before it,
    /// only that their other ends have not said so yet.
    public func openHandoffs(of player: PlayerID) -> [HandoffRecord] {
        open.all(of: player).compactMap { records[$0] }
    }

    /// Open handoffs with a peer, sorted by id.
    public func openHandoffs(with peer: ServerID) -> [HandoffRecord] {
        open.all(with: peer).compactMap { records[$0] }
    }

    /// How many handoffs with a peer are open.
    public func openCount(with peer: ServerID) -> Int { open.count(with: peer) }

    /// Handoffs in one state, the newest first, at most `limit`.
    public func list(_ state: HandoffState, limit: Int) -> [HandoffRecord] {
        (byState[state]?.page(after: nil, limit: limit) ?? []).compactMap { records[$0.id] }
    }

    public func count(_ state: HandoffState) -> Int { byState[state]?.count ?? 0 }

    /// How many handoffs are not over.
    public var openCount: Int { open.count }

    /// When ``tick(at:)`` has something to do next; it may turn out to be nothing.
    public var nextDeadline: Instant? {
        let next = [open.nextAttempt, retirements.min?.at].compactMap(\.self).min()
        return next.map { max($0, rested) }
    }

    // MARK: Source

    /// Opens a handoff at the source: `prepared`. The caller freezes the player in the same transaction.
    ///
    /// - Parameter timeout: how long the destination may take to accept.
    /// - Throws: `invalidState` when the id is taken, `full`, `alreadyOpen`, `snapshotTooLarge`, `snapshotHashMismatch`.
    public mutating func prepare(
        _ record: HandoffRecord, timeout: Duration = Limits.acceptTimeout, at now: Now
    ) throws(Failure) -> HandoffRecord {
        precondition(record.role == .source, "a handoff is prepared at its source")
        if let existing = records[record.id] { throw .invalidState(record.id, existing.state) }
        try checkOpening(record)
        var record = record
        record.state = .prepared
        record.changedAt = now.timestamp
        insert(record, due: now.instant + timeout)
        return record
    }

    /// The decision: `prepared` becomes `committed`. From here on the player belongs to the destination. Repeated calls
    /// give the same answer.
    ///
    /// - Parameter decision: its number; see ``HandoffRecord/decision``.
    /// - Throws: `notFound`, `wrongPeer`, `invalidState`; `timeout` when the destination has answered too late: the handoff
    ///   is then to be aborted, as ``tick(at:)`` says.
    public mutating func commit(
        _ id: HandoffID, from peer: ServerID, decision: UInt64, at now: Now
    ) throws(Failure) -> HandoffRecord {
        let record = try find(id, role: .source, peer: peer)
        switch record.state {
        case .prepared:
            // While prepared, the next attempt is the abort.
            guard let abort = open.nextAttempt(for: id), now.instant < abort else { throw .timeout(id) }
            return decide(record, decision, at: now)
        case .committed, .completed:
            return record
        case .reserved, .admitted, .aborted:
            throw .invalidState(id, record.state)
        }
    }

    /// The decision was made before, by this server itself, and then lost with what a backup did not hold: whatever the
    /// handoff has become since, it is `committed`. nil when it is not known here or was committed all the same.
    mutating func recommit(_ id: HandoffID, to peer: ServerID, decision: UInt64, at now: Now) -> HandoffRecord? {
        guard let record = records[id], record.role == .source, record.peer == peer else { return nil }
        switch record.state {
        case .prepared, .aborted: return decide(record, decision, at: now)
        case .committed, .completed, .reserved, .admitted: return nil
        }
    }

    private mutating func decide(_ record: HandoffRecord, _ decision: UInt64, at now: Now) -> HandoffRecord {
        var record = record
        record.state = .committed
        record.decision = decision
        record.changedAt = now.timestamp
        record.abortCode = nil
        record.abortReason = nil
        replace(record, due: now.instant + Limits.dialBackoffMinimum, at: now)
        return record
    }

    /// The receipt is in: `committed` becomes `completed`. Repeated calls give the same answer.
    ///
    /// - Parameters:
    ///   - receipt: what the destination's signature was checked on.
    ///   - compact: its signed form, which is kept.
    /// - Throws: `notFound`, `wrongPeer`, `invalidReceipt`, `invalidState`.
    public mutating func complete(
        _ id: HandoffID, receipt: AdmissionReceipt, compact: String, from peer: ServerID, at now: Now
    ) throws(Failure) -> HandoffRecord {
        var record = try find(id, role: .source, peer: peer)
        guard receipt.handoff == id, receipt.issuer == peer, receipt.player == record.player,
            receipt.epoch == record.epoch
        else { throw .invalidReceipt(id) }
        switch record.state {
        case .committed:
            record.state = .completed
            record.changedAt = now.timestamp
            record.receipt = compact
            record.snapshot = []
            replace(record, due: nil, at: now)
            return record
        case .completed:
            return record
        case .prepared, .reserved, .admitted, .aborted:
            throw .invalidState(id, record.state)
        }
    }

    // MARK: Destination

    /// Keeps a place for an offered player: `reserved`, inert. The same offer again gives the same record, whatever has
    /// become of it since.
    ///
    /// - Parameters:
    ///   - known: the player's epoch as this server knows it; nil for a stranger.
    ///   - past: a place of the player that stands in nobody's way, because it is past.
    /// - Throws: `wrongPeer` and `playerMismatch` when the id is known for something else; `staleEpoch`, `full`,
    ///   `alreadyOpen`, `snapshotTooLarge`, `snapshotHashMismatch`.
    public mutating func reserve(
        _ envelope: SessionHandoffEnvelope, known: Epoch?, past: HandoffID? = nil, at now: Now
    ) throws(Failure) -> HandoffRecord {
        let id = envelope.token.handoff
        if let existing = records[id], plantedBug != .duplicateOfferReservedTwice {
            guard existing.role == .destination, existing.peer == envelope.token.issuer else {
                throw .wrongPeer(id, expected: existing.peer)
            }
            guard existing.player == envelope.token.player, existing.epoch == envelope.token.epoch,
                existing.world == envelope.token.world, existing.snapshotHash == envelope.token.snapshot
            else { throw .playerMismatch(id) }
            return existing
        }
        let record = try checkReservation(envelope, known: known, past: past, at: now)
        insert(record, due: now.instant + Limits.dialBackoffMinimum)
        return record
    }

    /// What ``reserve(_:known:past:at:)`` would make of a handoff that is not known yet; refuses as it does.
    @discardableResult
    func checkReservation(
        _ envelope: SessionHandoffEnvelope, known: Epoch?, past: HandoffID?, at now: Now
    ) throws(Failure) -> HandoffRecord {
        if let known, envelope.token.epoch <= known {
            throw .staleEpoch(envelope.token.player, offered: envelope.token.epoch, known: known)
        }
        let record = envelope.reservation(at: now.timestamp)
        try checkOpening(record, besides: past)
        return record
    }

    /// The source has decided: `reserved` becomes `admitted`. The caller admits the player in the same transaction.
    /// Repeated calls give the same answer.
    ///
    /// - Throws: `notFound`, `wrongPeer`, `undecided`, `playerMismatch`, `invalidState`.
    public mutating func admit(
        _ id: HandoffID, token: SessionToken, receipt: String, at now: Now
    ) throws(Failure) -> HandoffRecord {
        var record = try find(id, role: .destination, peer: token.issuer)
        guard let decision = token.decision else { throw .undecided(id) }
        guard token.handoff == id, token.player == record.player, token.epoch == record.epoch,
            token.snapshot == record.snapshotHash, token.world == record.world
        else { throw .playerMismatch(id) }
        switch record.state {
        case .reserved:
            record.state = .admitted
            record.decision = decision
            record.changedAt = now.timestamp
            record.receipt = receipt
            record.snapshot = []
            replace(record, due: nil, at: now)
            return record
        case .admitted:
            return record
        case .prepared, .committed, .completed, .aborted:
            throw .invalidState(id, record.state)
        }
    }

    /// The player's client shows its token: once, and only when the player is admitted.
    ///
    /// - Throws: `notFound`, `wrongPeer`, `playerMismatch`, `invalidState`; `replayed` the second time.
    public mutating func redeem(_ token: SessionToken, at now: Now) throws(Failure) -> HandoffRecord {
        var record = try redeemable(token)
        record.redeemedAt = now.timestamp
        records[record.id] = record
        return record
    }

    /// The handoff that a token may be redeemed for now; refuses as ``redeem(_:at:)`` does.
    ///
    /// - Parameter again: whether one that is redeemed may be as well.
    func redeemable(_ token: SessionToken, again: Bool = false) throws(Failure) -> HandoffRecord {
        let record = try find(token.handoff, role: .destination, peer: token.issuer)
        guard token.decision != nil else { throw .undecided(token.handoff) }
        guard token.player == record.player, token.epoch == record.epoch else {
            throw .playerMismatch(token.handoff)
        }
        guard record.state == .admitted else { throw .invalidState(token.handoff, record.state) }
        guard record.redeemedAt == nil || again else { throw .replayed(token.handoff) }
        return record
    }

    /// Takes back a redemption that nobody was told of, because it could not be made durable: the token may be shown again.
    /// nil when the handoff is not redeemed.
    public mutating func takeBackRedemption(of id: HandoffID) -> HandoffRecord? {
        guard var record = records[id], record.redeemedAt != nil else { return nil }
        record.redeemedAt = nil
        records[id] = record
        return record
    }

    // MARK: Either end

    /// Ends a handoff without a crossing: `prepared` (by the source's own decision) or `reserved` (by the source's word)
    /// becomes `aborted`. Repeated calls give the same answer.
    public mutating func abort(
        _ id: HandoffID, code: String, reason: String, at now: Now
    ) throws(Failure) -> HandoffRecord {
        guard let record = records[id] else { throw .notFound(id) }
        switch plantedState(record.state) {
        case .prepared, .reserved:
            return end(record, code: code, reason: reason, at: now)
        case .aborted:
            return record
        case .committed, .admitted, .completed:
            throw .invalidState(id, record.state)
        }
    }

    /// A destination has handed a player on, by which it says that it has had them: of what was decided towards it before, only the
    /// receipt is missing, and the snapshot is not needed any more. Of other decisions that wait, the newest
    /// ``Limits/openSnapshotsOfPlayer`` keep theirs.
    ///
    /// - Returns: the handoffs that are lighter by it.
    mutating func lighten(_ player: PlayerID, handedOnBy peer: ServerID, in epoch: Epoch) -> [HandoffRecord] {
        let waiting = openHandoffs(of: player).filter {
            $0.state == .committed && $0.epoch < epoch && !$0.snapshot.isEmpty
        }
        let proved = waiting.filter { $0.peer == peer && $0.epoch.term == epoch.term }
        let others = waiting.filter { $0.peer != peer || $0.epoch.term != epoch.term }
        return (proved + others.dropLast(Limits.openSnapshotsOfPlayer)).map { record in
            var record = record
            snapshotBytes -= record.snapshot.count
            record.snapshot = []
            records[record.id] = record
            return record
        }
    }

    /// Ends a decided handoff whose player's home server has taken the player back: what was decided is void. nil when the
    /// handoff is not `committed`.
    mutating func void(_ id: HandoffID, code: String, reason: String, at now: Now) -> HandoffRecord? {
        guard let record = records[id], record.state == .committed else { return nil }
        return end(record, code: code, reason: reason, at: now)
    }

    private mutating func end(
        _ record: HandoffRecord, code: String, reason: String, at now: Now
    ) -> HandoffRecord {
        var record = record
        record.state = .aborted
        record.changedAt = now.timestamp
        record.abortCode = code
        record.abortReason = reason
        record.snapshot = []
        replace(record, due: nil, at: now)
        return record
    }

    /// The source knows of no such handoff: forgets an admitted one, if it was asked about it. Whether it was.
    mutating func settle(_ id: HandoffID) -> Bool {
        settlements[id] != nil && forget(id)
    }

    /// Keeps a handoff that is over and due to be forgotten for another ``retention``.
    mutating func keep(_ id: HandoffID, at now: Instant) {
        retirements.insert(HandoffDeadline(at: now + retention, id: id))
    }

    /// Forgets a handoff that is over. Whether it was there.
    mutating func forget(_ id: HandoffID) -> Bool {
        guard let record = records[id], record.state.isFinal else { return false }
        records[id] = nil
        settlements[id] = nil
        snapshotBytes -= record.snapshot.count
        byState[record.state]?.remove(Newest(record))
        return true
    }

    /// What the source says of a handoff when the destination asks. No record means it never got as far as a decision, or
    /// was aborted and forgotten: aborted either way (presumed abort).
    public func query(_ id: HandoffID, from peer: ServerID) -> HandoffState {
        guard state(of: id) != .aborted, let record = records[id], record.role == .source, record.peer == peer else {
            return .aborted
        }
        return record.state
    }

    /// What has become due. Each open handoff comes back later by itself, with pauses that double up to
    /// ``Limits/dialBackoffMaximum``.
    ///
    /// A handoff that is over is kept for ``retention``. Then the source forgets it: the receipt proves that the destination
    /// is done, and an aborted one is presumed aborted. The destination forgets an admitted one once the source says that
    /// it knows of none; until then it must be able to repeat the receipt.
    ///
    /// At most ``Limits/handoffsAtOnce`` are due at once; the rest follow after ``Limits/handoffPace``.
    public mutating func tick(at now: Instant) -> [Due] {
        guard now >= rested else { return [] }
        var due: [Due] = []
        while due.count < Limits.handoffsAtOnce, let (id, attempts) = open.takeDue(at: now) {
            guard let record = records[id] else { continue }
            switch record.state {
            case .prepared: due.append(.timeout(id))
            case .committed: due.append(plantedDue(of: record, attempts) ?? .repeatCommit(id))
            case .reserved: due.append(plantedDue(of: record, attempts) ?? .ask(id))
            case .completed, .admitted, .aborted: continue
            }
        }
        retire(at: now, &due)
        if due.count == Limits.handoffsAtOnce { rested = now + Limits.handoffPace }
        return due
    }

    // MARK: Inside

    private func plantedState(_ state: HandoffState) -> HandoffState {
        guard plantedBug == .abortAfterCommit || plantedBug == .callOffAfterCommit else { return state }
        return state == .committed ? .prepared : state
    }

    private func plantedDue(of record: HandoffRecord, _ attempts: Int) -> Due? {
        switch plantedBug {
        case .abortAfterCommit?: record.state == .committed && attempts > 0 ? .timeout(record.id) : nil
        case .reservationTimesOut?: record.state == .reserved ? .timeout(record.id) : nil
        default: nil
        }
    }

    /// Planted: see ``PlantedBug/presumedCommit``.
    mutating func plantAdmission(_ reserved: HandoffRecord, at now: Now) -> HandoffRecord {
        var record = reserved
        record.state = .admitted
        record.changedAt = now.timestamp
        record.snapshot = []
        replace(record, due: nil, at: now)
        return record
    }

    private mutating func retire(at now: Instant, _ due: inout [Due]) {
        while due.count < Limits.handoffsAtOnce, let next = retirements.min, next.at <= now {
            retirements.removeMin()
            guard let state = state(of: next.id), state.isFinal else { continue }
            guard state == .admitted else {
                due.append(.forget(next.id))
                continue
            }
            due.append(.settle(next.id))
            let attempts = settlements[next.id, default: 0]
            settlements[next.id] = attempts + 1
            retirements.insert(HandoffDeadline(at: now + Self.settlementPause(after: attempts), id: next.id))
        }
    }

    /// Handoffs that are over can wait: from half a minute to an hour.
    private static func settlementPause(after attempts: Int) -> Duration {
        Limits.dialBackoffMaximum * min(1 << min(attempts, 10), 120)
    }

    private mutating func retire(_ record: HandoffRecord, at due: Instant) {
        retirements.insert(HandoffDeadline(at: due, id: record.id))
    }

    private func find(_ id: HandoffID, role: HandoffRole, peer: ServerID) throws(Failure) -> HandoffRecord {
        guard let record = records[id], record.role == role else { throw .notFound(id) }
        guard record.peer == peer else { throw .wrongPeer(id, expected: record.peer) }
        return record
    }

    /// A decision stands in nobody's way who comes, or has come, in a later epoch: the player has gone on since, and only its
    /// receipt is missing, whose server may be away for long or for good. A place does: who has the player is decided elsewhere.
    private func checkOpening(_ record: HandoffRecord, besides past: HandoffID? = nil) throws(Failure) {
        guard open.count < Limits.openHandoffs, snapshotBytes + record.snapshot.count <= Limits.allSnapshotsBytes else {
            throw .full
        }
        if let other = open.counting(of: record.player), other.id != past {
            let isBefore = other.epoch < record.epoch
            switch records.state(of: other.id) {
            case .committed? where isBefore && record.role == .destination: break
            case .committed? where isBefore:
                guard open.count(of: record.player) < Limits.openHandoffsOfPlayer else {
                    throw .unconfirmed(record.player)
                }
            // Who is sent away from here has come by another way since the place was kept.
            case .reserved? where isBefore && record.role == .source: break
            default: throw .alreadyOpen(record.player, other.id)
            }
        }
        guard record.snapshot.count <= Limits.snapshotBytes else { throw .snapshotTooLarge(record.snapshot.count) }
        let actual = ContentHash.of(record.snapshot)
        guard actual == record.snapshotHash else {
            throw .snapshotHashMismatch(expected: record.snapshotHash, actual: actual)
        }
    }

    private mutating func insert(_ record: HandoffRecord, due: Instant) {
        records[record.id] = record
        snapshotBytes += record.snapshot.count
        byState[record.state, default: OrderedKeys()].insert(Newest(record))
        guard !record.state.isFinal else { return }
        open.insert(record, due: due)
    }

    /// Puts a record whose state has moved in place of the old one; `due` is nil once it is final.
    private mutating func replace(_ record: HandoffRecord, due: Instant?, at now: Now) {
        guard let old = records[record.id] else { return }
        records[record.id] = record
        snapshotBytes += record.snapshot.count - old.snapshot.count
        byState[old.state]?.remove(Newest(old))
        byState[record.state, default: OrderedKeys()].insert(Newest(record))
        if let due {
            open.insert(record, due: due)
        } else {
            retire(record, at: now.instant + retention)
            open.remove(record)
        }
    }
}
