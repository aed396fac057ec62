/// What the registry says of a server.
///
/// `online`, `degraded` and `offline` can become one another. Any of them can become `suspended`; `suspended` becomes
/// `offline` by an explicit reinstatement and nothing else.
public enum ServerStatus: String, Hashable, Sendable, Codable, CaseIterable {
    /// Answers heartbeats.
    case online
    /// Has missed some heartbeats; routes to it still resolve.
    case degraded
    /// Does not answer, or has never been heard.
    case offline
    /// Excluded by the operator until reinstated.
    case suspended
}
