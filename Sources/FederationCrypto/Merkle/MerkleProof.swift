public import FederationModel

/// Checks the proofs of a ``MerkleTree`` against roots that are known from elsewhere. Whoever made the proof is not
/// believed anything.
public enum MerkleProof {
    /// Hashes in a proof at most: one for each level of a tree of 2^63 entries, and the root of the earlier list.
    public static let maximumHashes = 64

    /// Whether the entry with this leaf hash is at `index` of the list of `size` entries with `root` (RFC 9162 §2.1.3.2).
    public static func isIncluded(
        _ leafHash: ContentHash, at index: Int, size: Int, root: ContentHash, proof: [ContentHash]
    ) -> Bool {
        guard index >= 0, index < size, proof.count <= maximumHashes else { return false }
        var position = index
        var last = size - 1
        var hash = leafHash
        for sibling in proof {
            guard last != 0 else { return false }
            if position & 1 == 1 || position == last {
                hash = MerkleHash.node(sibling, hash)
                while position & 1 == 0, position != 0 {
                    position >>= 1
                    last >>= 1
                }
            } else {
                hash = MerkleHash.node(hash, sibling)
            }
            position >>= 1
            last >>= 1
        }
        return last == 0 && hash == root
    }

    /// Whether the list of `size` entries with `root` begins with the list of `earlier` entries with `earlierRoot`
    /// (RFC 9162 §2.1.4.2). Every list begins with the empty one; a list does not begin with a longer one.
    public static func isConsistent(
        _ earlierRoot: ContentHash, size earlier: Int, with root: ContentHash, size: Int, proof: [ContentHash]
    ) -> Bool {
        guard earlier >= 0, earlier <= size, proof.count <= maximumHashes else { return false }
        if earlier == 0 { return earlierRoot == MerkleHash.empty && proof.isEmpty }
        if earlier == size { return proof.isEmpty && earlierRoot == root }
        guard !proof.isEmpty else { return false }
        // A power of two is one subtree, whose root the verifier has already.
        var path = proof[...]
        if earlier.nonzeroBitCount == 1 { path.insert(earlierRoot, at: path.startIndex) }
        var position = earlier - 1
        var last = size - 1
        while position & 1 == 1 {
            position >>= 1
            last >>= 1
        }
        var before = path.removeFirst()
        var after = before
        for sibling in path {
            guard last != 0 else { return false }
            if position & 1 == 1 || position == last {
                before = MerkleHash.node(sibling, before)
                after = MerkleHash.node(sibling, after)
                while position & 1 == 0, position != 0 {
                    position >>= 1
                    last >>= 1
                }
            } else {
                after = MerkleHash.node(after, sibling)
            }
            position >>= 1
            last >>= 1
        }
        return last == 0 && before == earlierRoot && after == root
    }
}
