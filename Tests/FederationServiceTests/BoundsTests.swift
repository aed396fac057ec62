import FederationCore
import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationService

/// What a server keeps in memory is bounded.
@Suite("FederationService, bounds")
struct BoundsTests {
    private static func id(_ number: Int) throws -> HandoffID {
        let text = String(number, radix: 16)
        return try #require(HandoffID(String(repeating: "0", count: 32 - text.utf8.count) + text))
    }

    private static func crossing(_ number: Int, _ phase: Crossing.Phase) throws -> Crossing {
        let home = try #require(ServerID("home"))
        return Crossing(
            id: try id(number), role: .source,
            player: PlayerID(name: try #require(PlayerName("p\(number)")), home: home),
            portal: try #require(PortalID("gate")), peer: home, world: try #require(WorldID("plaza")), phase: phase,
            steps: [], refusal: nil, openedAt: Timestamp(milliseconds: 0), changedAt: Timestamp(milliseconds: 0))
    }

    @Test("the log forgets the oldest crossings, but none that is being verified")
    func log() throws {
        var log = CrossingLog()
        let ids = try (0...CrossingLog.kept).map(Self.id)
        let player = try Self.crossing(0, .verifying).player
        log.insert(try Self.crossing(0, .verifying))
        for number in 1...CrossingLog.kept { log.insert(try Self.crossing(number, .completed)) }
        #expect(log.count == CrossingLog.kept)
        #expect(log[ids[0]] != nil && log[ids[1]] == nil && log[ids[2]] != nil)
        #expect(log.verifying(player)?.id == ids[0])
        #expect(Array(log.all.prefix(2)).map(\.id) == Array(ids.reversed().prefix(2)))
        log.update(ids[0]) { $0.phase = .aborted }
        #expect(log.verifying(player) == nil)
        log.insert(try Self.crossing(9_999, .completed))
        #expect(log[ids[0]] == nil && log.count == CrossingLog.kept)
        log.update(ids[0]) { $0.phase = .verifying }
        #expect(log[ids[0]] == nil)
    }

    @Test("so many crossings are verified at a time")
    func room() throws {
        var log = CrossingLog()
        for number in 0..<CrossingLog.verifying {
            #expect(log.hasRoom)
            log.insert(try Self.crossing(number, .verifying))
        }
        #expect(!log.hasRoom)
        log.update(try Self.id(7)) { $0.phase = .prepared }
        #expect(log.hasRoom)
    }

    @Test("verified worlds are forgotten together when they name too many files")
    func worlds() throws {
        var worlds = VerifiedWorlds()
        var hashes: [ContentHash] = []
        for number in 0..<3 {
            let manifest = try WorldManifest(world: try #require(WorldID("w\(number)")), name: "World", entries: [])
            let hash = ContentHash.of(manifest.canonicalBytes)
            worlds.insert(try VerifiedManifest(manifest, assets: [VerifiedAsset]()), as: hash)
            hashes.append(hash)
        }
        #expect(hashes.allSatisfy { worlds[$0] != nil })
        // An empty world weighs as much as one with a file.
        for number in 3..<VerifiedWorlds.maximumEntries + 1 {
            var bytes = [UInt8](repeating: 0, count: 32)
            bytes.replaceSubrange(0..<8, with: withUnsafeBytes(of: number, Array.init))
            let manifest = try WorldManifest(world: try #require(WorldID("w")), name: "World", entries: [])
            worlds.insert(
                try VerifiedManifest(manifest, assets: [VerifiedAsset]()), as: try #require(ContentHash(bytes: bytes)))
        }
        #expect(hashes.allSatisfy { worlds[$0] == nil })
    }
}
