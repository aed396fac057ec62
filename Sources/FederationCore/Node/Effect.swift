public import FederationModel
public import FederationWire

/// What the node asks of its surroundings. Effects are carried out in order; a `persist` is durable before anything after
/// it leaves the process.
public enum Effect: Sendable {
    case persist([StoreChange])
    case send(FederationFrame, on: ChannelID)
    case close(ChannelID, CloseCode)
    /// Keep a channel to this server open, at the first of these addresses that answers.
    case dial(ServerID, [Endpoint])
    /// Fetch the server's card from one of these addresses and hand it to ``FederationNode/register(_:from:at:)``: its key is another
    /// than the one known, peers have introduced it, or its card names new addresses. Where ``FederationNode/unproven(_:)`` names
    /// others than the one where it was found, each of them must answer, too; else it is for ``FederationNode/follow(_:at:)``.
    case fetchCard(ServerID, [Endpoint])
    /// End the pause before the next dial, once: the server has said that it is back.
    case dialNow(ServerID)
    case hangUp(ServerID)
    /// A peer asks for part of an asset or for a world; the answer is sent back on the channel.
    case serveAsset(FederationFrame.AssetRequest, on: ChannelID)
    /// A peer answered one of our requests.
    case assetAnswered(FederationFrame.AssetResponse, from: ServerID)
    case worldAnswered(FederationFrame.WorldResponse, from: ServerID)
    /// Something that a player's client, a world server or a progress view wants to know.
    case notify(CrossingEvent)
    /// Something for logs and metrics.
    case report(NodeEvent)
}

/// What happened to one crossing, as it is told to the player and to the world.
public struct CrossingEvent: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// The player is frozen and offered.
        case offered
        /// Decided: the client connects to `endpoint` and shows `token`.
        case committed(endpoint: Endpoint, token: String)
        /// The destination has the player.
        case completed
        /// Nothing crossed; the player goes on at home.
        case returned(Refusal)
        /// Decided, and void since: the player's home server has taken the player back. Nothing crosses, and the player
        /// does not go on here.
        case voided(Refusal)
        /// Seen from the destination: the player stands before the door, and the world has a say in it.
        case arriving(Arrival)
        /// Seen from the destination: the world did not let the player in.
        case turnedAway(Refusal)
        /// Seen from the destination: a place is kept.
        case reserved
        /// Seen from the destination: the player is here.
        case admitted
        /// Seen from the destination: the source called it off.
        case withdrawn
        /// The player, who was thought to be here, is not: the home server took them back, or they had left before this
        /// server was restored from a backup.
        case withdrawnHere
    }

    /// nil when it is not about a crossing.
    public let handoff: HandoffID?
    public let player: PlayerID
    public let kind: Kind

    public init(handoff: HandoffID?, player: PlayerID, kind: Kind) {
        self.handoff = handoff
        self.player = player
        self.kind = kind
    }
}

/// A player who stands before the door of a world that has a say in who enters.
public struct Arrival: Hashable, Sendable {
    public let source: ServerID
    public let world: WorldID
    public let spawn: SpawnPoint?
    /// That would begin with the admission.
    public let epoch: Epoch
    public let revision: UInt64
    /// Bytes of the state that the player brings.
    public let stateBytes: Int

    public init(
        source: ServerID, world: WorldID, spawn: SpawnPoint?, epoch: Epoch, revision: UInt64, stateBytes: Int
    ) {
        self.source = source
        self.world = world
        self.spawn = spawn
        self.epoch = epoch
        self.revision = revision
        self.stateBytes = stateBytes
    }
}

/// What happened, for logs and metrics. Carries no secrets and no player state.
public enum NodeEvent: Hashable, Sendable {
    case channelEstablished(ServerID, ChannelDirection)
    case channelClosed(ServerID)
    case healthChanged(ServerID, from: HealthStatus, to: HealthStatus, failures: Int)
    case roundTrip(ServerID, Duration)
    case handoffMoved(HandoffID, HandoffRole, HandoffState)
    /// A peer's frame was dropped or answered with a refusal.
    case refusedFrame(ServerID, code: String)
    case lateObservation(ServerID)
    /// A peer knows less of its own decisions than this server: it was restored from a backup, and is told.
    case rolledBack(ServerID, decisions: Int)
    /// This server was restored from a backup and has learned from a peer that the player had left.
    case relearned(PlayerID, on: ServerID, Epoch)
    /// This server has taken one of its players back.
    case reclaimed(PlayerID, Epoch)
    /// A peer refuses a decision of this server because this server has taken the player back, of which it knows nothing: it
    /// was restored from a backup. The player is nowhere until the operator takes them back again.
    case reclaimForgotten(PlayerID, ServerID)
    /// A player's home server has taken the player back from this one.
    case recalled(PlayerID, Epoch)
    /// A common peer reaches a server that this one does not.
    case vouched(ServerID, by: ServerID)
    /// A server has gone over to the key that it had committed to.
    case keyRotated(ServerID, to: PublicKey)
    /// A server's owner has made its keys void; nil when none follows.
    case keyRevoked(ServerID, replacement: PublicKey?)
    /// A card or a revocation that came over a channel was refused.
    case noticeRefused(ServerID, code: String)
    /// A server has signed two cards that contradict each other.
    case equivocated(ServerID)
    /// The policy trusts a server that the operator has not pinned, or trusts it for another reason than before.
    case trustGiven(ServerID, TrustSource)
    /// A server is trusted no more, by this rule of the policy.
    case trustEnded(ServerID, code: String)
    /// Peers whose word counts name different keys for a server.
    case introductionsContradict(ServerID)
}
