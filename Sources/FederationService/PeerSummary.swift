public import FederationCore
public import FederationModel

/// A peer at a glance.
public struct PeerSummary: Hashable, Sendable {
    public let id: ServerID
    /// Its registry entry; nil for one that was believed on first use and has never shown a card.
    public let entry: FederatedServer?
    public let status: ServerStatus
    /// Why the operator suspended it, if they said so; nil while it is not suspended.
    public let suspensionReason: String?
    /// The pinned key.
    public let publicKey: PublicKey
    /// ``publicKey`` in the form that people compare aloud.
    public let fingerprint: String
    public let addedAt: Timestamp
    /// Why it is trusted, and what it may do here.
    public let trust: TrustSource
    public let scopes: PeerScopes
    /// When its present key was first seen here.
    public let keySince: Timestamp
    public let state: PeerState
    /// Whether the handshake is completed and not expired.
    public let isTrusted: Bool
    public let health: HealthStatus
    /// Whether only others' word keeps it from being unreachable.
    public let isVouchedFor: Bool
    /// Whether a channel is open, and who opened it.
    public let direction: ChannelDirection?
    /// The last round trip, in microseconds.
    public let roundTripMicroseconds: Int64?
    /// Frames that wait to be sent on the channel; nil without one.
    public let queuedFrames: Int?
    /// For how long it has not been reached, in seconds, also by an earlier process; nil while it is.
    public let failingSeconds: Double?
    public let dial: DialState?
}

/// How it stands with a peer's channel.
public enum PeerState: String, Hashable, Sendable, Codable, CaseIterable {
    /// A channel is open.
    case connected
    /// An attempt is under way.
    case connecting
    /// The pause before the next attempt.
    case waiting
    /// Nobody dials: the peer is expected to come.
    case idle
    case suspended
}
