import FederationModel
import FederationSQLite
import Foundation

/// Files by hash: what one costs when there are few and when there are many, beside asking the file system itself.
struct AssetGrowth {
    private static let counts = [1_000, 10_000, 100_000]
    private static let operations = 5_000
    private static let bytes = 64

    func run(_ table: inout ResultTable) async throws {
        let folder = try Disk.folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let what = "asset, its size"
        var curve = GrowthCurve(what, beside: "lstat")
        for count in Self.counts {
            let root = folder.appending(path: "\(count)").path
            let store = try await FileAssetStore.open(in: try DataDirectory(at: root))
            let hashes = try Self.place(count, in: root)
            var random = SplitMix(seed: 44)
            let picks = (0..<Self.operations).map { _ in Int(random.next() % UInt64(count)) }
            let contest = try await Contest(
                operations: picks.count,
                [
                    .init("store") {
                        for pick in picks {
                            guard try await store.size(of: hashes[pick]) != nil else { throw CoreTables.Problem.sample }
                        }
                    },
                    .init("lstat") {
                        for pick in picks {
                            var status = stat()
                            guard lstat(Self.path(hashes[pick], in: root), &status) == 0 else {
                                throw CoreTables.Problem.sample
                            }
                        }
                    },
                ])
            table.add(
                Row(
                    GrowthPart.name, "\(what), \(short(count)), lstat", cost: contest, to: 1, by: \.processor,
                    unit: "ns",
                    nanoseconds: 1))
            curve.add(
                count,
                zip(contest.costs(0, by: \.processor), contest.costs(1, by: \.processor)).map {
                    CostSample(ours: $0, lookUp: $1)
                })
        }
        for row in curve.rows() { table.add(row) }
    }

    /// Puts files under the names of hashes, which nobody verifies here: storing them would take a wait for the disk each.
    private static func place(_ count: Int, in root: String) throws -> [ContentHash] {
        let content = Data(repeating: 6, count: bytes)
        var random = SplitMix(seed: 45)
        for shard in 0..<256 {
            let name = hexString([UInt8(shard)])
            try FileManager.default.createDirectory(atPath: "\(root)/assets/\(name)", withIntermediateDirectories: true)
        }
        return try (0..<count).map { _ in
            guard let hash = ContentHash(bytes: random.bytes(32)),
                FileManager.default.createFile(atPath: path(hash, in: root), contents: content)
            else { throw CoreTables.Problem.sample }
            return hash
        }
    }

    private static func path(_ hash: ContentHash, in root: String) -> String {
        let name = hash.description
        return "\(root)/assets/\(name.prefix(2))/\(name.dropFirst(2))"
    }
}
