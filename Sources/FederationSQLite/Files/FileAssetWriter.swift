import FederationCore
import FederationModel
import FederationService
import Foundation
import Synchronization

/// An asset on its way to the disk.
final class FileAssetWriter: AssetWriter {
    /// What is being written; gone once the writer has ended.
    private struct Open {
        let descriptor: Int32
        var seen = AssetMeasurer()
    }

    private let layout: AssetLayout
    private let path: String
    private let queue: BlockingQueue
    private let open: Mutex<Open?>

    init(layout: AssetLayout, path: String, descriptor: Int32, queue: BlockingQueue) {
        self.layout = layout
        self.path = path
        self.queue = queue
        open = Mutex(Open(descriptor: descriptor))
    }

    deinit {
        discard()
    }

    func append(_ bytes: [UInt8]) async throws {
        try await queue.run { try self.write(bytes) }
    }

    func append(pieces: [[UInt8]]) async throws {
        try await queue.run {
            for piece in pieces { try self.write(piece) }
        }
    }

    @discardableResult
    func commit(_ hash: ContentHash, size: Int64) async throws -> VerifiedAsset {
        try await queue.run { try self.finish(expecting: AssetListing(hash: hash, size: size)) }
    }

    func commit() async throws -> AssetListing {
        let written = try await queue.run { try self.finish(expecting: nil) }
        return AssetListing(hash: written.hash, size: written.size)
    }

    func abandon() async {
        // Nothing is left to do when the file cannot be removed: the next start removes it.
        try? await queue.run { self.discard() }
    }

    private func write(_ bytes: [UInt8]) throws {
        do {
            try open.withLock { open in
                guard var current = open else { throw Self.ended }
                guard Int64(bytes.count) <= Limits.assetBytes - current.seen.size else { throw Self.oversized }
                // Taken out meanwhile, so that the hasher's state is not copied on write.
                open = nil
                defer { open = current }
                try Files.write(bytes, to: current.descriptor, path: path)
                current.seen.update(bytes)
            }
        } catch {
            // A file with a gap is worth nothing.
            discard()
            throw error
        }
    }

    private func finish(expecting expected: AssetListing?) throws -> VerifiedAsset {
        do {
            let written = try open.withLock { open in
                guard let current = open else { throw Self.ended }
                if let expected, expected.size != current.seen.size {
                    throw AssetWriteFailure.sizeMismatch(expected: expected.size, actual: current.seen.size)
                }
                let written = current.seen.finish()
                if let expected, expected.hash != written.hash {
                    throw AssetWriteFailure.hashMismatch(expected: expected.hash, actual: written.hash)
                }
                try Files.synchronise(current.descriptor, path: path)
                close(current.descriptor)
                open = nil
                return written
            }
            try publish(written.hash)
            return written
        } catch {
            discard()
            throw error
        }
    }

    /// Renames over what may stand there: what was just hashed is at least as good as what lies on the disk.
    private func publish(_ hash: ContentHash) throws {
        let isNew = try Files.makeDirectory(layout.shard(hash))
        guard try Files.move(path, to: layout.file(hash)) else {
            throw StorageRefusal.failed(path, "the file vanished while it was being written")
        }
        try Files.synchroniseDirectory(layout.shard(hash))
        if isNew { try Files.synchroniseDirectory(layout.root) }
    }

    private func discard() {
        open.withLock { current in
            if let descriptor = current?.descriptor { close(descriptor) }
            current = nil
        }
        // When the file was published there is nothing under this name any more.
        _ = try? Files.remove(path)
    }

    private static let ended = Refusal(
        .conflict, code: "asset.writerEnded", reason: "this asset was already committed or abandoned",
        remedy: "begin to write it again")

    private static let oversized = Refusal(
        .invalid, code: "asset.oversized", reason: "an asset is larger than \(Limits.assetBytes) bytes",
        remedy: "split the file, or leave it out of the world")
}
