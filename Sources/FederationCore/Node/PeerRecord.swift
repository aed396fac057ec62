public import FederationModel

/// A server that is trusted, with the key that proves it, why it is trusted and what it may do.
public struct PeerRecord: Hashable, Sendable {
    public let server: ServerID
    /// The pinned key: the only one that a handshake under this id is accepted with. It follows the id's ``KeyBinding``.
    public var publicKey: PublicKey
    public let addedAt: Timestamp
    public var trust: TrustSource
    public var scopes: PeerScopes
    /// Where the server was when an operator pinned it; the operator's word counts for no other place that it names later. Empty
    /// for one that the policy trusts.
    public var pinnedEndpoints: [Endpoint]

    public init(
        server: ServerID, publicKey: PublicKey, addedAt: Timestamp, trust: TrustSource = .pinned,
        scopes: PeerScopes = .all, pinnedEndpoints: [Endpoint] = []
    ) {
        self.server = server
        self.publicKey = publicKey
        self.addedAt = addedAt
        self.trust = trust
        self.scopes = scopes
        self.pinnedEndpoints = pinnedEndpoints
    }

    /// Whether an operator's pin covers an endpoint: the host and the port, with TLS or without.
    public func isPinned(at endpoint: Endpoint) -> Bool {
        trust == .pinned && pinnedEndpoints.contains { $0.host == endpoint.host && $0.port == endpoint.port }
    }
}
