public import FederationModel

/// What it takes to go on with a ``MerkleTree`` without keeping it: its size and the roots of the complete subtrees that
/// it consists of, largest first. Follows a log of any length in a few hundred bytes.
public struct MerkleFrontier: Hashable, Sendable {
    /// Entries.
    public private(set) var count: Int
    /// One for every bit that is set in ``count``.
    public private(set) var hashes: [ContentHash]

    public init() {
        count = 0
        hashes = []
    }

    /// A frontier that was kept; nil when the number of hashes is not the one that belongs to `count`.
    public init?(count: Int, hashes: [ContentHash]) {
        guard count >= 0, hashes.count == count.nonzeroBitCount else { return nil }
        self.count = count
        self.hashes = hashes
    }

    public mutating func append(_ leaf: [UInt8]) {
        append(leafHash: MerkleHash.leaf(leaf))
    }

    public mutating func append(leafHash: ContentHash) {
        var hash = leafHash
        for _ in 0..<count.trailingOneBitCount { hash = MerkleHash.node(hashes.removeLast(), hash) }
        hashes.append(hash)
        count += 1
    }

    /// The root of the list.
    public var root: ContentHash {
        guard var hash = hashes.last else { return MerkleHash.empty }
        for left in hashes.dropLast().reversed() { hash = MerkleHash.node(left, hash) }
        return hash
    }
}

extension Int {
    /// How many ones the number ends with, in binary.
    fileprivate var trailingOneBitCount: Int { (~self).trailingZeroBitCount }
}
