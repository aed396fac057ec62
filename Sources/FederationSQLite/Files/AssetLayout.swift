import FederationModel
import FederationService
import Synchronization

/// Where assets stand below the data directory. Every name is made from a hash or a number.
struct AssetLayout: Sendable {
    /// Kept for as long as anything writes here: it holds the lock.
    let directory: DataDirectory
    let root: String
    let quarantine: String
    private let incoming: String

    init(directory: DataDirectory) {
        self.directory = directory
        root = directory.file("assets")
        quarantine = directory.file("assets/quarantine")
        incoming = directory.file("assets/incoming")
    }

    /// The folder of all assets whose hashes begin with the same byte.
    func shard(_ hash: ContentHash) -> String { "\(root)/\(hash.description.prefix(2))" }

    func file(_ hash: ContentHash) -> String { "\(shard(hash))/\(hash.description.dropFirst(2))" }

    func quarantined(_ hash: ContentHash) -> String { "\(quarantine)/\(hash)" }

    func incoming(_ number: UInt64) -> String { "\(incoming)/\(number).part" }

    /// Makes the folders and removes half-written files: the lock says that nobody is writing them.
    func prepare() throws(Refusal) {
        var made = try Files.makeDirectory(root)
        for folder in [incoming, quarantine] where try Files.makeDirectory(folder) { made = true }
        if made {
            try Files.synchroniseDirectory(root)
            try Files.synchroniseDirectory(directory.path)
        }
        for name in try Files.names(in: incoming) { try Files.remove("\(incoming)/\(name)") }
    }

    /// Every asset, sorted by hash. What is not a regular file with the name of a hash is no asset.
    func list() throws(Refusal) -> [AssetListing] {
        var listings: [AssetListing] = []
        for shard in try Files.names(in: root) where shard.utf8.count == 2 && Files.isDirectory("\(root)/\(shard)") {
            for name in try Files.names(in: "\(root)/\(shard)") {
                guard let hash = ContentHash(shard + name) else { continue }
                if let size = try Files.size(file(hash)) { listings.append(AssetListing(hash: hash, size: size)) }
            }
        }
        return listings
    }

    func listQuarantine() throws(Refusal) -> [AssetListing] {
        var listings: [AssetListing] = []
        for name in try Files.names(in: quarantine) {
            guard let hash = ContentHash(name) else { continue }
            if let size = try Files.size(quarantined(hash)) { listings.append(AssetListing(hash: hash, size: size)) }
        }
        return listings
    }
}

/// Numbers for half-written files. They need only differ within this process: the folder is emptied at the start.
final class TemporaryNames: Sendable {
    private let last = Mutex<UInt64>(0)

    func next() -> UInt64 {
        last.withLock { last in
            last += 1
            return last
        }
    }
}
