public import FederationModel
public import FederationService
import Foundation
import Synchronization

/// Assets as plain files named by their hash: `assets/ab/<the other 62 digits>`.
///
/// A file is written under `assets/incoming`, hashed on the way, synchronised, renamed to its name, and its folder is
/// synchronised: what stands under a name has that hash, whenever the power fails. No text from outside ever forms a file
/// name.
public final class FileAssetStore: AssetStore {
    /// Disk queues that share the reads. Which one is decided by the hash.
    private static let lanes = 4

    let layout: AssetLayout
    private let queues: [BlockingQueue]
    /// Hash what is verified, away from the reads, which are short. As many as there are processors, taken in turn.
    private let verifiers: [BlockingQueue]
    private let verifierTurn = Atomic<UInt>(0)
    private let names = TemporaryNames()

    /// Opens the assets of `directory`, and removes what an interrupted process left half-written.
    ///
    /// - Throws: `store.denied`, `store.full`, `store.failed`.
    public static func open(in directory: DataDirectory) async throws -> FileAssetStore {
        let layout = AssetLayout(directory: directory)
        try await BlockingQueue(label: "aether.assets.open").run { try layout.prepare() }
        return FileAssetStore(layout)
    }

    private init(_ layout: AssetLayout) {
        self.layout = layout
        queues = (0..<Self.lanes).map { BlockingQueue(label: "aether.assets.\($0)") }
        verifiers = (0..<max(1, ProcessInfo.processInfo.activeProcessorCount)).map {
            BlockingQueue(label: "aether.assets.verifier.\($0)")
        }
    }

    public func size(of hash: ContentHash) async throws -> Int64? {
        try await queue(of: hash).run { [layout] in try Files.size(layout.file(hash)) }
    }

    public func read(_ hash: ContentHash, offset: Int64, length: Int) async throws -> [UInt8]? {
        try await read([AssetPiece(hash: hash, offset: offset, length: length)])[0]
    }

    public func read(_ pieces: [AssetPiece]) async throws -> [[UInt8]?] {
        for piece in pieces where piece.offset < 0 || piece.length < 0 {
            throw Refusal(
                .invalid, code: "asset.range",
                reason: "no asset has a range of \(piece.length) bytes from \(piece.offset)",
                remedy: "ask for a range that begins at 0 or later")
        }
        let lanes = Dictionary(grouping: pieces.indices) { Self.lane(of: pieces[$0].hash) }
        guard lanes.count > 1 else {
            guard let lane = lanes.keys.first else { return [] }
            return try await read(pieces, on: lane)
        }
        return try await withThrowingTaskGroup(of: [(Int, [UInt8]?)].self) { group in
            for (lane, indices) in lanes {
                group.addTask { Array(zip(indices, try await self.read(indices.map { pieces[$0] }, on: lane))) }
            }
            var read = [[UInt8]?](repeating: nil, count: pieces.count)
            for try await part in group {
                for (index, bytes) in part { read[index] = bytes }
            }
            return read
        }
    }

    private func read(_ pieces: [AssetPiece], on lane: Int) async throws -> [[UInt8]?] {
        try await queues[lane].run { [layout] in try AssetReading.read(pieces, in: layout) }
    }

    public func verify(_ hashes: [ContentHash]) async throws -> [HeldAsset] {
        let turn = verifierTurn.wrappingAdd(1, ordering: .relaxed).oldValue
        return try await verifiers[Int(turn % UInt(verifiers.count))].run { [layout] in
            var buffer = [UInt8](repeating: 0, count: AssetReading.pieceBytes)
            return try hashes.map { try AssetReading.verify($0, at: layout.file($0), through: &buffer) }
        }
    }

    public func write() async throws -> any AssetWriter {
        let queue = BlockingQueue(label: "aether.assets.writer")
        let path = layout.incoming(names.next())
        let descriptor = try await queue.run { try Files.create(path) }
        return FileAssetWriter(layout: layout, path: path, descriptor: descriptor, queue: queue)
    }

    public func quarantine(_ hash: ContentHash) async throws {
        try await queue(of: hash).run { [layout] in
            guard try Files.move(layout.file(hash), to: layout.quarantined(hash)) else { return }
            try Files.synchroniseDirectory(layout.quarantine)
            try Files.synchroniseDirectory(layout.shard(hash))
        }
    }

    public func remove(_ hash: ContentHash) async throws {
        try await queue(of: hash).run { [layout] in
            guard try Files.remove(layout.file(hash)) else { return }
            try Files.synchroniseDirectory(layout.shard(hash))
        }
    }

    public func list() async throws -> [AssetListing] {
        try await queues[0].run { [layout] in try layout.list() }
    }

    /// What stands in quarantine, sorted by hash.
    public func listQuarantine() async throws -> [AssetListing] {
        try await queues[0].run { [layout] in try layout.listQuarantine() }
    }

    private func queue(of hash: ContentHash) -> BlockingQueue { queues[Self.lane(of: hash)] }

    private static func lane(of hash: ContentHash) -> Int { Int(hash.bytes[0]) % lanes }
}
