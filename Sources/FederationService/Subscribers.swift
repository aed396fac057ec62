import FederationModel

/// Who follows which player's crossings. A follower that does not keep up loses its oldest updates, never the newest.
struct Subscribers {
    private struct Follower {
        let updates: AsyncStream<PlayerUpdate>.Continuation
        /// Whose signature has let a client in; nil for who is no client.
        let voucher: ServerID?
    }

    private var streams: [PlayerID: [UInt64: Follower]] = [:]
    private var next: UInt64 = 0

    /// Updates that wait for one follower.
    private static let buffered = 256
    /// Followers of one player: their client, their world, and a few who look on.
    private static let perPlayer = 16

    /// nil when too many follow this player already.
    ///
    /// - Parameter voucher: the server whose signature has let the client in, this one or the source of a crossing.
    mutating func subscribe(
        _ player: PlayerID, vouchedBy voucher: ServerID?, onEnd: @escaping @Sendable (UInt64) -> Void
    ) -> AsyncStream<PlayerUpdate>? {
        guard streams[player, default: [:]].count < Self.perPlayer else { return nil }
        next += 1
        let token = next
        let (stream, continuation) = AsyncStream.makeStream(
            of: PlayerUpdate.self, bufferingPolicy: .bufferingNewest(Self.buffered))
        continuation.onTermination = { _ in onEnd(token) }
        streams[player, default: [:]][token] = Follower(updates: continuation, voucher: voucher)
        return stream
    }

    mutating func remove(_ token: UInt64, of player: PlayerID) {
        streams[player]?[token] = nil
        if streams[player]?.isEmpty == true { streams[player] = nil }
    }

    func tell(_ player: PlayerID, _ update: PlayerUpdate) {
        for follower in (streams[player] ?? [:]).values { follower.updates.yield(update) }
    }

    /// The keys of a server are void: whoever was let in by its signature is told nothing more but that.
    mutating func revoke(vouchedBy server: ServerID) {
        for (player, followers) in streams {
            for (token, follower) in followers where follower.voucher == server {
                follower.updates.yield(.revoked(server))
                follower.updates.finish()
                remove(token, of: player)
            }
        }
    }

    mutating func finish() {
        for follower in streams.values.flatMap(\.values) { follower.updates.finish() }
        streams = [:]
    }
}
