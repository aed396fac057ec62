import FederationModel

/// Who follows which player's crossings. A follower that does not keep up loses its oldest updates, never the newest.
struct Subscribers {
    private var streams: [PlayerID: [UInt64: AsyncStream<PlayerUpdate>.Continuation]] = [:]
    private var next: UInt64 = 0

    /// Updates that wait for one follower.
    private static let buffered = 256
    /// Followers of one player: their client, their world, and a few who look on.
    private static let perPlayer = 16

    /// nil when too many follow this player already.
    mutating func subscribe(
        _ player: PlayerID, onEnd: @escaping @Sendable (UInt64) -> Void
    ) -> AsyncStream<PlayerUpdate>? {
        guard streams[player, default: [:]].count < Self.perPlayer else { return nil }
        next += 1
        let token = next
        let (stream, continuation) = AsyncStream.makeStream(
            of: PlayerUpdate.self, bufferingPolicy: .bufferingNewest(Self.buffered))
        continuation.onTermination = { _ in onEnd(token) }
        streams[player, default: [:]][token] = continuation
        return stream
    }

    mutating func remove(_ token: UInt64, of player: PlayerID) {
        streams[player]?[token] = nil
        if streams[player]?.isEmpty == true { streams[player] = nil }
    }

    func tell(_ player: PlayerID, _ update: PlayerUpdate) {
        for continuation in (streams[player] ?? [:]).values { continuation.yield(update) }
    }

    mutating func finish() {
        for continuation in streams.values.flatMap(\.values) { continuation.finish() }
        streams = [:]
    }
}
