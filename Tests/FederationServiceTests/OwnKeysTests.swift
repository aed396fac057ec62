import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import Logging
import ServiceTestKit
import TestKit
import Testing

/// What the store keeps of a server's own keys.
@Suite("Own keys", .timeLimit(.minutes(2 * patience)))
struct OwnKeysTests {
    private static let id = ServerID(unchecked: "alpha")

    private static func open(
        _ store: MemoryStore, identify: (inout OwnKeys) async throws -> ServerIdentity
    ) async throws -> FederationServer {
        try await FederationServer.open(
            configuration: NodeConfiguration(
                name: "Alpha", endpoint: try #require(Endpoint("ws://alpha.example")),
                handshake: HandshakeConfiguration(suites: [.classicalAES256GCM])),
            store: store, assets: MemoryAssetStore(), clock: ManualClock(), entropy: SeededEntropy(seed: 1),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), identify: identify)
    }

    @Test("what the first start finds out is durable before the server is there, and what later ones go by")
    func firstStart() async throws {
        let ring = KeyRing(id: Self.id, seed: 1)
        let store = MemoryStore()
        let expected = OwnKeys(present: try ring.key(0).publicKey, commitment: try ring.commitment())
        let server = try await Self.open(store) { keys in
            #expect(keys == OwnKeys())
            keys = expected
            return try ring.key(0)
        }
        #expect(await server.keys().commitment == (try ring.commitment()))
        #expect(try await store.load().ownKeys == expected)
        let written = await store.transactions
        let again = try await Self.open(store) { keys in
            #expect(keys == expected)
            return try ring.key(0)
        }
        #expect(await again.keys().commitment == (try ring.commitment()))
        #expect(await store.transactions == written, "what is known already is not written again")
    }

    @Test("a start that is refused leaves the stored keys as they are")
    func refused() async throws {
        let store = MemoryStore()
        let refused = await refusal {
            _ = try await Self.open(store) { keys in
                keys.isDead = true
                throw Refusal(.conflict, code: "keys.notPromised", reason: "no", remedy: "no")
            }
        }
        #expect(refused == "keys.notPromised")
        #expect(try await store.load().ownKeys == OwnKeys())
    }

    @Test("a rotation, and the owner's replacement, keep what the new key promises")
    func changes() async throws {
        let alpha = try await TestServer.start("alpha")
        for number: UInt8 in [1, 2] {
            let key = try await alpha.server.rotateKeys()
            let stored = try await alpha.store.load().ownKeys
            #expect(stored.present == key)
            let promised = KeyCommitment(
                next: try alpha.keys.key(number + 1).publicKey.commitment,
                recovery: try alpha.keys.commitment().recovery)
            #expect(stored.commitment == promised)
            #expect(await alpha.server.keys().commitment == promised)
        }
        alpha.keys.revoke()
        let key = try #require(try await alpha.server.replaceKeys())
        let stored = try await alpha.store.load().ownKeys
        #expect(stored.present == key && stored.revocation != nil && stored.past.isEmpty)
        let promised = KeyCommitment(
            next: try alpha.keys.key(101).publicKey.commitment, recovery: try alpha.keys.commitment().recovery)
        #expect(stored.commitment == promised)
        #expect(await alpha.server.keys().commitment == promised)
    }

    @Test(
        "keys follow only what is durable, also when a change is asked for again while the store is behind",
        arguments: [true, false])
    func behind(isReplacedAgain: Bool) async throws {
        let alpha = try await TestServer.start("alpha")
        let server = alpha.server
        try await alpha.publish("home")
        let before = await server.keys().key
        alpha.keys.revoke()
        await alpha.store.hold()
        async let saved = refusal { _ = try await alpha.enter() }
        await alpha.store.waitUntilHeld()
        await alpha.store.failNext(1)
        async let first = refusal { _ = try await server.replaceKeys() }
        try await eventually { await server.keys().key != before }
        // Who waits is told of the failure; what is to be saved stays.
        await alpha.store.release(holdingOn: true)
        #expect(await [saved, first] == ["store.failed", "store.failed"])
        try await eventually {
            alpha.clock.advance(by: .seconds(1))
            return await alpha.store.isWaitedFor
        }
        // Now the save is in, and the keys are not.
        await alpha.store.release(holdingOn: true)
        await alpha.store.waitUntilHeld()
        try await eventually { await server.summary().storageFailure == nil }
        #expect(try await alpha.store.load().ownKeys.present == nil)
        let outcomes = await withTaskGroup(of: String?.self) { group in
            // One of them waits for the store, and the other is told so.
            for _ in 0..<2 {
                group.addTask {
                    await refusal {
                        if isReplacedAgain {
                            _ = try await server.replaceKeys()
                        } else {
                            _ = try await server.rotateKeys()
                        }
                    }
                }
            }
            let first = await group.next()
            await alpha.store.release()
            return [first, await group.next()]
        }
        #expect(outcomes == ["keys.busy", .some(nil)])
        #expect(alpha.keys.outpaced.isEmpty)
        let key = try alpha.keys.key(isReplacedAgain ? 100 : 101).publicKey
        #expect(try await alpha.store.load().ownKeys.present == key)
    }

    @Test("until a server has seen to a replacement that waits nobody else changes its keys")
    func start() async throws {
        let alpha = try await TestServer.open("alpha")
        #expect(await refusal { _ = try await alpha.server.rotateKeys() } == "keys.busy")
        alpha.keys.revoke()
        await alpha.store.hold()
        async let started: Void = alpha.server.start(transport: alpha.transport, keys: alpha.keys)
        await alpha.store.waitUntilHeld()
        #expect(await refusal { _ = try await alpha.server.replaceKeys() } == "keys.busy")
        // First the start is durable, then the replacement.
        await alpha.store.release(holdingOn: true)
        await alpha.store.waitUntilHeld()
        try await eventually { await alpha.server.keys().key == (try alpha.keys.key(100).publicKey) }
        #expect(await refusal { _ = try await alpha.server.replaceKeys() } == "keys.busy")
        await alpha.store.release()
        try await started
        #expect(await alpha.server.keys().key == (try alpha.keys.key(100).publicKey))
        #expect(try await alpha.server.replaceKeys() != nil, "the ring keeps what it was given")
        #expect(alpha.keys.outpaced.isEmpty)
    }
}
