import FederationCore
import FederationModel

/// The canonical text of a world's manifest.
public enum ManifestTarget: FuzzTarget {
    public static let name = "manifest"

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        let manifest: WorldManifest
        do {
            manifest = try WorldManifest(canonicalBytes: input)
        } catch {
            let reason = error.refusal.description
            try require(reason.unicodeScalars.allSatisfy(\.isPrintable), "a refusal that is not printable: \(reason)")
            return false
        }
        try require(manifest.canonicalBytes == input, "one manifest has two texts")
        try require(manifest.totalSize <= Limits.worldBytes, "a world of \(manifest.totalSize) bytes")
        for entry in manifest.entries {
            let parts = entry.path.split(separator: "/", omittingEmptySubsequences: false)
            try require(
                parts.allSatisfy { !$0.isEmpty && $0 != ".." && $0 != "." }, "the path \(entry.path) leaves its folder")
        }
        for (entry, next) in zip(manifest.entries, manifest.entries.dropFirst()) {
            try require(entry.path.utf8.lexicographicallyPrecedes(next.path.utf8), "\(next.path) is out of order")
        }
        return true
    }

    public static func seeds() throws -> [[UInt8]] {
        let world = try present(WorldID(rawValue: "plaza"))
        let hash = try present(ContentHash(bytes: Array(1...32)))
        let entries = try [
            present(AssetEntry(path: "a/b.png", hash: hash, size: 0, mediaType: "image/png")),
            present(AssetEntry(path: #"a/"é".glb"#, hash: hash, size: Limits.assetBytes, mediaType: "model/gltf+x")),
            present(AssetEntry(path: "z", hash: hash, size: 17, mediaType: "text/plain")),
        ]
        return try [
            WorldManifest(world: world, name: "Plaza", entries: []),
            WorldManifest(world: world, name: #"The "Plaza""#, entries: [entries[2]]),
            WorldManifest(world: world, name: "Площадь", entries: entries),
        ].map(\.canonicalBytes)
    }
}
