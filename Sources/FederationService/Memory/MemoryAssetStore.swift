import FederationCore
import FederationCrypto
public import FederationModel

/// Assets that are gone when the process ends: for tests, and for servers that are meant to leave nothing.
public actor MemoryAssetStore: AssetStore {
    private var assets: [ContentHash: [UInt8]] = [:]
    private var quarantined: [ContentHash: [UInt8]] = [:]
    private var failingWrites = 0

    public init() {}

    public func size(of hash: ContentHash) async throws -> Int64? {
        assets[hash].map { Int64($0.count) }
    }

    public func read(_ hash: ContentHash, offset: Int64, length: Int) async throws -> [UInt8]? {
        guard offset >= 0, length >= 0 else {
            throw Refusal(
                .invalid, code: "asset.range", reason: "no asset has a range of \(length) bytes from \(offset)",
                remedy: "ask for a range that begins at 0 or later")
        }
        guard let bytes = assets[hash] else { return nil }
        guard offset < Int64(bytes.count) else { return [] }
        return Array(bytes.dropFirst(Int(offset)).prefix(length))
    }

    public func write() async throws -> any AssetWriter {
        MemoryAssetWriter(store: self)
    }

    public func quarantine(_ hash: ContentHash) async throws {
        if let bytes = assets.removeValue(forKey: hash) { quarantined[hash] = bytes }
    }

    public func remove(_ hash: ContentHash) async throws {
        assets[hash] = nil
    }

    public func list() async throws -> [AssetListing] {
        Self.listing(assets)
    }

    /// What stands in quarantine, sorted by hash.
    public func listQuarantine() async throws -> [AssetListing] {
        Self.listing(quarantined)
    }

    /// Puts an asset in at one go, and returns its address.
    @discardableResult
    public func add(_ bytes: [UInt8]) -> ContentHash {
        let hash = ContentHash.of(bytes)
        assets[hash] = bytes
        return hash
    }

    /// Makes an asset hold other bytes than its hash says, as a bad disk does. Does nothing when it is not held.
    public func damage(_ hash: ContentHash, to bytes: [UInt8]) {
        if assets[hash] != nil { assets[hash] = bytes }
    }

    /// Makes the next `count` commits fail; nothing of them is kept.
    public func failNextWrites(_ count: Int) {
        failingWrites += count
    }

    func keep(_ bytes: [UInt8], as hash: ContentHash) throws {
        guard failingWrites == 0 else {
            failingWrites -= 1
            throw Refusal(
                .unavailable, code: "store.failed", reason: "the asset store was told to fail",
                remedy: "try again: it fails as often as it was told to")
        }
        assets[hash] = bytes
    }

    private static func listing(_ assets: [ContentHash: [UInt8]]) -> [AssetListing] {
        assets.map { AssetListing(hash: $0.key, size: Int64($0.value.count)) }.sorted { $0.hash < $1.hash }
    }
}

/// An asset on its way into a ``MemoryAssetStore``.
actor MemoryAssetWriter: AssetWriter {
    private let store: MemoryAssetStore
    /// nil once the writer has ended.
    private var bytes: [UInt8]? = []

    init(store: MemoryAssetStore) {
        self.store = store
    }

    func append(_ more: [UInt8]) async throws {
        guard let count = bytes?.count else { throw Self.ended }
        guard Int64(more.count) <= Limits.assetBytes - Int64(count) else {
            bytes = nil
            throw Refusal(
                .invalid, code: "asset.oversized", reason: "an asset is larger than \(Limits.assetBytes) bytes",
                remedy: "split the file, or leave it out of the world")
        }
        bytes?.append(contentsOf: more)
    }

    @discardableResult
    func commit(_ hash: ContentHash, size: Int64) async throws -> VerifiedAsset {
        let bytes = try end()
        var measurer = AssetMeasurer()
        measurer.update(bytes)
        let written = measurer.finish()
        guard written.size == size else {
            throw AssetWriteFailure.sizeMismatch(expected: size, actual: written.size)
        }
        guard written.hash == hash else {
            throw AssetWriteFailure.hashMismatch(expected: hash, actual: written.hash)
        }
        try await store.keep(bytes, as: hash)
        return written
    }

    func commit() async throws -> AssetListing {
        let bytes = try end()
        let hash = ContentHash.of(bytes)
        try await store.keep(bytes, as: hash)
        return AssetListing(hash: hash, size: Int64(bytes.count))
    }

    func abandon() async {
        bytes = nil
    }

    private func end() throws -> [UInt8] {
        guard let bytes else { throw Self.ended }
        self.bytes = nil
        return bytes
    }

    private static let ended = Refusal(
        .conflict, code: "asset.writerEnded", reason: "this asset was already committed or abandoned",
        remedy: "begin to write it again")
}
