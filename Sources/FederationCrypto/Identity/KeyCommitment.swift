public import FederationModel

/// What a server promises about its keys before it needs them, as hashes: a thief of the present key holds neither of the
/// keys that the hashes stand for (pre-rotation, as in KERI §"Pre-rotation").
public struct KeyCommitment: Hashable, Sendable {
    /// SHA-256 of the public key that the next rotation goes to; nil when the key cannot be rotated.
    public var next: ContentHash?
    /// SHA-256 of the public key whose signature takes keys back; nil when they cannot be taken back.
    public var recovery: ContentHash?

    public init(next: ContentHash? = nil, recovery: ContentHash? = nil) {
        self.next = next
        self.recovery = recovery
    }
}

extension PublicKey {
    /// What stands for the key in a ``KeyCommitment``: the SHA-256 of its 32 bytes.
    public var commitment: ContentHash { ContentHash.of(bytes) }
}
