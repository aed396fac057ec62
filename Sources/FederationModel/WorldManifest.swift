/// Everything that a world consists of, by content hash. Its canonical bytes are themselves an asset, so that one hash
/// names a whole world.
public struct WorldManifest: Hashable, Sendable {
    public let world: WorldID
    /// For people; see ``FederatedServer/isValidName(_:)``.
    public let name: String
    /// Sorted by path; no path twice; at most ``Limits/manifestEntries``.
    public let entries: [AssetEntry]

    /// Why a manifest was refused.
    public enum Failure: Error, Hashable, Sendable {
        case invalidName(String)
        case tooManyEntries(Int)
        case duplicatePath(String)
        case tooLarge(Int64)
    }

    /// Sorts the entries by path and checks the bounds.
    public init(world: WorldID, name: String, entries: [AssetEntry]) throws(Failure) {
        guard FederatedServer.isValidName(name) else { throw .invalidName(name) }
        guard entries.count <= Limits.manifestEntries else { throw .tooManyEntries(entries.count) }
        let sorted = entries.sorted { $0.path < $1.path }
        var total: Int64 = 0
        for (index, entry) in sorted.enumerated() {
            if index > 0, sorted[index - 1].path == entry.path { throw .duplicatePath(entry.path) }
            total += entry.size
        }
        guard total <= Limits.worldBytes else { throw .tooLarge(total) }
        self.world = world
        self.name = name
        self.entries = sorted
    }

    /// The sum of the entries' sizes, in bytes.
    public var totalSize: Int64 { entries.reduce(0) { $0 + $1.size } }
}
