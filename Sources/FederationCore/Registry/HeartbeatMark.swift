import FederationModel

/// The newest heartbeat statement of a server. Its time never goes back, which the registry sees to; within one second its
/// number goes up.
struct HeartbeatMark: Hashable, Sendable {
    let issuedAt: Timestamp
    let sequence: UInt64
}
