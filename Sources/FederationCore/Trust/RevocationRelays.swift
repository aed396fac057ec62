import FederationModel

/// When whose revocations were passed on to the peers, so that an owner who signs one after the other makes nobody talk more
/// than once in ``Limits/revocationPause`` about their id. Of an id that is taken in the newest one is never lost: it goes out
/// when the pause is over. Peers are always taken in, so that nobody's many ids keep the revocation of a peer from the others.
struct RevocationRelays: Sendable {
    private struct Relay: Sendable {
        /// When one was last passed on.
        var last: Instant
        /// What came since, the newest.
        var waiting: String?
        let isPeer: Bool
    }

    private var relays: [ServerID: Relay] = [:]

    /// When something that waits may go out.
    private(set) var nextDeadline: Instant?

    /// Whether a revocation goes out now. One that does not waits, in the place of an older one; of servers that are no peers,
    /// beyond ``Limits/revocationRelays`` at one time, none is passed on.
    mutating func admit(_ compact: String, of server: ServerID, isPeer: Bool, at now: Instant) -> Bool {
        if let relay = relays[server], now < relay.last + Limits.revocationPause {
            relays[server]?.waiting = compact
            schedule()
            return false
        }
        if relays[server] == nil, relays.count >= Limits.revocationRelays {
            relays = relays.filter { $0.value.waiting != nil || now < $0.value.last + Limits.revocationPause }
            guard isPeer || relays.values.count(where: { !$0.isPeer }) < Limits.revocationRelays else { return false }
        }
        relays[server] = Relay(last: now, isPeer: isPeer)
        schedule()
        return true
    }

    /// What goes out now, sorted by id.
    mutating func takeDue(at now: Instant) -> [(server: ServerID, compact: String)] {
        guard let nextDeadline, nextDeadline <= now else { return [] }
        var due: [(server: ServerID, compact: String)] = []
        for (server, relay) in relays.sorted(by: { $0.key < $1.key }) where now >= relay.last + Limits.revocationPause {
            relays[server] = relay.waiting == nil ? nil : Relay(last: now, isPeer: relay.isPeer)
            if let waiting = relay.waiting { due.append((server, waiting)) }
        }
        schedule()
        return due
    }

    private mutating func schedule() {
        nextDeadline = relays.values.filter { $0.waiting != nil }.map { $0.last + Limits.revocationPause }.min()
    }
}
