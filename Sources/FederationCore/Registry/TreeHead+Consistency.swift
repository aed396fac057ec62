public import FederationCrypto
public import FederationModel

extension TreeHead {
    /// How a head that is shown now stands to one that was shown before.
    public enum Relation: Hashable, Sendable {
        /// The same log.
        case same
        /// Longer: a proof must show that it continues the earlier one.
        case needsProof
        /// The same length and another root: no log has both.
        case contradicts
        /// Shorter than before.
        case shrunk
    }

    /// How this head stands to `earlier`, of the same registry.
    public func relation(to earlier: TreeHead) -> Relation {
        if size == earlier.size { return root == earlier.root ? .same : .contradicts }
        return size > earlier.size ? .needsProof : .shrunk
    }

    /// Whether `proof` shows that the log of this head continues that of `earlier`.
    public func continues(_ earlier: TreeHead, proof: [ContentHash]) -> Bool {
        guard let from = Int(exactly: earlier.size), let to = Int(exactly: size) else { return false }
        return MerkleProof.isConsistent(earlier.root, size: from, with: root, size: to, proof: proof)
    }
}
