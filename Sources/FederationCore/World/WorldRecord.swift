public import FederationModel

/// A world that this server offers.
public struct WorldRecord: Hashable, Sendable, Codable {
    public let world: WorldID
    /// For people.
    public let name: String
    /// The manifest's address; the manifest itself is an asset.
    public let manifest: ContentHash
    /// Of the manifest, in bytes.
    public let manifestSize: Int64
    /// Files in the world.
    public let assets: Int
    /// Of all files, in bytes.
    public let totalSize: Int64

    public init(
        world: WorldID, name: String, manifest: ContentHash, manifestSize: Int64, assets: Int, totalSize: Int64
    ) {
        self.world = world
        self.name = name
        self.manifest = manifest
        self.manifestSize = manifestSize
        self.assets = assets
        self.totalSize = totalSize
    }
}
