import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

@Suite("FederationNode, promised keys")
struct NodeKeyPromiseTests {
    private static func key(_ number: UInt8) throws -> ServerIdentity {
        try ServerIdentity(id: ServerID(unchecked: "alpha"), seed: [UInt8](repeating: number, count: 32))
    }

    private static func hash(_ number: UInt8) throws -> ContentHash { try key(number).publicKey.commitment }

    private static let commitment = KeyCommitment(next: try? hash(2), recovery: try? hash(100))

    /// A federation whose one node has the first key.
    private static func alone() throws -> (TestFederation, alpha: TestNode) {
        let federation = try TestFederation(["alpha"]) { _, configuration in configuration.commitment = commitment }
        return (federation, federation.node("alpha"))
    }

    /// What is stored by the first of these effects.
    private static func stored(_ effects: [Effect]) -> OwnKeys? {
        guard case .persist(let changes) = effects.first, changes.count == 1, case .putOwnKeys(let keys) = changes.first
        else { return nil }
        return keys
    }

    @Test("a rotation stores the new key and its promise in one change, before anything else is done")
    func rotation() throws {
        let (federation, alpha) = try Self.alone()
        let effects = try alpha.node.rotate(to: try Self.key(2), next: try Self.hash(3), at: federation.now)
        let keys = try #require(Self.stored(effects))
        #expect(keys.present == (try Self.key(2).publicKey))
        #expect(keys.commitment == KeyCommitment(next: try Self.hash(3), recovery: try Self.hash(100)))
    }

    @Test("a replacement stores what its revocation promises in one change; the recovery key stays if it names none")
    func replacement() throws {
        for renewed in [nil, try Self.hash(101)] {
            let (federation, alpha) = try Self.alone()
            let successor = try Self.key(5)
            let revocation = KeyRevocation(
                issuer: alpha.id, number: 1,
                replacement: .init(
                    key: successor.publicKey, commitment: KeyCommitment(next: try Self.hash(6), recovery: renewed)),
                issuedAt: federation.now.timestamp
            ).issue(by: try Self.key(100))
            let effects = try alpha.node.replace(by: revocation, with: successor, at: federation.now)
            let promised = KeyCommitment(next: try Self.hash(6), recovery: try renewed ?? Self.hash(100))
            #expect(
                Self.stored(effects)
                    == OwnKeys(revocation: revocation, present: successor.publicKey, commitment: promised))
            #expect(alpha.node.commitment == promised)
        }
    }

    @Test("keys are replaced only by a new revocation of this server, for this key, under its recovery key")
    func notReplaced() throws {
        let successor = try Self.key(5).publicKey
        func revocation(
            of server: String = "alpha", by owner: UInt8 = 100, _ number: UInt64 = 2, to key: PublicKey?
        ) throws -> String {
            let seed = [UInt8](repeating: owner, count: 32)
            let signer = try ServerIdentity(id: ServerID(unchecked: server), seed: seed)
            return KeyRevocation(
                issuer: signer.id, number: number, replacement: key.map { .init(key: $0, commitment: KeyCommitment()) },
                issuedAt: TestFederation.start
            ).issue(by: signer)
        }
        func replaced(by compact: String, after last: String? = nil, present: PublicKey? = nil) throws -> OwnKeys? {
            OwnKeys(
                replacedBy: compact, after: last.map { OwnKeys(revocation: $0, present: present) },
                of: ServerID(unchecked: "alpha"), with: successor,
                recovery: try Self.hash(100))
        }
        #expect(try replaced(by: try revocation(to: successor)) != nil)
        for compact in [
            try revocation(of: "beta", to: successor), try revocation(by: 99, to: successor), try revocation(to: nil),
            try revocation(to: try Self.key(6).publicKey), "a.b.c",
        ] { #expect(try replaced(by: compact) == nil) }
        // One that was taken before a later one would bring a key back that is void.
        for (last, isNew) in [(1, true), (2, false), (3, false)] as [(UInt64, Bool)] {
            let taken = try revocation(last, to: try Self.key(6).publicKey)
            #expect(try (replaced(by: try revocation(to: successor), after: taken) != nil) == isNew)
        }
        // The last one itself, where the files have not followed the store; not once that key was rotated away from.
        let last = try revocation(to: successor)
        #expect(try replaced(by: last, after: last, present: successor) != nil)
        #expect(try replaced(by: last, after: last, present: try Self.key(6).publicKey) == nil)
    }

    @Test("a restart goes by what was stored, whatever the configuration says")
    func restart() throws {
        let (federation, alpha) = try Self.alone()
        let stored = KeyCommitment(next: try Self.hash(7), recovery: try Self.hash(100))
        federation.crash(alpha)
        var state = alpha.store.state
        state.ownKeys.commitment = stored
        alpha.store = StoreTables(state)
        try federation.restart(alpha)
        try federation.settle()
        #expect(alpha.node.commitment == stored)
        #expect(alpha.signedCard?.card.commitment == stored)
        #expect(throws: Refusal.self) {
            try alpha.node.rotate(to: try Self.key(2), next: nil, at: federation.now)
        }
    }
}
