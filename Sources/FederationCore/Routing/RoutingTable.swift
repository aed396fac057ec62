public import FederationModel

/// A route through which a player may go now.
public struct ResolvedRoute: Hashable, Sendable {
    public let route: PortalRoute
    /// Of the destination; never suspended.
    public let status: ServerStatus
    /// Of the destination; never unreachable.
    public let health: HealthStatus
}

/// Where the portals lead. Sized for a million routes; every listing costs what it returns.
public struct RoutingTable: Sendable {
    private var routes = SlotTable<PortalID, PortalRoute>()
    private var portals = OrderedKeys<PortalID>()
    private var bySource: [ServerID: OrderedKeys<PortalID>] = [:]
    private var byDestination: [ServerID: OrderedKeys<PortalID>] = [:]

    public init() {}

    // MARK: Looking

    public var count: Int { routes.count }

    public func route(for portal: PortalID) -> PortalRoute? { routes[portal] }

    /// Up to `limit` routes, sorted by portal, from the first one after `cursor` on.
    public func list(after cursor: PortalID? = nil, limit: Int) -> [PortalRoute] {
        portals.page(after: cursor, limit: limit).compactMap { routes[$0] }
    }

    /// The routes whose portal stands on a server, sorted by portal, from the first one after `cursor` on.
    public func routes(from source: ServerID, after cursor: PortalID? = nil, limit: Int = .max) -> [PortalRoute] {
        (bySource[source]?.page(after: cursor, limit: limit) ?? []).compactMap { routes[$0] }
    }

    /// The routes that lead to a server, sorted by portal, from the first one after `cursor` on.
    public func routes(to destination: ServerID, after cursor: PortalID? = nil, limit: Int = .max) -> [PortalRoute] {
        (byDestination[destination]?.page(after: cursor, limit: limit) ?? []).compactMap { routes[$0] }
    }

    // MARK: Changing

    /// - Throws: `invalidID`, `toItself`, `duplicatePortal`.
    @discardableResult
    public mutating func add(_ route: PortalRoute) throws(Failure) -> PortalRoute {
        try Self.check(route)
        guard routes[route.portal] == nil else { throw .duplicatePortal(route.portal) }
        routes[route.portal] = route
        portals.insert(route.portal)
        bySource[route.source, default: OrderedKeys()].insert(route.portal)
        byDestination[route.destination, default: OrderedKeys()].insert(route.portal)
        return route
    }

    /// Removes a route and returns it.
    ///
    /// - Throws: `routeNotFound`.
    @discardableResult
    public mutating func remove(_ portal: PortalID) throws(Failure) -> PortalRoute {
        guard let route = routes[portal] else { throw .routeNotFound(portal) }
        routes[portal] = nil
        portals.remove(portal)
        Self.remove(portal, of: route.source, from: &bySource)
        Self.remove(portal, of: route.destination, from: &byDestination)
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
        guard var route = routes[portal] else { throw .routeNotFound(portal) }
        route.isActive = isActive
        routes[portal] = route
        return route
    }

    /// Leaves no empty index behind, so that servers that come and go cost nothing afterwards.
    private static func remove(
        _ portal: PortalID, of server: ServerID, from index: inout [ServerID: OrderedKeys<PortalID>]
    ) {
        index[server]?.remove(portal)
        if index[server]?.isEmpty == true { index[server] = nil }
    }

    // MARK: Resolving

    /// The route of a portal, if nothing refuses it now. What is checked, in the order of a crossing: the registry,
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
        guard let route = routes[portal] else { throw .routeNotFound(portal) }
        let destination = route.destination
        guard let status = registryStatus(destination) else { throw .destinationUnknown(portal, destination) }
        guard status != .suspended else { throw .destinationSuspended(portal, destination) }
        guard isTrusted(destination) else { throw .destinationUntrusted(portal, destination) }
        guard let health = health(destination), health != .unreachable else {
            throw .destinationUnreachable(portal, destination)
        }
        guard route.isActive else { throw .routeInactive(portal) }
        return ResolvedRoute(route: route, status: status, health: health)
    }
}
