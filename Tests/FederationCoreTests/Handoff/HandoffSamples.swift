import FederationCrypto
import FederationModel

@testable import FederationCore

/// A source and a destination that trust each other, one player, and what they would say to each other.
struct HandoffSamples: Sendable {
    let source: ServerIdentity
    let destination: ServerIdentity
    /// The source as the destination knows it, and the other way round.
    let verifiedSource: VerifiedPeer
    let verifiedDestination: VerifiedPeer

    static let shared = HandoffSamples()

    private init() {
        do {
            let federation = try TestFederation(["source", "target"])
            let (source, destination) = (federation.node("source"), federation.node("target"))
            try federation.connect(source, destination)
            guard let verifiedSource = destination.node.verifiedPeer(source.id, at: federation.now),
                let verifiedDestination = source.node.verifiedPeer(destination.id, at: federation.now)
            else { preconditionFailure("the handshake makes proofs") }
            self.source = source.identity
            self.destination = destination.identity
            self.verifiedSource = verifiedSource
            self.verifiedDestination = verifiedDestination
        } catch {
            preconditionFailure("two nodes connect: \(error)")
        }
    }

    static let player = PlayerID(name: PlayerName(unchecked: "ada"), home: ServerID(unchecked: "source"))
    static let world = WorldID(unchecked: "target")
    static let portal = PortalID(unchecked: "gate")
    static let snapshot = Array("a lamp and 3 coins".utf8)

    /// The moment at which everything happens unless a test says otherwise.
    static let now = at(.zero)

    static func at(_ later: Duration) -> Now {
        Now(instant: Instant(nanoseconds: 1_000) + later, timestamp: TestFederation.start + later)
    }

    static func id(_ number: UInt8) -> HandoffID {
        guard let id = HandoffID(bytes: [UInt8](repeating: number, count: 16)) else {
            preconditionFailure("16 bytes are an id")
        }
        return id
    }

    /// What the source prepares.
    func record(
        _ number: UInt8 = 1, player: PlayerID = player, epoch: Epoch = Epoch(2), snapshot: [UInt8] = snapshot,
        hash: ContentHash? = nil, openedAt: Duration = .zero
    ) -> HandoffRecord {
        HandoffRecord(
            id: Self.id(number), role: .source, player: player, peer: destination.id, portal: Self.portal,
            world: Self.world, spawn: nil, epoch: epoch, revision: 7, snapshotHash: hash ?? ContentHash.of(snapshot),
            snapshot: snapshot, clientKey: nil, state: .prepared, openedAt: Self.at(openedAt).timestamp,
            changedAt: Self.at(openedAt).timestamp)
    }

    func token(
        _ number: UInt8 = 1, player: PlayerID = player, audience: ServerID? = nil, world: WorldID = world,
        epoch: Epoch = Epoch(2), snapshot: [UInt8] = snapshot, issuedAt: Duration = .zero, decision: UInt64? = 1,
        clientKey: PublicKey? = nil
    ) -> SessionToken {
        let issued = Self.at(issuedAt).timestamp
        return SessionToken(
            issuer: source.id, player: player, audience: audience ?? destination.id, handoff: Self.id(number),
            issuedAt: issued, notBefore: issued, expiresAt: issued + Limits.tokenLifetime, world: world,
            portal: Self.portal, epoch: epoch, snapshot: ContentHash.of(snapshot), revision: 7, decision: decision,
            clientKey: clientKey)
    }

    /// What the destination has received and checked.
    func envelope(
        _ number: UInt8 = 1, player: PlayerID = player, world: WorldID = world, epoch: Epoch = Epoch(2),
        snapshot: [UInt8] = snapshot
    ) throws -> SessionHandoffEnvelope {
        let token = token(number, player: player, world: world, epoch: epoch, snapshot: snapshot)
        return try SessionHandoffEnvelope(
            receiving: token.issue(by: source), snapshot: snapshot, handoff: Self.id(number), from: verifiedSource,
            audience: destination.id, at: Self.now.timestamp)
    }

    func receipt(
        _ number: UInt8 = 1, player: PlayerID = player, epoch: Epoch = Epoch(2), issuer: ServerID? = nil
    ) -> AdmissionReceipt {
        AdmissionReceipt(
            issuer: issuer ?? destination.id, audience: source.id, handoff: Self.id(number), player: player,
            epoch: epoch, issuedAt: Self.now.timestamp)
    }
}

extension HandoffLedger.Failure {
    /// The case's own name, and the state where it tells one.
    var label: String {
        switch self {
        case .notFound: "notFound"
        case .invalidState(_, let state): "invalidState(\(state.rawValue))"
        case .wrongPeer: "wrongPeer"
        case .alreadyOpen: "alreadyOpen"
        case .unconfirmed: "unconfirmed"
        case .staleEpoch: "staleEpoch"
        case .playerMismatch: "playerMismatch"
        case .snapshotTooLarge: "snapshotTooLarge"
        case .snapshotHashMismatch: "snapshotHashMismatch"
        case .sameWorld: "sameWorld"
        case .replayed: "replayed"
        case .timeout: "timeout"
        case .full: "full"
        case .undecided: "undecided"
        case .invalidReceipt: "invalidReceipt"
        case .token: "token"
        }
    }
}
