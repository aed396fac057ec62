public import FederationCrypto
public import FederationModel

/// What this server keeps of its own keys and their changes: public parts only.
public struct OwnKeys: Hashable, Sendable {
    /// The keys before the present one, oldest first; at most ``Limits/ownPastKeys``. By them the server recognises its own
    /// old decisions.
    public var past: [PublicKey]
    /// The newest rotations, as compact JWS, oldest first; they stand in the card.
    public var rotations: [String]
    /// The newest revocation of this server's keys, as compact JWS.
    public var revocation: String?
    /// The key that the store belongs to; nil before the first start. A start with another key is refused.
    public var present: PublicKey?
    /// What the present key has promised. It outlives the files of the keys that it stands for, because peers hold the
    /// server to it; nil before the first start.
    public var commitment: KeyCommitment?
    /// The owner has revoked this server for good; it does not start any more.
    public var isDead: Bool

    public init(
        past: [PublicKey] = [], rotations: [String] = [], revocation: String? = nil, present: PublicKey? = nil,
        commitment: KeyCommitment? = nil, isDead: Bool = false
    ) {
        self.past = past
        self.rotations = rotations
        self.revocation = revocation
        self.present = present
        self.commitment = commitment
        self.isDead = isDead
    }

    /// What is left when the owner has replaced every key by `key`; nil when `revocation` is not one of `server`, for this
    /// key, under the recovery key that `recovery` stands for, or not newer than the one that was noted: its key may be void, or
    /// rotated away from. The one that made the present key is taken again, where the files have not followed.
    ///
    /// - Parameter noted: what is known of the keys before; nil for nothing.
    public init?(
        replacedBy revocation: String, after noted: OwnKeys?, of server: ServerID, with key: PublicKey,
        recovery: ContentHash
    ) {
        guard let statement = try? KeyRevocation.verify(revocation, server: server, recovery: recovery),
            let replacement = statement.replacement, replacement.key == key
        else { return nil }
        if let last = noted?.revocation, last != revocation || noted?.present != key {
            guard let taken = try? KeyRevocation.unverified(last), taken.number < statement.number else { return nil }
        }
        self.init(
            revocation: revocation, present: key,
            commitment: KeyCommitment(
                next: replacement.commitment.next, recovery: replacement.commitment.recovery ?? recovery))
    }
}
