import FederationCore
import FederationCrypto
import FederationHTTP
import FederationModel
import FederationSQLite
import FederationService
import Foundation
import Hummingbird
import Logging
import NIOCore

/// A file that one server fetches from another through their channel, sealed, verified and stored durably, against curl,
/// which fetches the same over HTTP in clear, verifies nothing, and stores it with an fsync.
struct AssetFetch {
    private static let bytes = 64 << 20
    private static let curl = "/usr/bin/curl"
    private static let aim = 0.8

    private let folder: URL

    init(in folder: URL) { self.folder = folder }

    func run(_ table: inout ResultTable) async throws {
        guard FileManager.default.isExecutableFile(atPath: Self.curl) else {
            return FileHandle.standardError.write(Data("fetching is left out: there is no \(Self.curl)\n".utf8))
        }
        let pair = try ServerPair(
            in: folder.appending(path: "pair").path, acceptMilliseconds: 30_000, players: Contest.allRounds)
        defer { pair.end() }
        // A world for each round: what a server has verified once it does not fetch again.
        var worlds = (0..<Contest.allRounds).map { "hall-\($0)" }
        for (number, world) in worlds.enumerated() { try pair.open(world, bytes: Self.bytes, seed: number + 10) }
        let source = try await FileSource(in: folder.appending(path: "source").path, bytes: Self.bytes)
        let contest = try await Contest(
            operations: 1,
            [
                .init("between servers") { try pair.fetch(worlds.removeFirst()) },
                .init("curl from memory") { try fetch(source.plain) },
                .init("curl from /v1/assets") { try fetch(source.asset) },
            ], processorTime: { CPUTime.now + CPUTime.ofChildren + (try pair.processorTime()) })
        await source.close()
        let mebibytes = Double(Self.bytes) / 1_048_576
        for contender in [1, 2] {
            let name = "fetch 64 MiB, \(contest.names[contender])"
            table.add(
                Row(
                    AssetsPart.name, "\(name), wall", rate: contest, to: contender, by: \.wall, scale: mebibytes,
                    unit: "MiB/s", atLeast: contender == 1 ? Self.aim : nil))
            table.add(
                Row(
                    AssetsPart.name, name, rate: contest, to: contender, by: \.processor, scale: mebibytes,
                    unit: "MiB/cpu s"))
        }
    }

    private func fetch(_ address: String) throws {
        let file = folder.appending(path: "fetched").path
        try Tool.run(
            "/bin/sh",
            ["-c", "\(Self.curl) --silent --fail --output '\(file)' '\(address)' && sync '\(file)' && rm '\(file)'"])
    }
}

/// A server of this process that has one file: as an asset on its disk, and as bytes in its memory.
private struct FileSource {
    let plain: String
    let asset: String
    private let running: Task<Void, any Error>

    init(in directory: String, bytes: Int) async throws {
        let logger = Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })
        let assets = try await FileAssetStore.open(in: try DataDirectory(at: directory))
        var random = SplitMix(seed: 77)
        let content = random.bytes(bytes)
        let writer = try await assets.write()
        try await writer.append(content)
        let hash = try await writer.commit().hash
        guard let endpoint = Endpoint("ws://127.0.0.1:7700") else { throw CoreTables.Problem.sample }
        let server = try await FederationServer.open(
            identity: try ServerIdentity(id: ServerID(unchecked: "source"), seed: Array(repeating: 4, count: 32)),
            configuration: NodeConfiguration(name: "A source", endpoint: endpoint), store: MemoryStore(),
            assets: assets, logger: logger)
        let routes = FederationRoutes(
            server: server, admin: AdminAuthenticator(keyHash: AdminAuthenticator.hash(of: "of no use elsewhere")),
            metrics: PrometheusRegistry())
        let router = routes.makeRouter()
        let buffer = ByteBuffer(bytes: content)
        router.get("plain") { _, _ in Response(status: .ok, body: ResponseBody(byteBuffer: buffer)) }
        let (ports, bound) = AsyncStream.makeStream(of: Int.self)
        let application = Application(
            router: router, server: try .upgradable(routes: []),
            configuration: .listener(host: "127.0.0.1", port: 0),
            onServerRunning: { channel in bound.yield(channel.localAddress?.port ?? 0) }, logger: logger)
        running = Task { try await application.run() }
        var iterator = ports.makeAsyncIterator()
        guard let port = await iterator.next() else { throw CoreTables.Problem.sample }
        plain = "http://127.0.0.1:\(port)/plain"
        asset = "http://127.0.0.1:\(port)/v1/assets/\(hash)"
    }

    func close() async {
        running.cancel()
        _ = await running.result
    }
}
