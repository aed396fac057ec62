public import FederationModel

/// A server that is trusted, with the key that proves it, why it is trusted and what it may do.
public struct PeerRecord: Hashable, Sendable {
    public let server: ServerID
    /// The pinned key: the only one that a handshake under this id is accepted with. It follows the id's ``KeyBinding``.
    public var publicKey: PublicKey
    public let addedAt: Timestamp
    public var trust: TrustSource
    public var scopes: PeerScopes

    public init(
        server: ServerID, publicKey: PublicKey, addedAt: Timestamp, trust: TrustSource = .pinned,
        scopes: PeerScopes = .all
    ) {
        self.server = server
        self.publicKey = publicKey
        self.addedAt = addedAt
        self.trust = trust
        self.scopes = scopes
    }
}
