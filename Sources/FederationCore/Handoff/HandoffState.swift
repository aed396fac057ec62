/// How far a handoff has come, in one server's ledger.
///
/// At the source `prepared` becomes `committed` or `aborted`, and `committed` becomes `completed`. At the destination
/// `reserved` becomes `admitted` or `aborted`. `completed`, `admitted` and `aborted` are final.
public enum HandoffState: String, Hashable, Sendable, Codable, CaseIterable {
    /// Source: the player is frozen, the offer is out, nothing is decided.
    case prepared
    /// Destination: a place is kept, inert; the source will decide.
    case reserved
    /// Source: decided. The player is never played here again under this epoch.
    case committed
    /// Destination: the player is here.
    case admitted
    /// Source: the destination's receipt is in.
    case completed
    /// Over without a crossing.
    case aborted

    /// Whether nothing can change any more.
    public var isFinal: Bool {
        switch self {
        case .completed, .admitted, .aborted: true
        case .prepared, .reserved, .committed: false
        }
    }
}

/// Which end of a handoff a server is.
public enum HandoffRole: String, Hashable, Sendable, Codable {
    case source
    case destination
}
