import FederationCore
import FederationModel

/// The loops that are timed. Functions of their own, never inlined, because a table that a closure captures as a variable is
/// copied for every call, and the counting of its references would be a good part of what is measured.
enum CoreLoops {
    // MARK: Ours

    @inline(never)
    static func status(_ registry: ServerRegistry, _ tables: CoreTables, _ picks: [Int]) {
        for pick in picks { keep(registry.status(of: tables.ids[pick])) }
    }

    @inline(never)
    static func statusByText(_ registry: ServerRegistry, _ tables: CoreTables, _ picks: [Int]) {
        for pick in picks { keep(ServerID(tables.names[pick]).flatMap { registry.status(of: $0) }) }
    }

    @inline(never)
    static func server(_ registry: ServerRegistry, _ tables: CoreTables, _ picks: [Int]) {
        for pick in picks { keep(registry.server(tables.ids[pick])) }
    }

    @inline(never)
    static func heartbeat(
        _ registry: inout ServerRegistry, _ tables: CoreTables, _ picks: [Int], at time: Int64
    ) throws {
        for pick in picks { _ = try registry.recordHeartbeat(tables.ids[pick], at: Timestamp(seconds: time)) }
    }

    @inline(never)
    static func success(_ health: inout HealthMonitor, _ tables: CoreTables, _ picks: [Int], at time: Int64) {
        for pick in picks { health.recordSuccess(tables.ids[pick], at: Instant(nanoseconds: time)) }
    }

    @inline(never)
    static func failure(_ health: inout HealthMonitor, _ tables: CoreTables, _ picks: [Int], at time: Int64) {
        for pick in picks { health.recordFailure(tables.ids[pick], at: Instant(nanoseconds: time)) }
    }

    @inline(never)
    static func isActive(_ routing: RoutingTable, _ tables: CoreTables, _ picks: [Int]) {
        for pick in picks { keep(routing.isActive(tables.portals[pick])) }
    }

    @inline(never)
    static func route(_ routing: RoutingTable, _ tables: CoreTables, _ picks: [Int]) {
        for pick in picks { keep(routing.route(for: tables.portals[pick])) }
    }

    @inline(never)
    static func resolve(
        _ routing: RoutingTable, _ registry: ServerRegistry, _ health: HealthMonitor, trusted: Set<ServerID>,
        _ tables: CoreTables, _ picks: [Int]
    ) throws {
        for pick in picks { keep(try resolve(tables.portals[pick], routing, registry, health, trusted)) }
    }

    @inline(never)
    private static func resolve(
        _ portal: PortalID, _ routing: RoutingTable, _ registry: ServerRegistry, _ health: HealthMonitor,
        _ trusted: Set<ServerID>
    ) throws -> ResolvedRoute {
        try routing.resolve(
            portal, isTrusted: { trusted.contains($0) }, registryStatus: { registry.status(of: $0) },
            health: { health.status(of: $0) }
        )
    }

    // MARK: Theirs

    @inline(never)
    static func status(_ one: ObviousTables, _ tables: CoreTables, _ picks: [Int]) {
        for pick in picks { keep(one.servers[tables.names[pick]]?.status) }
    }

    @inline(never)
    static func server(_ one: ObviousTables, _ tables: CoreTables, _ picks: [Int]) {
        for pick in picks { keep(one.servers[tables.names[pick]]) }
    }

    @inline(never)
    static func heartbeat(_ one: inout ObviousTables, _ tables: CoreTables, _ picks: [Int], at time: Int64) {
        for pick in picks { one.heartbeat(tables.names[pick], at: Double(time)) }
    }

    @inline(never)
    static func success(_ one: inout ObviousTables, _ tables: CoreTables, _ picks: [Int], at time: Int64) {
        for pick in picks { one.succeed(tables.names[pick], at: Double(time)) }
    }

    @inline(never)
    static func failure(_ one: inout ObviousTables, _ tables: CoreTables, _ picks: [Int], at time: Int64) {
        for pick in picks { one.fail(tables.names[pick], at: Double(time)) }
    }

    @inline(never)
    static func isActive(_ one: ObviousTables, _ tables: CoreTables, _ picks: [Int]) {
        for pick in picks { keep(one.routes[tables.portalNames[pick]]?.isActive) }
    }

    @inline(never)
    static func route(_ one: ObviousTables, _ tables: CoreTables, _ picks: [Int]) {
        for pick in picks { keep(one.routes[tables.portalNames[pick]]) }
    }

    @inline(never)
    static func resolve(_ one: ObviousTables, _ tables: CoreTables, _ picks: [Int]) {
        for pick in picks { keep(one.resolve(tables.portalNames[pick])) }
    }
}
