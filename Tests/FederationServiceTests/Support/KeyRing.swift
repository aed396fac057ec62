import FederationCrypto
import FederationModel
import FederationService
import Synchronization

/// A server's keys in memory, each made from the server's seed and its number: 0 is the first one, 100 replaces those that were
/// revoked, and 200 is the recovery key.
final class KeyRing: IdentityKeeper {
    private struct State {
        var present: UInt8 = 0
        var isRevoked = false
        var outpaced: [PublicKey] = []
    }

    private let id: ServerID
    private let seed: UInt8
    private let store: MemoryStore?
    private let state = Mutex(State())

    /// - Parameter store: what must have a key before the ring follows.
    init(id: ServerID, seed: UInt8, store: MemoryStore? = nil) {
        self.id = id
        self.seed = seed
        self.store = store
    }

    /// Keys that were adopted before the store had them.
    var outpaced: [PublicKey] { state.withLock { $0.outpaced } }

    func key(_ number: UInt8) throws -> ServerIdentity {
        var bytes = [UInt8](repeating: seed, count: ServerIdentity.seedBytes)
        bytes[0] ^= number
        return try ServerIdentity(id: id, seed: bytes)
    }

    /// What the first key commits to.
    func commitment() throws -> KeyCommitment {
        KeyCommitment(next: try key(1).publicKey.commitment, recovery: try key(200).publicKey.commitment)
    }

    /// The owner has put another key in the place of all the server's keys.
    func revoke() {
        state.withLock { $0.isRevoked = true }
    }

    // MARK: IdentityKeeper

    func next() async throws(Refusal) -> ServerIdentity {
        try refusing { try key(state.withLock { $0.present } + 1) }
    }

    func commitmentAfterNext() async throws(Refusal) -> ContentHash {
        try refusing { try key(state.withLock { $0.present } + 2).publicKey.commitment }
    }

    func replacement() async throws(Refusal) -> (identity: ServerIdentity, revocation: String)? {
        guard state.withLock({ $0.isRevoked }) else { return nil }
        return try refusing {
            let replacement = try key(100)
            let commitment = KeyCommitment(next: try key(101).publicKey.commitment)
            let revocation = KeyRevocation(
                issuer: id, number: 1, replacement: .init(key: replacement.publicKey, commitment: commitment),
                issuedAt: Timestamp(seconds: 1_767_323_045))
            return (replacement, revocation.issue(by: try key(200)))
        }
    }

    func adopt(_ present: PublicKey, promising _: KeyCommitment) async throws(Refusal) {
        // The first key may be one that the store was never told of.
        if let store, (try? await store.load().ownKeys.present) != present, present != (try? key(0).publicKey) {
            state.withLock { $0.outpaced.append(present) }
        }
        for number: UInt8 in [0, 1, 2, 3, 100, 101] where (try? key(number))?.publicKey == present {
            state.withLock { $0.present = number }
        }
    }

    private func refusing<Value>(_ body: () throws -> Value) throws(Refusal) -> Value {
        do {
            return try body()
        } catch {
            throw Refusal(.unavailable, code: "keys.failed", reason: "\(error)", remedy: "mend the test")
        }
    }
}
