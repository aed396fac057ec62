import FederationModel

/// When whose revocations were passed on to the peers, so that an owner who signs one after the other makes nobody talk more
/// than once in ``Limits/revocationPause`` about their id. The newest one is never lost: it goes out when the pause is over.
struct RevocationRelays: Sendable {
    private struct Relay: Sendable {
        /// When one was last passed on.
        var last: Instant
        /// What came since, the newest.
        var waiting: String?
    }

    private var relays: [ServerID: Relay] = [:]

    /// When something that waits may go out.
    private(set) var nextDeadline: Instant?

    /// Whether a revocation goes out now. One that does not waits, in the place of an older one; beyond
    /// ``Limits/revocationRelays`` ids at one time nothing is passed on.
    mutating func admit(_ compact: String, of server: ServerID, at now: Instant) -> Bool {
        if let relay = relays[server], now < relay.last + Limits.revocationPause {
            relays[server]?.waiting = compact
            schedule()
            return false
        }
        if relays[server] == nil, relays.count >= Limits.revocationRelays {
            relays = relays.filter { $0.value.waiting != nil || now < $0.value.last + Limits.revocationPause }
            guard relays.count < Limits.revocationRelays else { return false }
        }
        relays[server] = Relay(last: now)
        schedule()
        return true
    }

    /// What goes out now, sorted by id.
    mutating func takeDue(at now: Instant) -> [(server: ServerID, compact: String)] {
        guard let nextDeadline, nextDeadline <= now else { return [] }
        var due: [(server: ServerID, compact: String)] = []
        for (server, relay) in relays.sorted(by: { $0.key < $1.key }) where now >= relay.last + Limits.revocationPause {
            relays[server] = relay.waiting == nil ? nil : Relay(last: now)
            if let waiting = relay.waiting { due.append((server, waiting)) }
        }
        schedule()
        return due
    }

    private mutating func schedule() {
        nextDeadline = relays.values.filter { $0.waiting != nil }.map { $0.last + Limits.revocationPause }.min()
    }
}
