public import FederationModel

/// The newest token by which one server has handed one player to this one. It outlives the handoff and the player's stay,
/// because it is the proof of what the other server has decided: one that was restored from a backup is shown it.
public struct Passage: Hashable, Sendable {
    /// The server that decided.
    public let origin: ServerID
    public let player: PlayerID
    /// Which of its decisions towards this server it was; see ``SessionToken/decision``.
    public let decision: UInt64
    /// The token, in its signed form.
    public let token: String

    public init(origin: ServerID, player: PlayerID, decision: UInt64, token: String) {
        self.origin = origin
        self.player = player
        self.decision = decision
        self.token = token
    }
}
