public import FederationModel

/// Proof that every asset of a world is there and has the right hash.
public struct VerifiedManifest: Hashable, Sendable {
    public let manifest: WorldManifest

    /// Why a manifest is not verified. The path is the first one, in the manifest's order.
    public enum Failure: Error, Hashable, Sendable {
        /// There is no proof for this asset.
        case unverified(path: String, ContentHash)
        /// The content with this hash has another size than the entry says.
        case sizeMismatch(path: String, expected: Int64, actual: Int64)
    }

    /// - Parameter assets: proofs in any order; those of assets that the manifest does not name are ignored.
    public init(_ manifest: WorldManifest, assets: some Sequence<VerifiedAsset>) throws(Failure) {
        var sizes: [ContentHash: Int64] = [:]
        for asset in assets { sizes[asset.hash] = asset.size }
        for entry in manifest.entries {
            guard let size = sizes[entry.hash] else { throw .unverified(path: entry.path, entry.hash) }
            guard size == entry.size else {
                throw .sizeMismatch(path: entry.path, expected: entry.size, actual: size)
            }
        }
        self.manifest = manifest
    }
}
