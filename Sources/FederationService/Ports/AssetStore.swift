public import FederationCore
public import FederationModel

/// The port to content-addressed files. What it holds under a hash had that hash when it was written; readers verify
/// again wherever it matters, because disks lie.
public protocol AssetStore: Sendable {
    /// The size in bytes of the asset, or nil when it is not held.
    func size(of hash: ContentHash) async throws -> Int64?

    /// Up to `length` bytes from `offset`; fewer only at the end; nil when the asset is not held.
    func read(_ hash: ContentHash, offset: Int64, length: Int) async throws -> [UInt8]?

    /// Reads several pieces, each as ``read(_:offset:length:)``. Many in one call cost far less than a call for each.
    ///
    /// - Returns: what was read of each, in the order of `pieces`.
    /// - Throws: when one of them cannot be read; which one, only reading each by itself tells.
    func read(_ pieces: [AssetPiece]) async throws -> [[UInt8]?]

    /// Reads assets again and compares each with its hash. Many small ones in one call cost far less than a call for each;
    /// one call keeps one processor busy for as long as they take together.
    ///
    /// - Returns: what was found of each, in the order of `hashes`.
    func verify(_ hashes: [ContentHash]) async throws -> [HeldAsset]

    /// Begins to write an asset. Nothing is visible until ``AssetWriter/commit(_:size:)``.
    func write() async throws -> any AssetWriter

    /// Moves an asset out of sight, for a person to look at: it is no longer held. Does nothing when it is not held.
    func quarantine(_ hash: ContentHash) async throws

    /// Removes an asset. Does nothing when it is not held.
    func remove(_ hash: ContentHash) async throws

    /// Every asset held, sorted by hash.
    func list() async throws -> [AssetListing]
}

/// A part of an asset.
public struct AssetPiece: Hashable, Sendable {
    public let hash: ContentHash
    /// In bytes, from the asset's beginning.
    public let offset: Int64
    /// In bytes.
    public let length: Int

    public init(hash: ContentHash, offset: Int64, length: Int) {
        self.hash = hash
        self.offset = offset
        self.length = length
    }
}

extension AssetStore {
    public func read(_ pieces: [AssetPiece]) async throws -> [[UInt8]?] {
        try await readEach(pieces)
    }

    /// ``read(_:)`` in the plainest way: for stores that have no faster one, and what a faster one is tested against.
    public func readEach(_ pieces: [AssetPiece]) async throws -> [[UInt8]?] {
        var read: [[UInt8]?] = []
        read.reserveCapacity(pieces.count)
        for piece in pieces {
            read.append(try await self.read(piece.hash, offset: piece.offset, length: piece.length))
        }
        return read
    }
}

/// An asset as a listing shows it.
public struct AssetListing: Hashable, Sendable, Codable {
    public let hash: ContentHash
    /// In bytes.
    public let size: Int64

    public init(hash: ContentHash, size: Int64) {
        self.hash = hash
        self.size = size
    }
}

/// An asset that is being written. Exactly one of ``commit(_:size:)`` and ``abandon()`` ends it.
public protocol AssetWriter: Sendable {
    func append(_ bytes: [UInt8]) async throws

    /// Appends pieces in order, as ``append(_:)`` does one after the other. Many in one call cost far less than a call for
    /// each.
    func append(pieces: [[UInt8]]) async throws

    /// Makes the asset durable and visible under `hash`, when what was written has that hash and size; otherwise throws
    /// ``AssetWriteFailure`` and nothing is kept.
    ///
    /// - Returns: the proof, because the writer has seen every byte.
    @discardableResult
    func commit(_ hash: ContentHash, size: Int64) async throws -> VerifiedAsset

    /// Makes what was written durable and visible under its own hash, for content that is not known beforehand.
    func commit() async throws -> AssetListing

    /// Forgets what was written.
    func abandon() async
}

extension AssetWriter {
    public func append(pieces: [[UInt8]]) async throws {
        for piece in pieces { try await append(piece) }
    }
}

/// What was written is not what was announced.
public enum AssetWriteFailure: Error, Hashable, Sendable {
    case hashMismatch(expected: ContentHash, actual: ContentHash)
    case sizeMismatch(expected: Int64, actual: Int64)

    /// The same, as a verifier says it.
    public var mismatch: AssetMismatch {
        switch self {
        case .hashMismatch(let expected, let actual): .hash(expected: expected, actual: actual)
        case .sizeMismatch(let expected, let actual): .size(expected: expected, actual: actual)
        }
    }
}
