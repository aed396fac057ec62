/// The six steps of a crossing, in order, and the way back. Each step that refuses names itself to the player, the
/// operator and the metrics.
public enum CrossingStep: String, Hashable, Sendable, Codable, CaseIterable {
    /// Both servers are known and neither is suspended.
    case registry
    /// The handshake with the destination is Completed.
    case handshake
    /// The destination answers heartbeats.
    case health
    /// The portal has an active route that resolves.
    case routing
    /// Every asset of the destination world is present and has the right hash.
    case verification
    /// The player was handed over.
    case handoff
    /// The player came back.
    case `return`
}
