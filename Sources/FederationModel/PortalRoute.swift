/// Where a portal leads: from one server's portal to a world on another server.
public struct PortalRoute: Hashable, Sendable, Codable {
    public let portal: PortalID
    /// The server on which the portal stands.
    public let source: ServerID
    /// The server to which it leads; never `source`.
    public let destination: ServerID
    /// The world there.
    public let world: WorldID
    /// Where players appear; nil leaves it to the world.
    public let spawn: SpawnPoint?
    /// Whether players may pass.
    public var isActive: Bool

    public init(
        portal: PortalID, source: ServerID, destination: ServerID, world: WorldID, spawn: SpawnPoint? = nil,
        isActive: Bool = true
    ) {
        self.portal = portal
        self.source = source
        self.destination = destination
        self.world = world
        self.spawn = spawn
        self.isActive = isActive
    }
}
