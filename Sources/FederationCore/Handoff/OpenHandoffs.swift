import FederationModel
import HeapModule

/// When a handoff is looked at again.
struct HandoffDeadline: Comparable, Sendable {
    let at: Instant
    let id: HandoffID

    static func < (left: Self, right: Self) -> Bool { (left.at, left.id) < (right.at, right.id) }
}

/// The handoffs of a ledger that are not over: whose, with whom, and when each is due again.
struct OpenHandoffs: Sendable {
    /// One of a player's open handoffs.
    struct Place: Sendable {
        let id: HandoffID
        let epoch: Epoch
    }

    private struct Schedule: Sendable {
        var nextAttempt: Instant
        var attempts: Int
    }

    private var schedules: [HandoffID: Schedule] = [:]
    /// In order of their epochs; seldom more than one.
    private var byPlayer: [PlayerID: [Place]] = [:]
    private var byPeer: [ServerID: Set<HandoffID>] = [:]
    /// Also of such as are over since, or due at another time.
    private var deadlines = Heap<HandoffDeadline>()

    var count: Int { schedules.count }

    /// A player's handoff with the highest epoch, and of several of those the last.
    func counting(of player: PlayerID) -> Place? { byPlayer[player]?.last }

    /// In order of their epochs.
    func all(of player: PlayerID) -> [HandoffID] { (byPlayer[player] ?? []).map(\.id) }

    func count(of player: PlayerID) -> Int { byPlayer[player]?.count ?? 0 }

    /// Sorted by id.
    func all(with peer: ServerID) -> [HandoffID] { (byPeer[peer] ?? []).sorted() }

    func count(with peer: ServerID) -> Int { byPeer[peer]?.count ?? 0 }

    /// When one is due next; nil for one that is not open.
    func nextAttempt(for id: HandoffID) -> Instant? { schedules[id]?.nextAttempt }

    /// When any may be due next.
    var nextAttempt: Instant? { deadlines.min?.at }

    /// Adds a handoff, or begins its attempts anew.
    mutating func insert(_ record: HandoffRecord, due: Instant) {
        schedules[record.id] = Schedule(nextAttempt: due, attempts: 0)
        deadlines.insert(HandoffDeadline(at: due, id: record.id))
        byPeer[record.peer, default: []].insert(record.id)
        var places = byPlayer.removeValue(forKey: record.player) ?? []
        places.removeAll { $0.id == record.id }
        let place = places.firstIndex { $0.epoch > record.epoch } ?? places.endIndex
        places.insert(Place(id: record.id, epoch: record.epoch), at: place)
        byPlayer[record.player] = places
    }

    mutating func remove(_ record: HandoffRecord) {
        schedules[record.id] = nil
        byPeer[record.peer]?.remove(record.id)
        if byPeer[record.peer]?.isEmpty == true { byPeer[record.peer] = nil }
        byPlayer[record.player]?.removeAll { $0.id == record.id }
        if byPlayer[record.player]?.isEmpty == true { byPlayer[record.player] = nil }
    }

    /// Takes the next one that is due, if there is one. It will be due again by itself, after pauses that double up to
    /// ``Limits/dialBackoffMaximum``.
    ///
    /// - Returns: which, and how often it was due before.
    mutating func takeDue(at now: Instant) -> (id: HandoffID, attempts: Int)? {
        while let next = deadlines.min, next.at <= now {
            deadlines.removeMin()
            guard var schedule = schedules[next.id], schedule.nextAttempt == next.at else { continue }
            let attempts = schedule.attempts
            schedule.attempts += 1
            schedule.nextAttempt = now + Self.pause(after: schedule.attempts)
            schedules[next.id] = schedule
            deadlines.insert(HandoffDeadline(at: schedule.nextAttempt, id: next.id))
            return (next.id, attempts)
        }
        return nil
    }

    private static func pause(after attempts: Int) -> Duration {
        min(Limits.dialBackoffMinimum * (1 << min(attempts, 10)), Limits.dialBackoffMaximum)
    }
}
