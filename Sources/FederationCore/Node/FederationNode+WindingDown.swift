import FederationModel

/// A server that is about to stop: what has begun goes on, nothing more begins.
extension FederationNode {
    /// From now on no peer is dialled, no place is kept for a newcomer and nobody departs. Whoever waits at a door is turned
    /// away: the world that was asked may be out of reach before it answers. Everything that is decided, or for which a place is
    /// kept, is answered as before. There is no way back but a new start.
    public mutating func windDown() -> [Effect] {
        isWindingDown = true
        return arrivals.keys.sorted().compactMap { removeArrival($0) }
            .flatMap { turnAway($0, code: windingDown.code, reason: windingDown.reason) }
    }

    /// Why nothing more begins.
    var windingDown: Refusal {
        Refusal(
            .unavailable, code: "server.stopping", reason: "\(id) is stopping", remedy: "try again when it is back",
            step: .handoff)
    }
}
