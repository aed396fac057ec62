import FederationModel

/// Who follows which player's crossings. A follower that does not keep up loses its oldest updates, never the newest.
struct Subscribers {
    /// By whose signatures a client was let in, and after how many revocations of each of those servers' keys.
    struct Voucher: Hashable, Sendable {
        fileprivate let revocations: [ServerID: Int]
    }

    private struct Follower {
        let updates: AsyncStream<PlayerUpdate>.Continuation
        /// nil for who is no client.
        let voucher: Voucher?
    }

    private var revocations: [ServerID: Int] = [:]
    private var streams: [PlayerID: [UInt64: Follower]] = [:]
    private var next: UInt64 = 0

    /// Updates that wait for one follower.
    private static let buffered = 256
    /// Followers of one player: their client, their world, and a few who look on.
    private static let perPlayer = 16

    /// nil when too many follow this player already.
    ///
    /// - Parameter voucher: of a client; the servers are this one and the source of a crossing, or one of them.
    mutating func subscribe(
        _ player: PlayerID, vouchedBy voucher: Voucher?, onEnd: @escaping @Sendable (UInt64) -> Void
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

    /// For a client whose credential is verified now.
    func voucher(of servers: ServerID...) -> Voucher {
        Voucher(
            revocations: Dictionary(
                servers.map { ($0, revocations[$0, default: 0]) }, uniquingKeysWith: { old, _ in old }))
    }

    /// Whose keys were revoked since, if anybody's.
    func revoked(since voucher: Voucher) -> ServerID? {
        voucher.revocations.filter { revocations[$0.key, default: 0] != $0.value }.keys.min()
    }

    /// The keys of a server are void: whoever was let in by its signature is told nothing more but that.
    mutating func revoke(vouchedBy server: ServerID) {
        revocations[server, default: 0] += 1
        end(.revoked(server, isDead: false)) { $0.revocations[server] != nil }
    }

    /// This server's id is dead: no client is let in here any more.
    mutating func revokeAll(because server: ServerID) {
        end(.revoked(server, isDead: true)) { _ in true }
    }

    /// Ends clients by what let them in, with a last word.
    private mutating func end(_ last: PlayerUpdate, where isMeant: (Voucher) -> Bool) {
        for (player, followers) in streams {
            for (token, follower) in followers where follower.voucher.map(isMeant) == true {
                follower.updates.yield(last)
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
