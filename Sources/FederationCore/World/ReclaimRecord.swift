public import FederationModel

/// That this server, a player's home, took the player back from a server that was given up for lost. Kept for ever: it is
/// the audit of the act, and what the other server is told when it comes back after all.
public struct ReclaimRecord: Hashable, Sendable, Codable {
    public let player: PlayerID
    /// Where the player was, as far as this server knew.
    public let server: ServerID
    /// The epoch that the other server's copy may have had at least.
    public let voided: Epoch
    /// The epoch from which this server goes on.
    public let epoch: Epoch
    /// Why, in the operator's words: at most ``Limits/nameBytes`` printable bytes.
    public let reason: String
    public let at: Timestamp

    public init(
        player: PlayerID, server: ServerID, voided: Epoch, epoch: Epoch, reason: String, at: Timestamp
    ) {
        self.player = player
        self.server = server
        self.voided = voided
        self.epoch = epoch
        self.reason = reason
        self.at = at
    }
}
