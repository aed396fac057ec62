public import FederationModel

/// One message between two servers on an established channel. `federation.proto` is its form on the wire; what is out
/// of bounds there never becomes a frame here.
public enum FederationFrame: Hashable, Sendable {
    /// The first frame each way: it proves that the sender holds the channel's keys.
    case ready(Ready)
    case heartbeat(Heartbeat)
    /// The heartbeat that is answered, unchanged.
    case acknowledgement(Heartbeat)
    case worldRequest(WorldRequest)
    case worldResponse(WorldResponse)
    case assetRequest(AssetRequest)
    case assetResponse(AssetResponse)
    case offer(HandoffOffer)
    case accept(HandoffID)
    case reject(HandoffRejection)
    case commit(HandoffCommit)
    case admitted(HandoffAdmitted)
    /// The source tells the destination that a handoff is over without a crossing.
    case abort(HandoffID)
    case query(HandoffID)
    case verdict(HandoffVerdict)
    /// How many handoffs towards the receiver the sender has decided, ever. A receiver that holds tokens with a higher
    /// number answers with them: the sender was restored from a backup.
    case position(UInt64)
    /// Tokens by which the receiver once decided to hand players to the sender; 1 to ``Limits/evidenceTokens``.
    case evidence([String])
    /// The players' home server has taken them back; 1 to ``Limits/recalledPlayers``.
    case recall([RecalledPlayer])
    /// What a server says of its keys, signed by it; whoever sends it.
    case notice(Notice)
    /// Introductions by the sender.
    case introductions(Introductions)
    /// Asks a common peer whether it can reach a server that does not answer here.
    case probe(Probe)
    case probeResult(ProbeResult)

    public struct Ready: Hashable, Sendable {
        public let server: ServerID

        public init(server: ServerID) {
            self.server = server
        }
    }

    public struct Heartbeat: Hashable, Sendable {
        /// Counts up from 1 on each channel.
        public let sequence: UInt64
        /// The sender's wall clock.
        public let sentAt: Timestamp

        public init(sequence: UInt64, sentAt: Timestamp) {
            self.sequence = sequence
            self.sentAt = sentAt
        }
    }

    /// Asks which manifest a world has now.
    public struct WorldRequest: Hashable, Sendable {
        /// Chosen by the asker; comes back in the answer.
        public let request: UInt64
        public let world: WorldID

        public init(request: UInt64, world: WorldID) {
            self.request = request
            self.world = world
        }
    }

    public struct WorldResponse: Hashable, Sendable {
        public enum Answer: Hashable, Sendable {
            /// The manifest is an asset with this hash and size.
            case manifest(ContentHash, size: Int64)
            /// A refusal code such as `world.unknown`.
            case refused(String)
        }

        public let request: UInt64
        public let answer: Answer

        public init(request: UInt64, answer: Answer) {
            self.request = request
            self.answer = answer
        }
    }

    /// Asks for a range of an asset.
    public struct AssetRequest: Hashable, Sendable {
        public let request: UInt64
        public let hash: ContentHash
        /// In bytes from the start; not negative.
        public let offset: Int64
        /// 1 to ``Limits/assetChunkBytes``.
        public let length: Int

        public init(request: UInt64, hash: ContentHash, offset: Int64, length: Int) {
            self.request = request
            self.hash = hash
            self.offset = offset
            self.length = length
        }
    }

    public struct AssetResponse: Hashable, Sendable {
        public enum Answer: Hashable, Sendable {
            /// The bytes at the offset that was asked for; fewer only at the end of the asset.
            case chunk([UInt8])
            /// A refusal code such as `asset.unknown`.
            case refused(String)
        }

        public let request: UInt64
        public let answer: Answer

        public init(request: UInt64, answer: Answer) {
            self.request = request
            self.answer = answer
        }
    }

    /// A player is offered: the token says who, whither and in which epoch; the snapshot is the player's state.
    public struct HandoffOffer: Hashable, Sendable {
        public let handoff: HandoffID
        /// A compact JWS, at most ``Limits/jwsBytes``.
        public let token: String
        /// Opaque; at most ``Limits/snapshotBytes``.
        public let snapshot: [UInt8]

        public init(handoff: HandoffID, token: String, snapshot: [UInt8]) {
            self.handoff = handoff
            self.token = token
            self.snapshot = snapshot
        }
    }

    public struct HandoffRejection: Hashable, Sendable {
        public let handoff: HandoffID
        /// Stable and dotted: `world.full`; at most ``Limits/identifierBytes``.
        public let code: String
        /// For people; at most ``Limits/nameBytes`` bytes.
        public let reason: String

        public init(handoff: HandoffID, code: String, reason: String) {
            self.handoff = handoff
            self.code = code
            self.reason = reason
        }
    }

    /// The decision. The token is a fresh one for the same handoff, valid from the decision on.
    public struct HandoffCommit: Hashable, Sendable {
        public let handoff: HandoffID
        public let token: String

        public init(handoff: HandoffID, token: String) {
            self.handoff = handoff
            self.token = token
        }
    }

    public struct HandoffAdmitted: Hashable, Sendable {
        public let handoff: HandoffID
        /// The destination's signed statement that it has the player: a compact JWS.
        public let receipt: String

        public init(handoff: HandoffID, receipt: String) {
            self.handoff = handoff
            self.receipt = receipt
        }
    }

    /// The source's answer to a query.
    public struct HandoffVerdict: Hashable, Sendable {
        public enum Decision: Hashable, Sendable {
            /// Not decided yet: keep the reservation and ask again.
            case undecided
            /// Decided: admit; the token is fresh.
            case committed(token: String)
            /// Over, or never heard of (presumed abort): forget the reservation.
            case aborted
        }

        public let handoff: HandoffID
        public let decision: Decision

        public init(handoff: HandoffID, decision: Decision) {
            self.handoff = handoff
            self.decision = decision
        }
    }

    /// A compact JWS, at most ``Limits/jwsBytes``.
    public enum Notice: Hashable, Sendable {
        case card(String)
        case revocation(String)
    }

    public struct Probe: Hashable, Sendable {
        /// Chosen by the asker; comes back in the answer.
        public let request: UInt64
        public let server: ServerID

        public init(request: UInt64, server: ServerID) {
            self.request = request
            self.server = server
        }
    }

    public struct ProbeResult: Hashable, Sendable {
        public let request: UInt64
        /// Whether the server has answered the asked one within its own interval of heartbeats.
        public let reached: Bool

        public init(request: UInt64, reached: Bool) {
            self.request = request
            self.reached = reached
        }
    }

    /// A player whose home server goes on with a higher epoch: copies with a lower one are void.
    public struct RecalledPlayer: Hashable, Sendable {
        public let player: PlayerID
        public let epoch: Epoch

        public init(player: PlayerID, epoch: Epoch) {
            self.player = player
            self.epoch = epoch
        }
    }
}
