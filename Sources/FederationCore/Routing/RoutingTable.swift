public import FederationModel

/// Where a portal leads now. Without the portal and the server it stands on: whoever asks has both, and copying a text of
/// which no other entry has need is a good part of what an answer costs.
public struct ResolvedRoute: Hashable, Sendable {
    public let destination: ServerID
    public let world: WorldID
    /// Where in the world; nil leaves it to the world.
    public let spawn: SpawnPoint?
    /// Of the destination; never suspended.
    public let status: ServerStatus
    /// Of the destination; never unreachable.
    public let health: HealthStatus
}

/// Where the portals lead. Sized for a million routes; every listing costs what it returns.
public struct RoutingTable: Sendable {
    private typealias Order = SortedChunks<UInt32>

    private var routes = SlotTable<PortalID, RouteRow>()
    private var servers = NameTable<ServerID>()
    private var worlds = NameTable<WorldID>()
    /// By slot, of the routes that have one.
    private var spawns: [UInt32: SpawnPoint] = [:]
    /// Slots: by portal; by number of the source, then portal; by number of the destination, then portal.
    private var portals = Order()
    private var bySource = Order()
    private var byDestination = Order()

    public init() {}

    // MARK: Looking

    public var count: Int { routes.count }

    /// The whole route. Where less is enough, ``isActive(_:)`` and ``destination(of:)`` cost a fraction.
    public func route(for portal: PortalID) -> PortalRoute? {
        routes.slot(of: portal).map { route(portal, in: $0) }
    }

    /// Whether players may pass; nil for a portal without a route.
    public func isActive(_ portal: PortalID) -> Bool? {
        routes.slot(of: portal).map { routes[slot: $0].isActive }
    }

    /// The server to which a portal leads; nil for a portal without a route.
    public func destination(of portal: PortalID) -> ServerID? {
        routes.slot(of: portal).map { servers[routes[slot: $0].destination] }
    }

    /// Up to `limit` routes, sorted by portal, from the first one after `cursor` on.
    public func list(after cursor: PortalID? = nil, limit: Int) -> [PortalRoute] {
        let place = cursor.map { cursor in portals.place { routes.text(in: Int($0)) <= cursor.rawValue } }
        return portals.page(from: place ?? portals.start, limit: limit).map(route(in:))
    }

    /// The routes whose portal stands on a server, sorted by portal, from the first one after `cursor` on.
    public func routes(from source: ServerID, after cursor: PortalID? = nil, limit: Int = .max) -> [PortalRoute] {
        list(bySource, \.source, source, after: cursor, limit: limit)
    }

    /// The routes that lead to a server, sorted by portal, from the first one after `cursor` on.
    public func routes(to destination: ServerID, after cursor: PortalID? = nil, limit: Int = .max) -> [PortalRoute] {
        list(byDestination, \.destination, destination, after: cursor, limit: limit)
    }

    private func list(
        _ order: Order, _ end: KeyPath<RouteRow, UInt32>, _ server: ServerID, after cursor: PortalID?, limit: Int
    ) -> [PortalRoute] {
        guard let number = servers.number(of: server) else { return [] }
        let first = order.place { slot in
            let other = routes[slot: Int(slot)][keyPath: end]
            guard other == number else { return other < number }
            return cursor.map { routes.text(in: Int(slot)) <= $0.rawValue } ?? false
        }
        let behind = order.place { routes[slot: Int($0)][keyPath: end] <= number }
        return order.page(from: first, to: behind, limit: limit).map(route(in:))
    }

    private func route(in slot: UInt32) -> PortalRoute { route(routes.id(in: Int(slot)), in: Int(slot)) }

    private func route(_ portal: PortalID, in slot: Int) -> PortalRoute {
        let row = routes[slot: slot]
        return PortalRoute(
            portal: portal, source: servers[row.source], destination: servers[row.destination],
            world: worlds[row.world], spawn: row.hasSpawn ? spawns[UInt32(slot)] : nil, isActive: row.isActive)
    }

    // MARK: Changing

    /// - Throws: `invalidID`, `toItself`, `duplicatePortal`.
    @discardableResult
    public mutating func add(_ route: PortalRoute) throws(Failure) -> PortalRoute {
        try Self.check(route)
        guard routes.slot(of: route.portal) == nil else { throw .duplicatePortal(route.portal) }
        let row = RouteRow(
            source: servers.take(route.source), destination: servers.take(route.destination),
            world: worlds.take(route.world), isActive: route.isActive, hasSpawn: route.spawn != nil)
        let slot = routes.insert(route.portal, row)
        if let spawn = route.spawn { spawns[UInt32(slot)] = spawn }
        let places = places(of: slot)
        portals.insert(UInt32(slot), at: places.portals)
        bySource.insert(UInt32(slot), at: places.bySource)
        byDestination.insert(UInt32(slot), at: places.byDestination)
        return route
    }

    /// Removes a route and returns it.
    ///
    /// - Throws: `routeNotFound`.
    @discardableResult
    public mutating func remove(_ portal: PortalID) throws(Failure) -> PortalRoute {
        guard let slot = routes.slot(of: portal) else { throw .routeNotFound(portal) }
        let route = route(portal, in: slot)
        let places = places(of: slot)
        portals.remove(at: places.portals)
        bySource.remove(at: places.bySource)
        byDestination.remove(at: places.byDestination)
        let row = routes[slot: slot]
        // Nothing is left behind, so that servers that come and go cost nothing afterwards.
        servers.release(row.source)
        servers.release(row.destination)
        worlds.release(row.world)
        spawns[UInt32(slot)] = nil
        routes.remove(slot)
        return route
    }

    /// Lets players pass. Does nothing to an active route.
    ///
    /// - Throws: `routeNotFound`.
    @discardableResult
    public mutating func activate(_ portal: PortalID) throws(Failure) -> PortalRoute {
        try setActive(portal, true)
    }

    /// Lets no player pass until the route is activated again.
    ///
    /// - Throws: `routeNotFound`.
    @discardableResult
    public mutating func deactivate(_ portal: PortalID) throws(Failure) -> PortalRoute {
        try setActive(portal, false)
    }

    private mutating func setActive(_ portal: PortalID, _ isActive: Bool) throws(Failure) -> PortalRoute {
        guard let slot = routes.slot(of: portal) else { throw .routeNotFound(portal) }
        routes.update(slot: slot) { $0.isActive = isActive }
        return route(portal, in: slot)
    }

    /// Where a route stands or would stand in each order.
    private func places(of slot: Int) -> (portals: Order.Place, bySource: Order.Place, byDestination: Order.Place) {
        let row = routes[slot: slot]
        let text = routes.text(in: slot)
        return (
            portals.place { routes.text(in: Int($0)) < text },
            bySource.place {
                let other = routes[slot: Int($0)].source
                return other == row.source ? routes.text(in: Int($0)) < text : other < row.source
            },
            byDestination.place {
                let other = routes[slot: Int($0)].destination
                return other == row.destination ? routes.text(in: Int($0)) < text : other < row.destination
            }
        )
    }

    // MARK: Resolving

    /// Where a portal leads, if nothing refuses it now. What is checked, in the order of a crossing: the registry,
    /// trust, health, the route; the failure names the first that refuses. A portal without a route has no destination
    /// to ask about and is refused before them all.
    ///
    /// - Parameters:
    ///   - isTrusted: whether the handshake with a server is Completed and has not expired: what
    ///     ``HandshakeManager`` answers.
    ///   - registryStatus: what ``ServerRegistry`` says of a server; nil when it is not known.
    ///   - health: what ``HealthMonitor`` says of a server; nil, when it is not watched, is as good as unreachable.
    /// - Throws: `routeNotFound`, `destinationUnknown`, `destinationSuspended`, `destinationUntrusted`,
    ///   `destinationUnreachable`, `routeInactive`.
    public func resolve(
        _ portal: PortalID, isTrusted: (ServerID) -> Bool, registryStatus: (ServerID) -> ServerStatus?,
        health: (ServerID) -> HealthStatus?
    ) throws(Failure) -> ResolvedRoute {
        guard let slot = routes.slot(of: portal) else { throw .routeNotFound(portal) }
        let row = routes[slot: slot]
        let destination = servers[row.destination]
        guard let status = registryStatus(destination) else { throw .destinationUnknown(portal, destination) }
        guard status != .suspended else { throw .destinationSuspended(portal, destination) }
        guard isTrusted(destination) else { throw .destinationUntrusted(portal, destination) }
        guard let health = health(destination), health != .unreachable else {
            throw .destinationUnreachable(portal, destination)
        }
        guard row.isActive else { throw .routeInactive(portal) }
        return ResolvedRoute(
            destination: destination, world: worlds[row.world], spawn: row.hasSpawn ? spawns[UInt32(slot)] : nil,
            status: status, health: health)
    }
}
