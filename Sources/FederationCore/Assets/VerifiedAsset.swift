import FederationCrypto
public import FederationModel

/// Proof that bytes with this hash and size were seen whole by an ``AssetVerifier`` or an ``AssetMeasurer``. Nothing else
/// makes one.
public struct VerifiedAsset: Hashable, Sendable {
    public let hash: ContentHash
    /// In bytes.
    public let size: Int64

    fileprivate init(hash: ContentHash, size: Int64) {
        self.hash = hash
        self.size = size
    }
}

/// Checks an asset that arrives in pieces, holding none of them.
public struct AssetVerifier: Sendable {
    /// What the asset must be.
    public let hash: ContentHash
    /// What the asset must have, in bytes.
    public let size: Int64
    /// Bytes seen so far.
    public private(set) var received: Int64 = 0
    private var hasher = ContentHasher()

    /// - Parameter size: in bytes; a negative one matches nothing.
    public init(hash: ContentHash, size: Int64) {
        self.hash = hash
        self.size = size
    }

    public init(_ entry: AssetEntry) {
        self.init(hash: entry.hash, size: entry.size)
    }

    /// Takes the next piece. A piece with which the asset would be too large is refused before it is hashed; the asset
    /// can then only be abandoned.
    ///
    /// - Throws: `size`, with the size that the asset has at least.
    public mutating func update(_ bytes: [UInt8]) throws(AssetMismatch) {
        try update(bytes[...])
    }

    /// As ``update(_:)-([UInt8])``, for a part of an array.
    public mutating func update(_ bytes: ArraySlice<UInt8>) throws(AssetMismatch) {
        let (total, overflow) = received.addingReportingOverflow(Int64(bytes.count))
        received = overflow ? .max : total
        guard received <= size else { throw .size(expected: size, actual: received) }
        hasher.update(bytes)
    }

    /// The proof, when everything has arrived.
    ///
    /// - Throws: `size` first, then `hash`.
    public func finish() throws(AssetMismatch) -> VerifiedAsset {
        guard received == size else { throw .size(expected: size, actual: received) }
        let actual = hasher.finalize()
        guard actual == hash else { throw .hash(expected: hash, actual: actual) }
        return VerifiedAsset(hash: hash, size: size)
    }
}

/// Finds out what an asset is that arrives in pieces, holding none of them.
public struct AssetMeasurer: Sendable {
    /// Bytes seen so far.
    public private(set) var size: Int64 = 0
    private var hasher = ContentHasher()

    public init() {}

    public mutating func update(_ bytes: [UInt8]) {
        size += Int64(bytes.count)
        hasher.update(bytes)
    }

    /// The proof for all that has arrived, under the hash that it turned out to have.
    public func finish() -> VerifiedAsset { VerifiedAsset(hash: hasher.finalize(), size: size) }
}

/// How bytes differ from what they should be.
public enum AssetMismatch: Error, Hashable, Sendable {
    case hash(expected: ContentHash, actual: ContentHash)
    /// In bytes.
    case size(expected: Int64, actual: Int64)
}
