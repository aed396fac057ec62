public import FederationModel

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
    public let degradedPeers: Int
    public let connectedPeers: Int
    public let suspendedPeers: Int
    /// Peers that are not reached, the longest silent first; at most a hundred.
    public let failingPeers: [FailingPeer]
}
