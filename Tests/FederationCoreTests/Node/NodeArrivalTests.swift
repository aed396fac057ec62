import Crypto
import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// Whom a destination lets in, and which clients.
@Suite("FederationNode, arrivals")
struct NodeArrivalTests {
    private static let ada = PromiseTests.ada

    /// Why an offer is refused.
    enum Reason: String, Sendable, CaseIterable {
        case unknownWorld = "world.unknown"
        case unknownAtHome = "player.unknown"
        case present = "player.present"
        case staleEpoch = "handoff.staleEpoch"
        case alreadyOpen = "handoff.alreadyOpen"
        case snapshotHash = "handoff.snapshotHashMismatch"
        case otherHandoff = "handoff.playerMismatch"
        case expired = "token.expired"
        case notYetValid = "token.notYetValid"
        case wrongAudience = "token.wrongAudience"
        case badSignature = "token.badSignature"
        case malformed = "token.malformed"
        case full = "player.full"
    }

    @Test("what is refused leaves nothing behind, and the answer fits into a frame", arguments: Reason.allCases)
    func refusals(_ reason: Reason) throws {
        let federation = try TestFederation(["alpha", "beta"])
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        if reason == .full { try Self.fill(beta, at: federation.now) }
        try federation.connectAll()
        try federation.settle()
        if reason == .present || reason == .staleEpoch {
            try Self.visit(federation, alpha, beta, staying: reason == .present)
        }
        let channel = try #require(beta.channel(to: alpha))
        if reason == .alreadyOpen {
            let first = try Self.offer(.alreadyOpen, number: 8, from: alpha, to: beta.id, at: federation.now)
            #expect(beta.node.receive(first, on: channel, at: federation.now).labels.last == "send accept")
        }
        let open = beta.node.ledger.openCount
        let offer = try Self.offer(reason, number: 9, from: alpha, to: beta.id, at: federation.now)
        let effects = beta.node.receive(offer, on: channel, at: federation.now)
        #expect(effects.labels == ["report refused \(reason.rawValue)", "send reject \(reason.rawValue)"])
        for frame in effects.frames { #expect(throws: Never.self) { try FrameCodec.encode(frame) } }
        #expect(beta.node.ledger.openCount == open)
        #expect(beta.node.ledger.record(HandoffSamples.id(9)) == nil)
    }

    /// Players whose states fill what may be held.
    private static func fill(_ node: TestNode, at now: Now) throws {
        let state = [UInt8](repeating: 0, count: Limits.snapshotBytes)
        for number in 0..<1_024 {
            let player = PlayerID(name: PlayerName(unchecked: "p\(number)"), home: node.id)
            node.store.apply([
                .putPlayer(
                    PlayerRecord(
                        player: player, world: TestFederation.worldID(of: node.id), presence: .playable, epoch: .first,
                        revision: 1, state: state))
            ])
        }
        try node.restart(at: now)
    }

    /// The player goes to beta, and home again unless they stay.
    private static func visit(
        _ federation: TestFederation, _ alpha: TestNode, _ beta: TestNode, staying: Bool
    ) throws {
        try federation.enter(ada, at: alpha)
        try federation.depart(ada, from: alpha, to: beta.id)
        try federation.settle()
        if staying { return }
        try federation.depart(ada, from: beta, to: alpha.id)
        try federation.settle()
    }

    private static func offer(
        _ reason: Reason, number: UInt8, from alpha: TestNode, to beta: ServerID, at now: Now
    ) throws -> FederationFrame {
        let snapshot: [UInt8] = [1, 2, 3]
        var issued = now.timestamp
        if reason == .expired { issued = issued + .seconds(-120) }
        if reason == .notYetValid { issued = issued + .seconds(120) }
        let isSettler = reason == .unknownAtHome
        let token = SessionToken(
            issuer: alpha.id, player: isSettler ? PlayerID(name: PlayerName(unchecked: "zoe"), home: beta) : ada,
            audience: reason == .wrongAudience ? alpha.id : beta,
            handoff: HandoffSamples.id(reason == .otherHandoff ? 3 : number), issuedAt: issued, notBefore: issued,
            expiresAt: issued + Limits.tokenLifetime,
            world: reason == .unknownWorld ? WorldID(unchecked: "nowhere") : TestFederation.worldID(of: beta),
            portal: TestFederation.portal(to: beta), epoch: reason == .present ? Epoch(9) : Epoch(2),
            snapshot: ContentHash.of(reason == .snapshotHash ? [] : snapshot), revision: 1)
        let forger = try ServerIdentity(id: alpha.id, seed: [UInt8](repeating: 99, count: 32))
        let compact =
            switch reason {
            case .malformed: "a.b.c"
            case .badSignature: token.issue(by: forger)
            default: token.issue(by: alpha.identity)
            }
        return .offer(
            FederationFrame.HandoffOffer(handoff: HandoffSamples.id(number), token: compact, snapshot: snapshot))
    }

    // MARK: Clients

    /// A player whose client has a key is at beta; the token as their client got it.
    private static func arrived(key: PublicKey?) throws -> (TestFederation, beta: TestNode, token: String, HandoffID) {
        let federation = try TestFederation(["alpha", "beta"])
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        let (_, effects) = try alpha.node.enter(
            ada, world: TestFederation.worldID(of: alpha.id), state: [1], clientKey: key, epoch: nil)
        alpha.enqueue(effects)
        let id = try federation.depart(ada, from: alpha, to: beta.id)
        try federation.settle()
        let token = alpha.told.compactMap { event -> String? in
            if case .committed(_, let token) = event.kind { token } else { nil }
        }
        return (federation, beta, try #require(token.first), id)
    }

    @Test("a client without a key shows its token, once")
    func redeem() throws {
        let (federation, beta, token, _) = try Self.arrived(key: nil)
        let (record, effects) = try beta.node.redeem(token, proof: nil, challenge: [], at: federation.now)
        #expect(record.player == Self.ada && record.presence == .playable && record.epoch == Epoch(2))
        #expect(effects.labels == ["persist redeemed"])
        #expect(
            Self.code { try beta.node.redeem(token, proof: nil, challenge: [], at: federation.now).1 }
                == "handoff.replayed")
    }

    @Test("a token that is bound to a key needs that key's signature over this connection's challenge")
    func proof() throws {
        let key = Curve25519.Signing.PrivateKey()
        let (federation, beta, token, id) = try Self.arrived(
            key: PublicKey(bytes: Array(key.publicKey.rawRepresentation)))
        let challenge = [UInt8](repeating: 5, count: ClientProof.challengeBytes)
        func sign(_ challenge: [UInt8], _ handoff: HandoffID, _ key: Curve25519.Signing.PrivateKey) throws -> [UInt8] {
            Array(try key.signature(for: ClientProof.signedBytes(challenge: challenge, handoff: handoff)))
        }
        let other = [UInt8](repeating: 6, count: ClientProof.challengeBytes)
        let wrong: [[UInt8]?] = [
            nil, [], try sign(other, id, key), try sign(challenge, HandoffSamples.id(9), key),
            try sign(challenge, id, Curve25519.Signing.PrivateKey()),
        ]
        for proof in wrong {
            #expect(
                Self.code { try beta.node.redeem(token, proof: proof, challenge: challenge, at: federation.now).1 }
                    == "token.unproven")
        }
        let proof = try sign(challenge, id, key)
        #expect(
            try beta.node.redeem(token, proof: proof, challenge: challenge, at: federation.now).1.labels
                == ["persist redeemed"])
        // The answer may have been lost: again, with a proof over the next connection's challenge, and only with it.
        #expect(
            Self.code { try beta.node.redeem(token, proof: proof, challenge: other, at: federation.now).1 }
                == "token.unproven")
        let again = try beta.node.redeem(token, proof: sign(other, id, key), challenge: other, at: federation.now)
        #expect(again.0.player == Self.ada && again.1.isEmpty)
        #expect(beta.node.ledger.record(id)?.redeemedAt != nil)
    }

    @Test("a token is nothing once its player has moved on, and stays unredeemed")
    func gone() throws {
        let (federation, beta, token, id) = try Self.arrived(key: nil)
        try federation.depart(Self.ada, from: beta, to: ServerID(unchecked: "alpha"))
        // Frozen is still here.
        #expect(try beta.node.redeem(token, proof: nil, challenge: [], at: federation.now).0.isHere)
        _ = beta.node.takeBackRedemption(of: id)
        try federation.settle()
        #expect(
            Self.code { try beta.node.redeem(token, proof: nil, challenge: [], at: federation.now).1 } == "player.gone")
        #expect(beta.node.ledger.record(id)?.redeemedAt == nil)
    }

    @Test("a token counts only while its issuer is trusted, and for a minute")
    func trust() throws {
        let (federation, beta, token, _) = try Self.arrived(key: nil)
        federation.advance(by: Limits.tokenLifetime + Limits.tokenLeeway + .seconds(1))
        #expect(
            Self.code { try beta.node.redeem(token, proof: nil, challenge: [], at: federation.now).1 }
                == "token.expired")
        _ = try beta.node.suspend(ServerID(unchecked: "alpha"), reason: "", at: federation.now)
        #expect(
            Self.code { try beta.node.redeem(token, proof: nil, challenge: [], at: federation.now).1 }
                == "token.untrustedIssuer")
        #expect(
            Self.code { try beta.node.redeem("nonsense", proof: nil, challenge: [], at: federation.now).1 }
                == "token.malformed")
    }

    @Test("a redemption that was not told to anybody is taken back, and the token may be shown again")
    func takeBack() throws {
        let (federation, beta, token, id) = try Self.arrived(key: nil)
        #expect(beta.node.takeBackRedemption(of: id).labels == [])
        _ = try beta.node.redeem(token, proof: nil, challenge: [], at: federation.now)
        #expect(beta.node.takeBackRedemption(of: id).labels == ["persist admitted"])
        #expect(
            try beta.node.redeem(token, proof: nil, challenge: [], at: federation.now).1.labels == ["persist redeemed"])
    }

    @Test("a source gives fresh tokens for what it has decided, and for nothing else")
    func redirects() throws {
        let (federation, beta, _, id) = try Self.arrived(key: nil)
        let alpha = federation.node("alpha")
        federation.advance(by: .seconds(3_600))
        let offered = alpha.node.redirectToken(for: id, at: federation.now)
        let redirect = try #require(offered)
        #expect(redirect.endpoint == TableSamples.endpoint("ws://beta.example"))
        #expect(
            try beta.node.redeem(redirect.token, proof: nil, challenge: [], at: federation.now).0.player == Self.ada)
        #expect(alpha.node.redirectToken(for: HandoffSamples.id(99), at: federation.now) == nil)
        #expect(beta.node.redirectToken(for: id, at: federation.now) == nil)
    }

    private static func code(_ body: () throws -> [Effect]) -> String? {
        do {
            _ = try body()
            return nil
        } catch let refusal as Refusal {
            return refusal.code
        } catch {
            return "\(error)"
        }
    }
}
