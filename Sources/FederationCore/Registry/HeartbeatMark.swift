import FederationModel

/// Which heartbeat statement was the newest: by its time, and by its number within one second.
struct HeartbeatMark: Hashable, Comparable, Sendable {
    let issuedAt: Timestamp
    let sequence: UInt64

    static func < (left: Self, right: Self) -> Bool {
        (left.issuedAt, left.sequence) < (right.issuedAt, right.sequence)
    }
}
