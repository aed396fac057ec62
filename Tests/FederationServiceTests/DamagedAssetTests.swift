import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import Synchronization
import TestKit
import Testing

@Suite("FederationServer, damaged assets", .timeLimit(.minutes(patience)))
struct DamagedAssetTests {
    /// Would fail if what a verification found damaged were moved away without looking again: by then it is whole.
    @Test("two verifications that find the same asset damaged move it away once, and fetch it once")
    func together() async throws {
        let bytes: [UInt8] = [1, 2, 4]
        let hash = ContentHash.of(bytes)
        let race = DamageRace()
        let alpha = try await TestServer.start(
            "alpha", held: { RacingAssetStore(store: $0, contested: hash, race: race) })
        try await alpha.publish("home")
        await alpha.assets.add(bytes)
        await alpha.assets.damage(hash, to: [9, 9])
        let asked = Mutex(0)
        var players: [AsyncStream<PlayerUpdate>] = []
        for (seed, name) in [(2, "beta"), (3, "gamma")] {
            let peer = try await TestServer.start(name, seed: UInt8(seed), clock: alpha.clock)
            try await peer.publish("world-of-\(name)", ["one.bin": bytes])
            let link = try await Link.connect(alpha.server, peer.server)
            link.there.decide { frame in
                if case .assetRequest(let request) = frame, request.hash == hash { asked.withLock { $0 += 1 } }
                return .delivered
            }
            try await alpha.route("to-\(name)", to: peer, world: "world-of-\(name)")
            try await alpha.enter("for-\(name)")
            players.append(try await alpha.server.updates(of: try alpha.player("for-\(name)")))
            _ = try await alpha.travel("for-\(name)", through: "to-\(name)")
        }
        // Both have found it damaged, and the one that goes on has put it right.
        try await eventually { try await alpha.assets.read(hash, offset: 0, length: 9) == bytes }
        await race.release()
        for updates in players { try await updates.until(.completed) }
        #expect(await race.quarantines == 1 && asked.withLock { $0 } == 1)
        #expect(try await alpha.assets.read(hash, offset: 0, length: 9) == bytes)
        #expect(try await alpha.assets.listQuarantine() == [AssetListing(hash: hash, size: 2)])
    }
}

/// Lets nobody go on who found the asset damaged until two have; then the second waits for the test.
private actor DamageRace {
    private(set) var quarantines = 0
    private var found = 0
    private var first: CheckedContinuation<Void, Never>?
    private var second: CheckedContinuation<Void, Never>?

    func foundDamage() async {
        found += 1
        switch found {
        case 1:
            await withCheckedContinuation { first = $0 }
        case 2:
            first?.resume()
            await withCheckedContinuation { second = $0 }
        default:
            break
        }
    }

    func release() {
        second?.resume()
    }

    func quarantining() {
        quarantines += 1
    }
}

private struct RacingAssetStore: AssetStore {
    let store: MemoryAssetStore
    let contested: ContentHash
    let race: DamageRace

    func verify(_ hashes: [ContentHash]) async throws -> [HeldAsset] {
        let found = try await store.verify(hashes)
        for (hash, held) in zip(hashes, found) where hash == contested && held == .damaged {
            await race.foundDamage()
        }
        return found
    }

    func quarantine(_ hash: ContentHash) async throws {
        await race.quarantining()
        try await store.quarantine(hash)
    }

    func size(of hash: ContentHash) async throws -> Int64? { try await store.size(of: hash) }

    func read(_ hash: ContentHash, offset: Int64, length: Int) async throws -> [UInt8]? {
        try await store.read(hash, offset: offset, length: length)
    }

    func write() async throws -> any AssetWriter { try await store.write() }

    func remove(_ hash: ContentHash) async throws { try await store.remove(hash) }

    func list() async throws -> [AssetListing] { try await store.list() }
}
