public import FederationCore
public import FederationModel

/// How one crossing goes, as the player, the operator and the world see it.
public struct Crossing: Sendable {
    /// The outcome of one step.
    public struct Step: Hashable, Sendable, Codable {
        public let step: CrossingStep
        public let ok: Bool
        /// What was checked, in one line.
        public let detail: String
        public let milliseconds: Double

        public init(step: CrossingStep, ok: Bool, detail: String, milliseconds: Double) {
            self.step = step
            self.ok = ok
            self.detail = detail
            self.milliseconds = milliseconds
        }
    }

    /// How far it is. `verifying` comes before the ledger knows of it; the rest are the ledger's states.
    public enum Phase: String, Hashable, Sendable, Codable, CaseIterable {
        case verifying
        case prepared
        case reserved
        case committed
        case admitted
        case completed
        case aborted
    }

    public let id: HandoffID
    public let role: HandoffRole
    public let player: PlayerID
    public let portal: PortalID
    /// The server at the other end.
    public let peer: ServerID
    /// The world at the destination.
    public let world: WorldID
    public var phase: Phase
    public var steps: [Step]
    /// Why it was refused.
    public var refusal: Refusal?
    public let openedAt: Timestamp
    public var changedAt: Timestamp
    /// The player's epoch once it is committed; nil while verifying.
    public var epoch: Epoch?
    /// The destination's signed receipt.
    public var receipt: String?
    /// Where the client goes, once it is committed, with a fresh token. Only in answers to who may see it.
    public var redirect: Redirect?

    public struct Redirect: Hashable, Sendable, Codable {
        public let endpoint: Endpoint
        public let token: String

        public init(endpoint: Endpoint, token: String) {
            self.endpoint = endpoint
            self.token = token
        }
    }
}

extension Crossing {
    /// A crossing as the ledger remembers it, without its steps.
    init(_ record: HandoffRecord) {
        id = record.id
        role = record.role
        player = record.player
        portal = record.portal
        peer = record.peer
        world = record.world
        phase = Phase(record.state)
        steps = []
        refusal = record.abortCode.map {
            Refusal(
                .conflict, code: $0, reason: record.abortReason ?? $0, remedy: "the player goes on at the source",
                step: .handoff)
        }
        openedAt = record.openedAt
        changedAt = record.changedAt
        epoch = record.epoch
        receipt = record.receipt
    }
}

extension Crossing.Phase {
    init(_ state: HandoffState) {
        switch state {
        case .prepared: self = .prepared
        case .reserved: self = .reserved
        case .committed: self = .committed
        case .admitted: self = .admitted
        case .completed: self = .completed
        case .aborted: self = .aborted
        }
    }

    /// The ledger's state, if the ledger knows of it.
    var ledgerState: HandoffState? { HandoffState(rawValue: rawValue) }
}

/// What a player's client is told on its socket.
public enum PlayerUpdate: Sendable {
    /// A step of a crossing is done.
    case progress(HandoffID, Crossing.Step)
    /// Assets of the destination world that are verified so far, of how many, in files.
    case verifying(HandoffID, verified: Int, of: Int)
    /// The player is frozen and offered to the destination.
    case offered(HandoffID)
    /// Decided: connect there and show the token.
    case redirect(HandoffID, Crossing.Redirect)
    /// The player goes on here.
    case returned(HandoffID, Refusal)
    /// The destination has the player.
    case completed(HandoffID)
    /// Decided, and void since: the player's home server has taken the player back. The player is not here.
    case voided(HandoffID, Refusal)
    /// Seen from the destination: the player is here, and the client may show its token.
    case admitted(HandoffID)
    /// Seen from the destination: the source called it off.
    case withdrawn(HandoffID)
    /// The player, who was thought to be here, is not; what this server has of them is void.
    case gone
    /// The owner of a server has revoked the keys by whose signature the client was let in, or this server for good; nothing more
    /// follows.
    case revoked(ServerID, isDead: Bool)
}
