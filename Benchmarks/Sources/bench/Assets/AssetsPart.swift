import FederationCore
import FederationCrypto
import FederationModel
import FederationSQLite
import FederationService
import Foundation

/// Verifying and storing assets, against the tools that everybody has for it. Both read files; both are warm.
struct AssetsPart {
    static let name = "assets"
    private static let largeBytes = 256 << 20
    private static let smallBytes = 16 << 10
    private static let smallCount = 2_048

    func run(_ table: inout ResultTable) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "aether-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let assets = try await Assets(in: folder)
        let large = [try await assets.add(Self.largeBytes, seed: 1)]
        var small: [Asset] = []
        for seed in 0..<Self.smallCount { small.append(try await assets.add(Self.smallBytes, seed: UInt64(seed + 2))) }
        let many = small
        for (what, list) in [("256 MiB", large), ("\(Self.smallCount) × 16 KiB", many)] {
            try await verify(what, list, assets, &table)
        }
        let pair = [large[0], try await assets.add(Self.largeBytes, seed: 9_999)]
        try await verifyTwo(pair, assets, &table)
        try await store(large[0], assets, &table)
    }

    private func verify(
        _ what: String, _ list: [Asset], _ assets: Assets, _ table: inout ResultTable
    ) async throws {
        let mebibytes = list.reduce(0) { $0 + Double($1.size) } / 1_048_576
        let contest = try await Contest(
            operations: 1,
            [
                .init("verify") { for asset in list { try await assets.verify(asset) } },
                .init("openssl dgst -sha256") {
                    try Tool.run("/usr/bin/openssl", ["dgst", "-sha256"] + list.map(\.path))
                },
                .init("sha256sum") { try Tool.run("/usr/bin/sha256sum", list.map(\.path)) },
            ])
        for contender in [1, 2] {
            table.add(
                Row(
                    Self.name, "verify \(what), \(contest.names[contender])", rate: contest, to: contender,
                    by: \.processor, scale: mebibytes, unit: "MiB/cpu s", atLeast: contender == 1 ? 0.97 : nil))
        }
    }

    /// Two files at once on two cores, against one program that hashes one after the other.
    private func verifyTwo(_ pair: [Asset], _ assets: Assets, _ table: inout ResultTable) async throws {
        let mebibytes = pair.reduce(0) { $0 + Double($1.size) } / 1_048_576
        let contest = try await Contest(
            operations: 1,
            [
                .init("two at once") {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for asset in pair { group.addTask { try await assets.verify(asset) } }
                        try await group.waitForAll()
                    }
                },
                .init("openssl on one core") {
                    try Tool.run("/usr/bin/openssl", ["dgst", "-sha256"] + pair.map(\.path))
                },
            ])
        table.add(
            Row(
                Self.name, "verify two 256 MiB, \(contest.names[1]), wall", rate: contest, to: 1, by: \.wall,
                scale: mebibytes, unit: "MiB/s", atLeast: 1.9))
    }

    /// Ours hashes what it stores; theirs does not.
    private func store(_ asset: Asset, _ assets: Assets, _ table: inout ResultTable) async throws {
        let mebibytes = Double(asset.size) / 1_048_576
        let copy = asset.path + ".copy"
        let contest = try await Contest(
            operations: 1,
            [
                .init("store") { try await assets.storeAgain(asset) },
                .init("cp and fsync") {
                    try Tool.run("/bin/sh", ["-c", "cp '\(asset.path)' '\(copy)' && sync '\(copy)' && rm '\(copy)'"])
                },
            ])
        table.add(
            Row(
                Self.name, "store 256 MiB, cp and fsync", rate: contest, to: 1, by: \.processor, scale: mebibytes,
                unit: "MiB/cpu s"))
        table.add(
            Row(
                Self.name, "store 256 MiB, cp and fsync, wall", rate: contest, to: 1, by: \.wall, scale: mebibytes,
                unit: "MiB/s"))
    }
}

/// A file of a store.
private struct Asset: Sendable {
    let hash: ContentHash
    let size: Int64
    let path: String
}

/// The store of a server, as a server uses it.
private final class Assets: Sendable {
    private static let piece = 1 << 20

    private let root: String
    private let store: FileAssetStore
    /// For what is stored only to see how long it takes.
    private let scratch: FileAssetStore

    init(in folder: URL) async throws {
        root = folder.appending(path: "held").path
        store = try await FileAssetStore.open(in: try DataDirectory(at: root))
        scratch = try await FileAssetStore.open(in: try DataDirectory(at: folder.appending(path: "scratch").path))
    }

    func add(_ count: Int, seed: UInt64) async throws -> Asset {
        let writer = try await store.write()
        var random = SplitMix(seed: seed)
        var written = 0
        while written < count {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(Self.piece + 8)
            while bytes.count < min(Self.piece, count - written) {
                withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) }
            }
            try await writer.append(bytes)
            written += bytes.count
        }
        let listing = try await writer.commit()
        let name = "\(listing.hash)"
        return Asset(
            hash: listing.hash, size: listing.size, path: "\(root)/assets/\(name.prefix(2))/\(name.dropFirst(2))")
    }

    /// As the server looks at what it holds.
    func verify(_ asset: Asset) async throws {
        var verifier = AssetVerifier(hash: asset.hash, size: asset.size)
        try await pieces(of: asset) { try verifier.update($0) }
        keep(try verifier.finish())
    }

    /// Reads the asset and stores it in another place, durably.
    func storeAgain(_ asset: Asset) async throws {
        let writer = try await scratch.write()
        try await pieces(of: asset) { try await writer.append($0) }
        try await writer.commit(asset.hash, size: asset.size)
        try await scratch.remove(asset.hash)
    }

    private func pieces(of asset: Asset, _ body: ([UInt8]) async throws -> Void) async throws {
        var offset: Int64 = 0
        while offset < asset.size {
            guard let bytes = try await store.read(asset.hash, offset: offset, length: Self.piece), !bytes.isEmpty
            else {
                throw CoreTables.Problem.sample
            }
            try await body(bytes)
            offset += Int64(bytes.count)
        }
    }
}

/// Programs that are there anyway.
enum Tool {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    static func run(_ path: String, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let what = ([path] + arguments.prefix(4)).joined(separator: " ")
            throw Failure(description: "\(what) ended with \(process.terminationStatus)")
        }
    }
}
