import Crypto
public import FederationModel

/// The hashes of RFC 9162 §2.1.1 with SHA-256. Leaves and nodes are hashed under different prefixes, so that no node can
/// be passed off as a leaf.
public enum MerkleHash {
    /// The root of a tree without leaves: the hash of nothing.
    public static let empty = ContentHash.of([])

    /// The hash of a leaf: SHA-256(0x00 ‖ bytes).
    public static func leaf(_ bytes: [UInt8]) -> ContentHash {
        var hasher = ContentHasher()
        hasher.update([0x00])
        hasher.update(bytes)
        return hasher.finalize()
    }

    /// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
    public static func node(_ left: ContentHash, _ right: ContentHash) -> ContentHash {
        var hasher = ContentHasher()
        hasher.update([0x01] + left.bytes + right.bytes)
        return hasher.finalize()
    }

    /// Appends the hash of the node over two hashes that lie beside each other at `offset` of `level` to `upper`, without
    /// a detour over values: a log of a million entries is read in at every start.
    static func appendNode(over level: [UInt8], at offset: Int, to upper: inout [UInt8]) {
        var hash = SHA256()
        withUnsafeBytes(of: 0x01 as UInt8) { hash.update(bufferPointer: $0) }
        level.withUnsafeBytes { bytes in
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + 2 * size)]))
        }
        hash.finalize().withUnsafeBytes { upper.append(contentsOf: $0) }
    }

    /// Bytes of a hash.
    static let size = 32
}
