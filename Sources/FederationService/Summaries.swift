public import FederationModel

/// A peer at a glance.
public struct PeerSummary: Hashable, Sendable {
    public let server: FederatedServer
    /// The pinned key in the form that people compare aloud.
    public let fingerprint: String
    public let addedAt: Timestamp
    /// Whether the handshake is completed and not expired.
    public let isTrusted: Bool
    public let health: HealthStatus
    /// Whether a channel is open, and who opened it.
    public let direction: ChannelDirection?
    /// The last round trip, in microseconds.
    public let roundTripMicroseconds: Int64?
    public let dial: DialState?
}

/// This server at a glance.
public struct ServerSummary: Hashable, Sendable {
    public let id: ServerID
    public let name: String
    public let endpoint: Endpoint
    public let publicKey: PublicKey
    public let fingerprint: String
    public let servers: Int
    public let peers: Int
    public let trustedPeers: Int
    public let healthyPeers: Int
    public let routes: Int
    public let worlds: Int
    public let players: Int
    public let openHandoffs: Int
    /// Why nothing can be promised at the moment; nil when the store works.
    public let storageFailure: String?
    public let startedAt: Timestamp
}
