public import FederationModel

/// A peer that this server does not reach.
public struct FailingPeer: Hashable, Sendable {
    public let peer: ServerID
    /// Since it was last heard, also by an earlier process, or since it became a peer.
    public let seconds: Double
}

/// Remembers which peers are not reached, so that one that fails for long is told of now and then, and not at every
/// attempt: after an hour, and after each day.
struct FailingPeers: Sendable {
    private struct Failing: Sendable {
        /// When this process first saw it: a server that was down itself does not accuse others.
        let since: Instant
        var warnings = 0
    }

    /// Between two looks.
    static let pace: Duration = .seconds(60)
    private static let hour: Duration = .seconds(3_600)
    private static let day: Duration = .seconds(24 * 3_600)

    private var failing: [ServerID: Failing] = [:]
    private var nextLook: Instant?

    /// Since when a peer fails without a break, as far as this process has looked; nil for one that does not.
    func since(_ server: ServerID) -> Instant? { failing[server]?.since }

    /// Whether enough time has passed since the last look.
    mutating func isDue(at now: Instant) -> Bool {
        if let nextLook, now < nextLook { return false }
        nextLook = now + Self.pace
        return true
    }

    /// - Parameter servers: all that are not reached now.
    /// - Returns: those that a person should be told of now, sorted, and for how long this process has seen them fail.
    mutating func look(at servers: [ServerID], at now: Instant) -> [(ServerID, Duration)] {
        var next: [ServerID: Failing] = [:]
        var told: [(ServerID, Duration)] = []
        for server in servers.sorted() {
            var record = failing[server] ?? Failing(since: now)
            let lasted = now - record.since
            let due = Self.warnings(after: lasted)
            if due > record.warnings { told.append((server, lasted)) }
            record.warnings = due
            next[server] = record
        }
        failing = next
        return told
    }

    /// How often one should have been told after so long.
    private static func warnings(after duration: Duration) -> Int {
        guard duration >= hour else { return 0 }
        return 1 + Int(duration.clampedNanoseconds / day.clampedNanoseconds)
    }
}
