import FederationCore
import FederationCrypto
import FederationModel

/// A peer that every server trusts and that sends what it likes. Only one thing it does not do, because no server could see
/// it: it does not hand the same player to two others, nor invent players of others (THREAT_MODEL.md, "A peer is trusted with players").
final class HostilePeer {
    /// A player whom the hostile peer really has.
    struct Ward {
        var epoch: Epoch
        var revision: UInt64
        var state: [UInt8]
        /// The handoff by which it gives the player back.
        var leaving: Leaving?
        /// The home server has taken the player back: only a decided handoff is still to be brought to its end.
        var isVoid = false
    }

    /// A token by which a server has handed it a player.
    struct Proof {
        let decision: UInt64
        let player: Int
        let token: String
    }

    struct Leaving {
        let handoff: HandoffID
        let destination: Int
        var isCommitted = false
    }

    /// How many handoffs it has decided towards each server.
    var decisions: [Int: UInt64] = [:]

    /// By server: the newest proof for each player, for a server that was restored from a backup.
    var proofs: [Int: [Int: Proof]] = [:]
    /// By player: below which epoch it plays nobody.
    var recalls: [Int: Epoch] = [:]

    /// Names of its own that it offers to anybody, several at once.
    static let ghosts = 256

    let identity: ServerIdentity
    /// With the identity it claims in an imposture, and another key.
    private let impostorSeed: [UInt8]
    var handshakes: HandshakeManager
    var random: SplitMix64
    private var cardSequence: UInt64 = 0
    /// By server: the wire on which it is trusted now.
    var channels: [Int: Int] = [:]
    /// By player.
    var wards: [Int: Ward] = [:]
    /// Offers that it has accepted and that are not decided, by handoff.
    var accepted: [HandoffID: (player: Int, ward: Ward)] = [:]
    /// Bytes of frames that it has sent and received, for repeating them.
    var seen: [[UInt8]] = []
    /// Whom it has offered and decided in its own name, to offer again.
    var ghostFrames: [(server: Int, bytes: [UInt8])] = []
    /// How many strangers' handoffs it still breaks into.
    var ambushes = 0
    /// By wire: dials under another's name.
    var impostures: [Int: Imposture] = [:]

    init(seed: UInt64, index: Int) throws {
        random = SplitMix64(seed: seed, stream: 5)
        identity = try ServerIdentity(id: ServerID(unchecked: "mallory"), seed: random.bytes(32))
        impostorSeed = random.bytes(32)
        handshakes = HandshakeManager(
            identity: identity, configuration: HandshakeConfiguration(suites: [.classicalChaCha20Poly1305]))
    }

    /// Whether it still has to give a player up whom it has promised.
    var isBusy: Bool { wards.values.contains { $0.leaving != nil } || !accepted.isEmpty }

    func card(at now: Timestamp) throws -> String {
        cardSequence += 1
        return ServerCard(
            id: identity.id, name: "Mallory", endpoint: try Simulation.endpoint("mallory"),
            publicKey: identity.publicKey, sequence: cardSequence, worlds: [], issued: now,
            expires: now + .seconds(24 * 3_600)
        ).issue(by: identity)
    }

    /// A card of another server with a key of its own.
    func forgedCard(of server: ServerID, at now: Timestamp) throws -> String {
        let poser = try ServerIdentity(id: server, seed: impostorSeed)
        return ServerCard(
            id: server, name: "Mallory", endpoint: try Simulation.endpoint("mallory"), publicKey: poser.publicKey,
            sequence: 1 << 40, worlds: [], issued: now, expires: now + .seconds(24 * 3_600)
        ).issue(by: poser)
    }

    /// A revocation of another server's keys, in favour of its own.
    func forgedRevocation(of server: ServerID, at now: Timestamp) throws -> String {
        let poser = try ServerIdentity(id: server, seed: impostorSeed)
        return KeyRevocation(
            issuer: server, number: 1 << 20,
            replacement: .init(key: poser.publicKey, commitment: KeyCommitment()), issuedAt: now
        ).issue(by: poser)
    }

    /// Remembers bytes for later.
    func remember(_ bytes: [UInt8]) {
        if seen.count < 64 { seen.append(bytes) } else { seen[random.below(64)] = bytes }
    }

    func newHandoff() throws -> HandoffID {
        guard let id = HandoffID(bytes: random.bytes(16)) else { throw SimulationFailure("sixteen bytes are an id") }
        return id
    }

    /// Begins to dial under another's name.
    func impose(as server: ServerID, over wire: Int) throws {
        let identity = try ServerIdentity(id: server, seed: impostorSeed)
        impostures[wire] = Imposture(identity: identity)
    }
}

/// One dial under another's name.
final class Imposture {
    var handshakes: HandshakeManager

    init(identity: ServerIdentity) {
        handshakes = HandshakeManager(
            identity: identity, configuration: HandshakeConfiguration(suites: [.classicalChaCha20Poly1305]))
    }
}
