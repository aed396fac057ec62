import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import Synchronization
import TestKit
import Testing

@testable import FederationHTTP

@Suite("Manifests of worlds, for everybody", .timeLimit(.minutes(patience))) struct ManifestTests {
    private static let path = "/v1/worlds/quay/manifest"

    /// Publishes a world of so many files, all with the same content, and returns its manifest.
    private static func publish(_ files: Int, on server: TestServer) async throws -> [UInt8] {
        let hash = await server.assets.add([1, 2, 3])
        let entries = try (0..<files).map { number in
            try #require(
                AssetEntry(path: "stone-\(number).txt", hash: hash, size: 3, mediaType: "text/plain"))
        }
        let manifest = try WorldManifest(world: try #require(WorldID("quay")), name: "The quay", entries: entries)
        _ = try await server.server.addWorld(manifest)
        return manifest.canonicalBytes
    }

    /// Would fail if the whole manifest, which may have 32 MiB, were in memory for each of those who ask and read slowly, or
    /// were hashed for each of them.
    @Test("a large manifest is read from the store while it is sent, a piece at a time, and only once")
    func pieces() async throws {
        let longest = Longest()
        try await TestServer.run(held: { Measured(base: $0, longest: longest) }) { server async throws in
            let manifest = try await Self.publish(6_000, on: server)
            let answer = try await server.request("GET", Self.path, as: .stranger)
            #expect(answer.status == 200 && answer.body == manifest)
            #expect(answer.headers["content-type"] == "application/json")
            #expect(answer.headers["etag"] == "\"\(ContentHash.of(manifest))\"")
            #expect(manifest.count > 2 * Int(FederationRoutes.chunkBytes))
            #expect(longest.bytes == Int(FederationRoutes.chunkBytes))
            #expect(longest.verifications == 0)
        }
    }

    /// Would fail if more or less were promised than lies on the disk.
    @Test("a manifest that is cut short or gone is not sent", arguments: [[UInt8]("{}".utf8), nil])
    func lost(bytes: [UInt8]?) async throws {
        try await TestServer.run { server async throws in
            let hash = ContentHash.of(try await Self.publish(1, on: server))
            if let bytes {
                await server.assets.damage(hash, to: bytes)
            } else {
                try await server.assets.remove(hash)
            }
            let answer = try await server.request("GET", Self.path, as: .stranger)
            #expect(answer.status == 503 && answer.code == "manifest.lost")
        }
    }
}

/// The longest piece that was read at once, and how often the store had to verify.
private final class Longest: Sendable {
    private let most = Mutex(0)
    private let verified = Mutex(0)

    var bytes: Int { most.withLock { $0 } }

    /// How many assets were read again to be compared with their hashes.
    var verifications: Int { verified.withLock { $0 } }

    func noteVerifying(_ count: Int) { verified.withLock { $0 += count } }

    func note(_ count: Int) { most.withLock { $0 = max($0, count) } }
}

/// Notes how much is read at once for those who ask, and what is verified.
private struct Measured: AssetStore {
    let base: MemoryAssetStore
    let longest: Longest

    func size(of hash: ContentHash) async throws -> Int64? { try await base.size(of: hash) }

    func read(_ hash: ContentHash, offset: Int64, length: Int) async throws -> [UInt8]? {
        let bytes = try await base.read(hash, offset: offset, length: length)
        longest.note(bytes?.count ?? 0)
        return bytes
    }

    func verify(_ hashes: [ContentHash]) async throws -> [HeldAsset] {
        longest.noteVerifying(hashes.count)
        return try await base.verify(hashes)
    }

    func write() async throws -> any AssetWriter { try await base.write() }

    func quarantine(_ hash: ContentHash) async throws { try await base.quarantine(hash) }

    func remove(_ hash: ContentHash) async throws { try await base.remove(hash) }

    func list() async throws -> [AssetListing] { try await base.list() }
}
