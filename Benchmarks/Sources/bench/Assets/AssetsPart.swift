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
        let folder = try Disk.folder()
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
        try await AssetFetch(in: folder).run(&table)
    }

    private func verify(
        _ what: String, _ list: [Asset], _ assets: Assets, _ table: inout ResultTable
    ) async throws {
        let mebibytes = list.reduce(0) { $0 + Double($1.size) } / 1_048_576
        let contest = try await Contest(
            operations: 1,
            [
                .init("verify") { try await assets.verify(list) },
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

    /// Two files at once on two cores, against one program that hashes one after the other, and against two at once, which
    /// is what this machine has to give.
    private func verifyTwo(_ pair: [Asset], _ assets: Assets, _ table: inout ResultTable) async throws {
        let mebibytes = pair.reduce(0) { $0 + Double($1.size) } / 1_048_576
        let contest = try await Contest(
            operations: 1,
            [
                .init("two at once") {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for asset in pair { group.addTask { try await assets.verify([asset]) } }
                        try await group.waitForAll()
                    }
                },
                .init("openssl on one core") {
                    try Tool.run("/usr/bin/openssl", ["dgst", "-sha256"] + pair.map(\.path))
                },
                .init("two openssl at once") {
                    try Tool.run("/usr/bin/openssl", pair.map { ["dgst", "-sha256", $0.path] })
                },
            ])
        for (contender, aim) in [(1, 1.9), (2, nil)] as [(Int, Double?)] {
            table.add(
                Row(
                    Self.name, "verify two 256 MiB, \(contest.names[contender]), wall", rate: contest, to: contender,
                    by: \.wall, scale: mebibytes, unit: "MiB/s", atLeast: aim))
        }
        // The most that 1.9 could be on this machine, in this run.
        table.add(
            Row(
                Self.name, "two openssl at once, one after the other, wall",
                ours: mebibytes * 1e9 / contest.cost(2, by: \.wall),
                theirs: mebibytes * 1e9 / contest.cost(1, by: \.wall), unit: "MiB/s", atMost: nil))
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
    /// What a server verifies in one call at most.
    private static let batch = 64

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
        let listing = try await store.addRandom(bytes: count, seed: seed)
        let name = "\(listing.hash)"
        return Asset(
            hash: listing.hash, size: listing.size, path: "\(root)/assets/\(name.prefix(2))/\(name.dropFirst(2))")
    }

    /// As the server looks at what it holds: many small ones in one call, one batch after the other.
    func verify(_ assets: [Asset]) async throws {
        for start in stride(from: 0, to: assets.count, by: Self.batch) {
            let batch = assets[start..<min(start + Self.batch, assets.count)]
            for (asset, found) in zip(batch, try await store.verify(batch.map(\.hash))) {
                guard case .whole(let proof) = found, proof.size == asset.size else { throw CoreTables.Problem.sample }
            }
        }
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
        try run(path, [arguments])
    }

    /// Runs a program several times at once, once with each list of arguments.
    static func run(_ path: String, _ lists: [[String]]) throws {
        let processes = try lists.map { arguments in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: path)
            process.arguments = arguments
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            return process
        }
        for (process, arguments) in zip(processes, lists) {
            process.waitUntilExit()
            guard process.terminationStatus == 0 else {
                let what = ([path] + arguments.prefix(4)).joined(separator: " ")
                throw Failure(description: "\(what) ended with \(process.terminationStatus)")
            }
        }
    }
}
