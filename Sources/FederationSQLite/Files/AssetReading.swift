import FederationCore
import FederationModel
import FederationService
import Foundation

/// Reads assets from their files, much in one visit of a queue.
enum AssetReading {
    /// Small enough to stay in the processor's cache, and below what the allocator maps anew each time.
    static let pieceBytes = 1 << 16

    /// Pieces of assets, in their order; nil for those of assets that are not held. A file is opened once for all pieces of it
    /// that stand together.
    static func read(_ pieces: [AssetPiece], in layout: AssetLayout) throws(Refusal) -> [[UInt8]?] {
        var read: [[UInt8]?] = []
        read.reserveCapacity(pieces.count)
        var rest = pieces[...]
        while let hash = rest.first?.hash {
            let together = rest.prefix { $0.hash == hash }
            rest = rest.dropFirst(together.count)
            let path = layout.file(hash)
            guard let file = try Files.openRegular(path) else {
                for _ in together { read.append(nil) }
                continue
            }
            defer { close(file.descriptor) }
            for piece in together {
                read.append(
                    try Files.read(
                        file.descriptor, of: file.size, offset: piece.offset, length: piece.length, path: path))
            }
        }
        return read
    }

    /// What stands at `path`, compared with its hash: read once, from the beginning to the end, into memory that is used again
    /// for each piece.
    ///
    /// - Parameter buffer: its length, which is not 0, bounds a piece.
    static func verify(
        _ hash: ContentHash, at path: String, through buffer: inout [UInt8]
    ) throws(Refusal) -> HeldAsset {
        // A link is nothing that is held: looked at before opening, which would refuse it.
        guard try Files.size(path) != nil, let file = try Files.openRegular(path) else { return .missing }
        defer { close(file.descriptor) }
        var verifier = AssetVerifier(hash: hash, size: file.size)
        while verifier.received < file.size {
            let count = try Files.read(file.descriptor, into: &buffer, path: path)
            guard count > 0, (try? verifier.update(buffer[..<count])) != nil else { return .damaged }
        }
        return (try? verifier.finish()).map { .whole($0) } ?? .damaged
    }
}
