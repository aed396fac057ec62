public import FederationModel

/// A server that the operator has decided to trust, with the key that proves it.
public struct PeerRecord: Hashable, Sendable, Codable {
    public let server: ServerID
    /// The pinned key: the only one that a handshake under this id is accepted with.
    public let publicKey: PublicKey
    public let addedAt: Timestamp

    public init(server: ServerID, publicKey: PublicKey, addedAt: Timestamp) {
        self.server = server
        self.publicKey = publicKey
        self.addedAt = addedAt
    }
}
