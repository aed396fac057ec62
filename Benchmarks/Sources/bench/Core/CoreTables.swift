import FederationCore
import FederationModel

/// Our tables and the obvious ones, with the same entries.
struct CoreTables {
    static let sources = 1_000

    /// As they come: the text of an id.
    let names: [String]
    let ids: [ServerID]
    let portalNames: [String]
    let portals: [PortalID]

    init(count: Int) throws {
        names = (0..<count).map(Self.name)
        ids = names.map { ServerID(unchecked: $0) }
        portalNames = (0..<count).map { "portal-\($0).north-gate" }
        portals = portalNames.map { PortalID(unchecked: $0) }
    }

    static func name(_ number: Int) -> String { "server-\(number).worlds.example" }

    static func key(_ number: Int) throws -> PublicKey {
        var bytes = [UInt8](repeating: 7, count: 32)
        for place in 0..<8 { bytes[place] = UInt8(truncatingIfNeeded: number >> (place * 8)) }
        guard let key = PublicKey(bytes: bytes) else { throw Problem.sample }
        return key
    }

    enum Problem: Error { case sample }

    // MARK: Ours

    /// - Parameter host: where it answers; at the host of its own name if nil, as most do.
    func server(_ number: Int, host: String? = nil) throws -> FederatedServer {
        guard let endpoint = Endpoint("wss://\(host ?? names[number])") else { throw Problem.sample }
        return FederatedServer(
            id: ids[number], name: "Server \(number)", endpoint: endpoint, publicKey: try Self.key(number),
            registeredAt: Timestamp(seconds: 1_800_000_000), status: number % 1_000 == 0 ? .degraded : .online,
            recordSequence: 1)
    }

    func registry(elsewhere: Bool = false) throws -> ServerRegistry {
        var registry = ServerRegistry()
        for number in ids.indices {
            _ = try registry.register(try server(number, host: elsewhere ? "machine-\(number).worlds.example" : nil))
            _ = try registry.updateStatus(ids[number], to: number % 1_000 == 0 ? .degraded : .online)
        }
        return registry
    }

    func health() -> HealthMonitor {
        var health = HealthMonitor()
        for id in ids { health.watch(id, at: Instant(nanoseconds: 0)) }
        return health
    }

    func route(_ number: Int) throws -> PortalRoute {
        guard let world = WorldID("harbour") else { throw Problem.sample }
        return PortalRoute(
            portal: portals[number], source: ids[source(number)], destination: ids[destination(number)],
            world: world, spawn: nil, isActive: true)
    }

    func routing() throws -> RoutingTable {
        var routing = RoutingTable()
        for number in portals.indices { _ = try routing.add(try route(number)) }
        return routing
    }

    // MARK: Theirs

    func obviousServer(_ number: Int) throws -> ObviousTables.Server {
        ObviousTables.Server(
            id: names[number], name: "Server \(number)", endpoint: "wss://\(names[number])",
            publicKey: try Self.key(number).bytes, registeredAt: 1_800_000_000,
            status: number % 1_000 == 0 ? .degraded : .online)
    }

    func obviousRoute(_ number: Int) -> ObviousTables.Route {
        ObviousTables.Route(
            portal: portalNames[number], source: names[source(number)], destination: names[destination(number)],
            world: "harbour", isActive: true)
    }

    func obviousRegistry() throws -> ObviousTables {
        var one = ObviousTables()
        for number in ids.indices { one.register(try obviousServer(number)) }
        return one
    }

    func obviousRouting() -> ObviousTables {
        var one = ObviousTables()
        for number in ids.indices {
            let route = obviousRoute(number)
            one.routes[route.portal] = route
        }
        return one
    }

    // MARK: Both

    private func source(_ number: Int) -> Int { number % Self.sources % names.count }

    /// Never the source itself.
    private func destination(_ number: Int) -> Int { (source(number) + 1 + number / Self.sources) % names.count }
}
