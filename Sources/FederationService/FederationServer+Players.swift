public import FederationCore
public import FederationModel

/// All players that this server knows, and taking back those who were lost with another server.
extension FederationServer {
    /// Players in order of id after `cursor`, at most `limit`, wherever they are now.
    public func players(after cursor: PlayerID?, limit: Int) async throws(Refusal) -> [PlayerRecord] {
        let found = node.players.list(after: cursor, limit: limit)
        try await commit([])
        return found
    }

    /// Takes back a player of this server from one that is gone for good; see ``FederationNode/reclaim(_:reason:at:)``.
    ///
    /// - Parameter reason: for the audit: at most ``Limits/nameBytes`` printable bytes.
    /// - Throws: `player.unknown`, `player.notHome`, `player.notAway`, `player.frozen`, `reclaim.reasonInvalid`.
    public func reclaim(_ player: PlayerID, reason: String) async throws(Refusal) -> ReclaimRecord {
        try checkReady()
        let (record, effects) = try node.reclaim(player, reason: reason, at: clock.now())
        try await commit(effects)
        return record
    }

    /// Players that were taken back, in order of id after `cursor`, at most `limit`: the newest act for each.
    public func reclaims(after cursor: PlayerID?, limit: Int) async throws(Refusal) -> [ReclaimRecord] {
        let found = node.reclaims.values.lazy.filter { record in cursor.map { $0 < record.player } ?? true }
            .sorted { $0.player < $1.player }.prefix(max(0, limit))
        try await commit([])
        return Array(found)
    }
}
