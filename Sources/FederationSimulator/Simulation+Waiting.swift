import FederationCore
import FederationModel

/// No player stays frozen before the decision for longer than the destination may take to answer.
extension Simulation {
    /// How long a handoff may be prepared at a server that runs and whose disk works: what the answer may take at most, and
    /// 300 ms for the writes in between. Those are the one that is under way and the abort itself, some 3 ms each.
    private static let longestWait =
        (Limits.acceptTimeout + Limits.acceptRoundTrip * Limits.acceptRoundTrips).clampedNanoseconds
        + 300 * Span.millisecond
    /// A write that was begun on a slow disk may take so long.
    private static let slowWrite = Span.second
    /// The longest pause before a write that has failed is tried again.
    private static let retryPause = 5 * Span.second
    /// Full queues put a timer off by so much.
    private static let fullQueuePause = Span.second

    /// A player has just been frozen: looks again when that must be over.
    func beginWait(_ handoff: HandoffID, at server: SimulatedServer) {
        events.schedule(.waited(server: server.index, handoff, since: time), at: time + Self.longestWait)
    }

    func checkWait(_ handoff: HandoffID, at server: SimulatedServer, since began: Int64) throws {
        let inMemory = server.node.ledger.record(handoff)?.state
        let onDisk = server.disk.durable.handoffs[handoff]?.state
        // One that is down may find the freeze in its log; then the time counts from its next start.
        guard !server.isUp || inMemory == .prepared || onDisk == .prepared else { return }
        let end = server.isUp ? max(began, soundSince(server)) + Self.longestWait : time + Self.longestWait
        guard end <= time else {
            return events.schedule(.waited(server: server.index, handoff, since: began), at: end)
        }
        throw violated(
            .waitIsBounded,
            "#\(number(of: handoff)) is still prepared at \(server.id) \((time - began) / Span.millisecond) ms after "
                + "the freeze; nothing has kept the server for \((time - soundSince(server)) / Span.millisecond) ms")
    }

    /// Since when nothing has kept the server from its work.
    private func soundSince(_ server: SimulatedServer) -> Int64 {
        // A rest ends every fault, but not what the fault has put off.
        let rest = restingSince.map { $0 + Self.retryPause + Self.slowWrite } ?? .min
        return max(
            server.runsSince, server.diskSlowUntil + Self.slowWrite, server.diskFailsUntil + Self.retryPause,
            server.queuesFullUntil + Self.fullQueuePause, rest)
    }
}
