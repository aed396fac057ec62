/// What this server's own observations say of a peer: `healthy` → `degraded` → `unreachable` by consecutive failures,
/// back to `healthy` by a success.
public enum HealthStatus: String, Hashable, Sendable, Codable, CaseIterable {
    case healthy
    case degraded
    case unreachable
}
