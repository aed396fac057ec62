public import FederationModel

/// An append-only list whose one root hash stands for all of it and for every list that it was before (RFC 9162 §2.1).
///
/// Only hashes are kept, 64 bytes for each entry: those of the leaves and of every complete subtree. Appending hashes at
/// most log2(n) times, twice on average; a root or a proof looks up or makes at most 2·log2(n) hashes. At every size that
/// the list ever had the root and the proofs can be had again.
public struct MerkleTree: Sendable {
    /// `levels[k]` holds the hashes of the complete subtrees of 2^k leaves, one after the other.
    private var levels: [[UInt8]] = [[]]

    public init() {}

    /// The tree over leaves whose hashes are given one after the other, 32 bytes each; nil when bytes are left over.
    public init?(leafHashes: [UInt8]) {
        guard leafHashes.count.isMultiple(of: MerkleHash.size) else { return nil }
        levels = [leafHashes]
        while levels[levels.count - 1].count >= 2 * MerkleHash.size {
            let level = levels[levels.count - 1]
            var upper: [UInt8] = []
            upper.reserveCapacity(level.count / 2)
            for pair in 0..<(level.count / (2 * MerkleHash.size)) {
                MerkleHash.appendNode(over: level, at: pair * 2 * MerkleHash.size, to: &upper)
            }
            levels.append(upper)
        }
    }

    /// Entries.
    public var count: Int { levels[0].count / MerkleHash.size }

    /// Appends an entry.
    public mutating func append(_ leaf: [UInt8]) {
        append(leafHash: MerkleHash.leaf(leaf))
    }

    /// Appends an entry of which only the leaf hash is known.
    public mutating func append(leafHash: ContentHash) {
        levels[0].append(contentsOf: leafHash.bytes)
        var level = 0
        while levels[level].count.isMultiple(of: 2 * MerkleHash.size) {
            if level + 1 == levels.count { levels.append([]) }
            MerkleHash.appendNode(
                over: levels[level], at: levels[level].count - 2 * MerkleHash.size, to: &levels[level + 1])
            level += 1
        }
    }

    /// The leaf hash of an entry; nil outside the list.
    public func leafHash(at index: Int) -> ContentHash? {
        guard (0..<count).contains(index) else { return nil }
        return complete(level: 0, index)
    }

    /// The root of the whole list.
    public var root: ContentHash { hash(0, count) }

    /// The root of the first `size` entries; nil when there are fewer.
    public func root(size: Int) -> ContentHash? {
        guard (0...count).contains(size) else { return nil }
        return hash(0, size)
    }

    /// The proof that the entry at `index` is in the list of the first `size` (RFC 9162 §2.1.3.1), nearest hash first; nil
    /// when there is no such entry or there are fewer.
    public func inclusionProof(of index: Int, size: Int) -> [ContentHash]? {
        guard (0...count).contains(size), (0..<size).contains(index) else { return nil }
        var path: [ContentHash] = []
        var start = 0
        var end = size
        while end - start > 1 {
            let middle = start + Self.split(end - start)
            if index < middle {
                path.append(hash(middle, end))
                end = middle
            } else {
                path.append(hash(start, middle))
                start = middle
            }
        }
        return path.reversed()
    }

    /// The proof that the list of the first `size` entries begins with that of the first `earlier` (RFC 9162 §2.1.4.1);
    /// empty when they are the same list. nil unless 1 ≤ earlier ≤ size ≤ ``count``.
    public func consistencyProof(from earlier: Int, to size: Int) -> [ContentHash]? {
        guard size <= count, earlier >= 1, earlier <= size else { return nil }
        var path: [ContentHash] = []
        var start = 0
        var end = size
        // Whether what is left of the earlier list is a subtree that begins at 0: the verifier has its root already.
        var isWhole = true
        while earlier != end {
            let middle = start + Self.split(end - start)
            if earlier <= middle {
                path.append(hash(middle, end))
                end = middle
            } else {
                path.append(hash(start, middle))
                start = middle
                isWhole = false
            }
        }
        if !isWhole { path.append(hash(start, end)) }
        return path.reversed()
    }

    /// The hash over the entries `start..<end`, which begin at a multiple of the largest power of two that fits into them.
    private func hash(_ start: Int, _ end: Int) -> ContentHash {
        let size = end - start
        guard size > 0 else { return MerkleHash.empty }
        let level = size.bitWidth - 1 - size.leadingZeroBitCount
        let middle = start + 1 << level
        let left = complete(level: level, start >> level)
        return middle == end ? left : MerkleHash.node(left, hash(middle, end))
    }

    /// The hash of the complete subtree that is the `index`th of its level.
    private func complete(level: Int, _ index: Int) -> ContentHash {
        let offset = index * MerkleHash.size
        guard let hash = ContentHash(bytes: levels[level][offset..<(offset + MerkleHash.size)]) else {
            preconditionFailure("a hash has \(MerkleHash.size) bytes")
        }
        return hash
    }

    /// The largest power of two below `size`, which is 2 or more.
    private static func split(_ size: Int) -> Int {
        1 << (size.bitWidth - 1 - (size - 1).leadingZeroBitCount)
    }
}
