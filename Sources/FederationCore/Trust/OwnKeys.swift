public import FederationModel

/// What this server keeps of its own key changes: public parts only.
public struct OwnKeys: Hashable, Sendable {
    /// The keys before the present one, oldest first; at most ``Limits/ownPastKeys``. By them the server recognises its own
    /// old decisions.
    public var past: [PublicKey]
    /// The newest rotations, as compact JWS, oldest first; they stand in the card.
    public var rotations: [String]
    /// The newest revocation of this server's keys, as compact JWS.
    public var revocation: String?
    /// The key that the store belongs to; nil before the first change. A start with another key is refused.
    public var present: PublicKey?
    /// The owner has revoked this server for good; it does not start any more.
    public var isDead: Bool

    public init(
        past: [PublicKey] = [], rotations: [String] = [], revocation: String? = nil, present: PublicKey? = nil,
        isDead: Bool = false
    ) {
        self.past = past
        self.rotations = rotations
        self.revocation = revocation
        self.present = present
        self.isDead = isDead
    }
}
