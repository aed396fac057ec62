public import FederationModel
public import FederationWire

/// What the node asks of its surroundings. Effects are carried out in order; a `persist` is durable before anything after
/// it leaves the process.
public enum Effect: Sendable {
    case persist([StoreChange])
    case send(FederationFrame, on: ChannelID)
    case close(ChannelID, CloseCode)
    /// Keep a channel to this server open.
    case dial(ServerID, Endpoint)
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
        /// Seen from the destination: a place is kept.
        case reserved
        /// Seen from the destination: the player is here.
        case admitted
        /// Seen from the destination: the source called it off.
        case withdrawn
    }

    public let handoff: HandoffID
    public let player: PlayerID
    public let kind: Kind

    public init(handoff: HandoffID, player: PlayerID, kind: Kind) {
        self.handoff = handoff
        self.player = player
        self.kind = kind
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
}
