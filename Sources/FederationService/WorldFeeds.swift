import FederationModel

/// Who follows which world, and what of the crossings that are under way is needed to tell them.
///
/// A follower never misses an event in silence: one that does not keep up is ended, comes back and asks.
struct WorldFeeds {
    private struct Follower {
        let continuation: AsyncStream<WorldEvent>.Continuation
        let isGuarding: Bool
    }

    /// A player who has been announced to the world where they want to go.
    struct Announced {
        let world: WorldID
        let player: PlayerID
    }

    private var followers: [WorldID: [UInt64: Follower]] = [:]
    private var next: UInt64 = 0
    /// Announced, and neither let in nor turned away; the node bounds how many wait.
    private var arrivals: [HandoffID: Announced] = [:]
    /// Frozen players and the world that was told so. A player is in one handoff at a time.
    private var departures: [PlayerID: (handoff: HandoffID, world: WorldID)] = [:]

    /// Events that wait for one follower.
    static let buffered = 1_024
    /// Followers of one world: its world server, its successor while the two change places, and a few who look on.
    static let perWorld = 8

    /// nil when too many follow this world already.
    mutating func follow(
        _ world: WorldID, guarding: Bool, onEnd: @escaping @Sendable (UInt64) -> Void
    ) -> AsyncStream<WorldEvent>? {
        guard followers[world, default: [:]].count < Self.perWorld else { return nil }
        next += 1
        let token = next
        let (stream, continuation) = AsyncStream.makeStream(
            of: WorldEvent.self, bufferingPolicy: .bufferingOldest(Self.buffered))
        continuation.onTermination = { _ in onEnd(token) }
        followers[world, default: [:]][token] = Follower(continuation: continuation, isGuarding: guarding)
        return stream
    }

    mutating func remove(_ token: UInt64, of world: WorldID) {
        followers[world]?[token] = nil
        if followers[world]?.isEmpty == true { followers[world] = nil }
    }

    func isGuarded(_ world: WorldID) -> Bool {
        followers[world]?.values.contains(where: \.isGuarding) ?? false
    }

    /// - Returns: whether a follower lagged behind and was ended.
    mutating func tell(_ world: WorldID, _ event: WorldEvent) -> Bool {
        var lagging: [UInt64] = []
        for (token, follower) in followers[world] ?? [:] {
            guard case .dropped = follower.continuation.yield(event) else { continue }
            follower.continuation.finish()
            lagging.append(token)
        }
        for token in lagging { remove(token, of: world) }
        return !lagging.isEmpty
    }

    /// The world is no longer there.
    mutating func end(_ world: WorldID) {
        for follower in (followers.removeValue(forKey: world) ?? [:]).values { follower.continuation.finish() }
    }

    mutating func finish() {
        for follower in followers.values.flatMap(\.values) { follower.continuation.finish() }
        followers = [:]
    }

    // MARK: Crossings under way

    func announced(_ handoff: HandoffID) -> Announced? { arrivals[handoff] }

    mutating func announce(_ handoff: HandoffID, of player: PlayerID, to world: WorldID) {
        arrivals[handoff] = Announced(world: world, player: player)
    }

    @discardableResult
    mutating func endArrival(_ handoff: HandoffID) -> Announced? {
        arrivals.removeValue(forKey: handoff)
    }

    mutating func depart(_ player: PlayerID, in handoff: HandoffID, from world: WorldID) {
        departures[player] = (handoff, world)
    }

    @discardableResult
    mutating func endDeparture(of player: PlayerID) -> (handoff: HandoffID, world: WorldID)? {
        departures.removeValue(forKey: player)
    }
}
