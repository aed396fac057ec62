public import FederationModel
import HeapModule

/// A change of a peer's health.
public struct HealthChange: Hashable, Sendable {
    public let server: ServerID
    public let from: HealthStatus
    public let to: HealthStatus
    /// Consecutive failures now; 0 after a success.
    public let failures: Int
}

/// A peer's health as it stands.
public struct ServerHealth: Hashable, Sendable {
    public let server: ServerID
    public let status: HealthStatus
    /// Consecutive failures.
    public let failures: Int
    /// When the newest observation was made, or watching began.
    public let observedAt: Instant
    /// Until when others' word keeps the peer from being `unreachable`; see ``HealthMonitor/vouch(for:until:at:)``.
    public let vouchedUntil: Instant?
}

/// What this server's own observations say of its peers.
///
/// `healthy` becomes `degraded` and then `unreachable` by consecutive failures, and any of them `healthy` by
/// ``HealthThresholds/recovery`` successes in a row, which is one; with more, a peer that answers again is `degraded`
/// until it has answered so often. Silence counts: every full interval since the last observation is one failure, found
/// by ``tick(at:)``. Only what this server sees counts; nothing that a peer sends about itself makes up for an answer
/// that did not come. Others' word can put off `unreachable` for a while, and no more; see ``vouch(for:until:at:)``.
public struct HealthMonitor: Sendable {
    private struct Peer: Sendable {
        var status = HealthStatus.healthy
        var failures = 0
        /// Successes in a row of a peer that is on its way back to `healthy`; nil for one that is not.
        var successes: Int?
        var vouchedUntil: Instant?
        var observedAt: Instant
        /// Where the running interval of silence began.
        var silentSince: Instant
        /// The deadline under which the peer stands in the heap; any other entry of it there is stale.
        var queued: Instant
    }

    private struct Deadline: Comparable, Sendable {
        let at: Instant
        let server: ServerID

        static func < (left: Self, right: Self) -> Bool { left.at < right.at }
    }

    public let thresholds: HealthThresholds
    /// Observations that were stale, lay in the future or were about a server that is not watched.
    public private(set) var ignoredObservations: UInt64 = 0
    /// Servers that another failure or two would make `unreachable`, or that only others' word keeps from it, each time
    /// that one has failed again: about these others may be asked.
    private var doubtful: Set<ServerID> = []
    private var peers = SlotTable<ServerID, Peer>()
    private var byStatus: [HealthStatus: OrderedKeys<ServerID>] = [:]
    /// An answer moves a peer's deadline without touching the heap: the entry is moved when it comes up.
    private var deadlines = Heap<Deadline>()

    public init(thresholds: HealthThresholds = .standard) {
        self.thresholds = thresholds
    }

    // MARK: Looking

    public var count: Int { peers.count }

    public func count(status: HealthStatus) -> Int { byStatus[status]?.count ?? 0 }

    /// nil for a server that is not watched.
    public func status(of server: ServerID) -> HealthStatus? {
        peers.slot(of: server).map { peers[slot: $0].status }
    }

    /// nil for a server that is not watched.
    public func health(of server: ServerID) -> ServerHealth? {
        peers[server].map {
            ServerHealth(
                server: server, status: $0.status, failures: $0.failures, observedAt: $0.observedAt,
                vouchedUntil: $0.vouchedUntil)
        }
    }

    /// Every watched server, sorted by id.
    public var all: [ServerHealth] {
        let indexes = HealthStatus.allCases.compactMap { byStatus[$0] }
        return OrderedKeys.page(of: indexes, after: nil, limit: count).compactMap(health(of:))
    }

    /// The watched servers with a status, sorted by id.
    public func list(status: HealthStatus) -> [ServerHealth] {
        (byStatus[status]?.all ?? []).compactMap(health(of:))
    }

    /// When ``tick(at:)`` may have something to do next; never later than that.
    public var nextDeadline: Instant? { deadlines.min?.at }

    // MARK: Watching

    /// Begins to watch a server, which counts as healthy until it fails. Watching a watched one changes nothing.
    public mutating func watch(_ server: ServerID, at now: Instant) {
        guard peers.slot(of: server) == nil else { return }
        let deadline = now + thresholds.interval
        peers.insert(server, Peer(observedAt: now, silentSince: now, queued: deadline))
        byStatus[.healthy, default: OrderedKeys()].insert(server)
        deadlines.insert(Deadline(at: deadline, server: server))
    }

    public mutating func forget(_ server: ServerID) {
        guard let peer = peers[server] else { return }
        peers[server] = nil
        doubtful.remove(server)
        byStatus[peer.status]?.remove(server)
    }

    // MARK: Observations

    /// The server answered.
    ///
    /// - Parameters:
    ///   - time: when it did.
    ///   - now: when this is said, if later; an observation of the future is ignored.
    /// - Returns: the change of health, if it was one. An observation older than the newest one is ignored and counted.
    @discardableResult
    public mutating func recordSuccess(
        _ server: ServerID, at time: Instant, now: Instant? = nil
    ) -> HealthChange? {
        guard let slot = peers.slot(of: server), time >= peers[slot: slot].observedAt, time <= now ?? time else {
            ignoredObservations += 1
            return nil
        }
        return observe(server, in: slot, at: time, failures: 0)
    }

    /// An attempt to reach the server failed. The interval of silence begins anew, so that one missing answer is not
    /// counted twice; a failure in an interval that ``tick(at:)`` has counted already is stale. Parameters and result
    /// as for ``recordSuccess(_:at:now:)``.
    @discardableResult
    public mutating func recordFailure(
        _ server: ServerID, at time: Instant, now: Instant? = nil
    ) -> HealthChange? {
        guard let slot = peers.slot(of: server), time >= peers[slot: slot].observedAt,
            time >= peers[slot: slot].silentSince, time <= now ?? time
        else {
            ignoredObservations += 1
            return nil
        }
        return observe(server, in: slot, at: time, failures: Self.sum(peers[slot: slot].failures, 1))
    }

    private mutating func observe(
        _ server: ServerID, in slot: Int, at time: Instant, failures: Int
    ) -> HealthChange? {
        let peer = peers[slot: slot]
        var observed = peer
        observed.failures = failures
        if failures > 0 {
            fail(&observed, at: time)
        } else {
            succeed(&observed)
        }
        observed.observedAt = time
        observed.silentSince = time
        let deadline = nextLook(at: observed)
        if deadline < peer.queued {
            // Only after a tick beyond `time`: the entry in the heap would come up too late.
            observed.queued = deadline
            deadlines.insert(Deadline(at: deadline, server: server))
        }
        peers[slot: slot] = observed
        if failures > 0 { noteDoubt(server, observed) }
        return moved(server, from: peer, to: observed)
    }

    private func succeed(_ peer: inout Peer) {
        peer.vouchedUntil = nil
        guard peer.status != .healthy else { return }
        let successes = (peer.successes ?? 0) + 1
        let isBack = successes >= thresholds.recovery
        peer.successes = isBack ? nil : successes
        peer.status = isBack ? .healthy : .degraded
    }

    /// - Parameter endsRecovery: whether successes are counted anew. One interval of silence does not: heartbeats are as far
    ///   apart, and the answer to the next one is on its way when it ends.
    private func fail(_ peer: inout Peer, at time: Instant, endsRecovery: Bool = true) {
        if endsRecovery, peer.successes != nil { peer.successes = 0 }
        switch thresholds.status(after: peer.failures) {
        case .healthy:
            // Whoever was on the way back stays on it.
            peer.status = peer.successes == nil ? .healthy : .degraded
        case .degraded:
            peer.status = .degraded
        case .unreachable:
            let isVouchedFor = peer.vouchedUntil.map { time < $0 } ?? false
            peer.status = isVouchedFor ? .degraded : .unreachable
        }
    }

    /// When something may change of itself: the end of an interval of silence, or of what others' word is good for.
    private func nextLook(at peer: Peer) -> Instant {
        let silence = peer.silentSince + thresholds.interval
        guard let until = peer.vouchedUntil, thresholds.status(after: peer.failures) == .unreachable,
            peer.status == .degraded
        else { return silence }
        return min(silence, until)
    }

    // MARK: Others' word

    /// Others reach this server: until then it is at worst `degraded`, so that one bad link does not close every portal.
    /// Never makes a peer better than it is, and ends with the first answer that this server gets itself.
    ///
    /// - Returns: false when it changes nothing, because the server is not watched or is `unreachable` already.
    @discardableResult
    public mutating func vouch(for server: ServerID, until: Instant, at now: Instant) -> Bool {
        guard var peer = peers[server], peer.status != .unreachable, now < until else { return false }
        peer.vouchedUntil = max(until, peer.vouchedUntil ?? until)
        let deadline = nextLook(at: peer)
        if deadline < peer.queued {
            peer.queued = deadline
            deadlines.insert(Deadline(at: deadline, server: server))
        }
        peers[server] = peer
        return true
    }

    /// The servers about which others should be asked now, sorted; each is handed out once per failure.
    public mutating func takeDoubtful() -> [ServerID] {
        guard !doubtful.isEmpty else { return [] }
        defer { doubtful = [] }
        return doubtful.filter { peers[$0]?.status == .degraded }.sorted()
    }

    private mutating func noteDoubt(_ server: ServerID, _ peer: Peer) {
        let last = max(thresholds.degraded, thresholds.unreachable - Self.failuresLeftToAsk)
        if peer.status == .degraded, peer.failures >= last { doubtful.insert(server) }
    }

    /// An answer takes a moment: others are asked so many failures before it counts.
    private static let failuresLeftToAsk = 2

    // MARK: Silence

    /// Counts the full intervals of silence that have passed until `now`.
    ///
    /// - Returns: the changes of health, sorted by server. Costs what has come due, not what is watched.
    public mutating func tick(at now: Instant) -> [HealthChange] {
        var changes: [HealthChange] = []
        var later: [Deadline] = []
        while let deadline = deadlines.min, deadline.at <= now {
            deadlines.removeMin()
            guard var peer = peers[deadline.server], peer.queued == deadline.at else { continue }
            let before = peer
            let intervals = (now - peer.silentSince).clampedNanoseconds / thresholds.interval.clampedNanoseconds
            if intervals > 0 {
                peer.failures = Self.sum(peer.failures, Int(intervals))
                peer.silentSince = peer.silentSince + thresholds.interval * Int(intervals)
            }
            if peer.failures > 0 { fail(&peer, at: now, endsRecovery: intervals > 0 && peer.failures > 1) }
            if let until = peer.vouchedUntil, until <= now { peer.vouchedUntil = nil }
            peer.queued = nextLook(at: peer)
            peers[deadline.server] = peer
            if intervals > 0 { noteDoubt(deadline.server, peer) }
            // Not before the loop is over: at the end of the clock's range the next deadline would be due at once.
            later.append(Deadline(at: peer.queued, server: deadline.server))
            if let change = moved(deadline.server, from: before, to: peer) { changes.append(change) }
        }
        deadlines.insert(contentsOf: later)
        return changes.sorted { $0.server < $1.server }
    }

    private mutating func moved(_ server: ServerID, from before: Peer, to after: Peer) -> HealthChange? {
        guard before.status != after.status else { return nil }
        byStatus[before.status]?.remove(server)
        byStatus[after.status, default: OrderedKeys()].insert(server)
        return HealthChange(server: server, from: before.status, to: after.status, failures: after.failures)
    }

    private static func sum(_ left: Int, _ right: Int) -> Int {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }
}
