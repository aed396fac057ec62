/// Everything that a world consists of, by content hash. Its canonical bytes are themselves an asset, so that one hash
/// names a whole world.
public struct WorldManifest: Hashable, Sendable {
    public let world: WorldID
    /// For people; see ``FederatedServer/isValidName(_:)``.
    public let name: String
    /// Sorted by the UTF-8 bytes of their paths; no path twice; no path that is also another's folder; at most
    /// ``Limits/manifestEntries``.
    public let entries: [AssetEntry]

    /// Why a manifest was refused.
    public enum Failure: Error, Hashable, Sendable {
        case invalidName(String)
        case tooManyEntries(Int)
        /// Two paths that are the same text, also when they are composed of different Unicode scalars.
        case duplicatePath(String)
        /// The path is a file in one entry and a folder in another.
        case pathIsFolder(String)
        /// The files together are over ``Limits/worldBytes``; their sum is told.
        case tooLarge(Int64)
        /// The manifest itself would be over ``Limits/manifestBytes``; so many bytes its entries may need.
        case manifestTooLarge(Int)
    }

    /// Sorts the entries by path and checks the bounds.
    public init(world: WorldID, name: String, entries: [AssetEntry]) throws(Failure) {
        guard FederatedServer.isValidName(name) else { throw .invalidName(name) }
        guard entries.count <= Limits.manifestEntries else { throw .tooManyEntries(entries.count) }
        let sorted = entries.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
        var paths: Set<String> = []
        paths.reserveCapacity(sorted.count)
        var total: Int64 = 0
        var textBytes = 1_024
        for entry in sorted {
            guard paths.insert(entry.path).inserted else { throw .duplicatePath(entry.path) }
            guard !Self.isFolder(entry.path, in: sorted) else { throw .pathIsFolder(entry.path) }
            total += entry.size
            textBytes += Self.textBytes(of: entry)
        }
        guard total <= Limits.worldBytes else { throw .tooLarge(total) }
        guard textBytes <= Limits.manifestBytes else { throw .manifestTooLarge(textBytes) }
        self.world = world
        self.name = name
        self.entries = sorted
    }

    /// The sum of the entries' sizes, in bytes.
    public var totalSize: Int64 { entries.reduce(0) { $0 + $1.size } }

    /// At most so many bytes an entry needs in JSON: a quotation mark needs two; keys, hash, size and punctuation less
    /// than 160.
    private static func textBytes(of entry: AssetEntry) -> Int {
        entry.path.utf8.reduce(0) { $0 + ($1 == 0x22 ? 2 : 1) } + entry.mediaType.utf8.count + 160
    }

    /// Whether a path in `sorted` lies below `path`: by binary search for the first one that is not before `path/`.
    private static func isFolder(_ path: String, in sorted: [AssetEntry]) -> Bool {
        let folder = path + "/"
        var low = 0
        var high = sorted.count
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle].path.utf8.lexicographicallyPrecedes(folder.utf8) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low < sorted.count && sorted[low].path.utf8.starts(with: folder.utf8)
    }
}
