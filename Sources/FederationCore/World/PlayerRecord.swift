public import FederationModel

/// A player as one server knows them. One record per player; it outlives the player's stay, because its epoch must.
public struct PlayerRecord: Hashable, Sendable {
    /// Where the player is, seen from this server.
    public enum Presence: Hashable, Sendable {
        /// In a world here; state may change.
        case playable
        /// In a world here, frozen while the handoff is undecided.
        case departing(HandoffID)
        /// Handed to another server.
        case departed(to: ServerID, HandoffID)
        /// Taken back by the home server, which had given this one up; what was here is void.
        case recalled
        /// Not playing; this server keeps the player, who may enter again here.
        case left
    }

    public let player: PlayerID
    /// The world here that the player is in, or was in last. Of a player who had left before this server was restored from a
    /// backup that does not know them it is the world to which they went.
    public var world: WorldID
    public var presence: Presence
    public var epoch: Epoch
    /// +1 with every change of the state.
    public var revision: UInt64
    /// Opaque to the federation. Once the player has departed it is empty, unless this is the player's home, which keeps the
    /// last state it knows, for the case that the player must be reclaimed.
    public var state: [UInt8]
    /// Where the player arrived, until the world takes over.
    public var spawn: SpawnPoint?
    /// The key that the player's client proves it holds, if it has one.
    public var clientKey: PublicKey?

    public init(
        player: PlayerID, world: WorldID, presence: Presence, epoch: Epoch, revision: UInt64, state: [UInt8],
        spawn: SpawnPoint? = nil, clientKey: PublicKey? = nil
    ) {
        self.player = player
        self.world = world
        self.presence = presence
        self.epoch = epoch
        self.revision = revision
        self.state = state
        self.spawn = spawn
        self.clientKey = clientKey
    }

    /// Whether the player is in a world here, frozen or not.
    public var isHere: Bool {
        switch presence {
        case .playable, .departing: true
        case .departed, .recalled, .left: false
        }
    }
}
