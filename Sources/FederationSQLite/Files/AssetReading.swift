import FederationCore
import FederationModel
import FederationService
import Foundation

/// Reads an asset from its file once, from the beginning to the end, into memory that is used again for each piece.
enum AssetReading {
    /// Small enough to stay in the processor's cache, and below what the allocator maps anew each time.
    static let pieceBytes = 1 << 16

    /// What stands at `path`, compared with its hash.
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
