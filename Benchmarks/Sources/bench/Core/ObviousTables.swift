/// What one would write first: dictionaries of strings to structs, and a scan for every list. The core is measured against it.
struct ObviousTables {
    enum Status { case online, degraded, offline, suspended }
    enum Health { case healthy, degraded, unreachable }

    struct Server {
        let id: String
        var name: String
        var endpoint: String
        var publicKey: [UInt8]
        let registeredAt: Double
        var lastHeartbeat: Double?
        var status: Status
    }

    struct Watched {
        var failures = 0
        var status = Health.healthy
        var seenAt = 0.0
    }

    struct Route {
        let portal: String
        let source: String
        let destination: String
        let world: String
        var isActive: Bool
    }

    struct Resolved {
        let destination: String
        let world: String
        let status: Status
        let health: Health
    }

    var servers: [String: Server] = [:]
    var watched: [String: Watched] = [:]
    var routes: [String: Route] = [:]
    var trusted: Set<String> = []

    mutating func register(_ server: Server) { servers[server.id] = server }

    mutating func heartbeat(_ id: String, at time: Double) {
        servers[id]?.lastHeartbeat = time
    }

    func list(_ status: Status) -> [Server] {
        servers.values.filter { $0.status == status }.sorted { $0.id < $1.id }
    }

    mutating func succeed(_ id: String, at time: Double) {
        watched[id]?.failures = 0
        watched[id]?.status = .healthy
        watched[id]?.seenAt = time
    }

    mutating func fail(_ id: String, at time: Double) {
        guard var one = watched[id] else { return }
        one.failures += 1
        one.status = one.failures >= 10 ? .unreachable : one.failures >= 3 ? .degraded : .healthy
        one.seenAt = time
        watched[id] = one
    }

    func routes(from source: String) -> [Route] {
        routes.values.filter { $0.source == source }.sorted { $0.portal < $1.portal }
    }

    func resolve(_ portal: String) -> Resolved? {
        guard let route = routes[portal], route.isActive, let server = servers[route.destination],
            server.status != .suspended, trusted.contains(route.destination),
            let health = watched[route.destination], health.status != .unreachable
        else { return nil }
        return Resolved(
            destination: route.destination, world: route.world, status: server.status, health: health.status)
    }
}
