import FederationCore
import FederationModel

/// The registry, health and routing tables of the core against the obvious ones.
struct CorePart {
    static let name = "core"
    let counts: [Int]

    /// Operations that are timed at a time.
    private static let operations = 200_000

    func run(_ table: inout ResultTable) throws {
        for count in counts { try run(count, &table) }
        for count in counts where count >= 100_000 {
            for what in ["registry", "routing"] {
                let ours = try Memory.measure("ours-\(what)", count)
                let theirs = try Memory.measure("obvious-\(what)", count)
                table.add(
                    Row(
                        Self.name, "\(what) memory, an entry, \(short(count))", ours: ours / Double(count),
                        theirs: theirs / Double(count), unit: "B", atMost: count == 1_000_000 ? 0.5 : nil))
            }
        }
    }

    private func run(_ count: Int, _ table: inout ResultTable) throws {
        let tables = try CoreTables(count: count)
        var random = SplitMix(seed: 42)
        let picks = (0..<Self.operations).map { _ in Int(random.next() % UInt64(count)) }
        let aim: Double? = count == 1_000_000 ? 0.5 : nil
        try registry(tables, picks, aim, &table)
        health(tables, picks, &table)
        try routing(tables, picks, aim, &table)
    }

    private func title(_ what: String, _ tables: CoreTables) -> String { "\(what), \(short(tables.ids.count))" }

    // MARK: Registry

    private func registry(_ tables: CoreTables, _ picks: [Int], _ aim: Double?, _ table: inout ResultTable) throws {
        let servers = try tables.ids.indices.map(tables.server)
        let obvious = try tables.ids.indices.map(tables.obviousServer)
        table.add(
            Row(
                Self.name, title("register", tables),
                try Comparison(operations: servers.count) {
                    var registry = ServerRegistry()
                    for server in servers { _ = try registry.register(server) }
                    keep(registry.count)
                } theirs: {
                    var one = ObviousTables()
                    for server in obvious { one.register(server) }
                    keep(one.servers.count)
                }, atMost: nil))
        var registry = try tables.registry()
        var one = ObviousTables()
        for server in obvious { one.register(server) }
        table.add(
            Row(
                Self.name, title("get", tables),
                Comparison(operations: picks.count) {
                    for pick in picks { keep(registry.server(tables.ids[pick])?.status) }
                } theirs: {
                    for pick in picks { keep(one.servers[tables.names[pick]]?.status) }
                }, atMost: aim))
        var time: Int64 = 1_800_000_000
        table.add(
            Row(
                Self.name, title("heartbeat", tables),
                try Comparison(operations: picks.count) {
                    time += 1
                    for pick in picks {
                        _ = try registry.recordHeartbeat(tables.ids[pick], at: Timestamp(seconds: time))
                    }
                } theirs: {
                    time += 1
                    for pick in picks { one.heartbeat(tables.names[pick], at: Double(time)) }
                }, atMost: aim))
        table.add(
            Row(
                Self.name, title("list by status, 1 in 1,000, an answer", tables),
                Comparison(operations: max(1, tables.ids.count / 1_000)) {
                    keep(registry.list(status: .degraded, limit: .max))
                } theirs: {
                    keep(one.list(.degraded))
                }, atMost: nil))
    }

    // MARK: Health

    private func health(_ tables: CoreTables, _ picks: [Int], _ table: inout ResultTable) {
        var health = tables.health()
        var one = ObviousTables()
        for name in tables.names { one.watched[name] = ObviousTables.Watched() }
        var time: Int64 = 0
        table.add(
            Row(
                Self.name, title("health success", tables),
                Comparison(operations: picks.count) {
                    time += 1_000_000
                    let instant = Instant(nanoseconds: time)
                    for pick in picks { health.recordSuccess(tables.ids[pick], at: instant) }
                } theirs: {
                    time += 1_000_000
                    for pick in picks { one.succeed(tables.names[pick], at: Double(time)) }
                }, atMost: nil))
        table.add(
            Row(
                Self.name, title("health failure", tables),
                Comparison(operations: picks.count) {
                    time += 1_000_000
                    let instant = Instant(nanoseconds: time)
                    for pick in picks { health.recordFailure(tables.ids[pick], at: instant) }
                } theirs: {
                    time += 1_000_000
                    for pick in picks { one.fail(tables.names[pick], at: Double(time)) }
                }, atMost: nil))
    }

    // MARK: Routing

    private func routing(_ tables: CoreTables, _ picks: [Int], _ aim: Double?, _ table: inout ResultTable) throws {
        let routes = try tables.portals.indices.map(tables.route)
        let obvious = tables.portals.indices.map(tables.obviousRoute)
        table.add(
            Row(
                Self.name, title("route add", tables),
                try Comparison(operations: routes.count) {
                    var routing = RoutingTable()
                    for route in routes { _ = try routing.add(route) }
                    keep(routing.count)
                } theirs: {
                    var one = ObviousTables()
                    for route in obvious { one.routes[route.portal] = route }
                    keep(one.routes.count)
                }, atMost: nil))
        let routing = try tables.routing()
        let registry = try tables.registry()
        let health = tables.health()
        let trusted = Set(tables.ids)
        var one = ObviousTables()
        for (number, route) in obvious.enumerated() {
            one.routes[route.portal] = route
            one.register(try tables.obviousServer(number))
            one.watched[tables.names[number]] = ObviousTables.Watched()
        }
        one.trusted = Set(tables.names)
        table.add(
            Row(
                Self.name, title("route lookup", tables),
                Comparison(operations: picks.count) {
                    for pick in picks { keep(routing.route(for: tables.portals[pick])?.isActive) }
                } theirs: {
                    for pick in picks { keep(one.routes[tables.portalNames[pick]]?.isActive) }
                }, atMost: aim))
        table.add(
            Row(
                Self.name, title("resolve", tables),
                try Comparison(operations: picks.count) {
                    for pick in picks {
                        keep(
                            try routing.resolve(
                                tables.portals[pick], isTrusted: { trusted.contains($0) },
                                registryStatus: { registry.server($0)?.status }, health: { health.status(of: $0) }
                            ).health)
                    }
                } theirs: {
                    for pick in picks { keep(one.resolve(tables.portalNames[pick])?.isActive) }
                }, atMost: aim))
        let source = tables.ids[0]
        let answers = max(1, routing.routes(from: source).count)
        table.add(
            Row(
                Self.name, title("routes of a source, an answer", tables),
                Comparison(operations: answers) {
                    keep(routing.routes(from: source))
                } theirs: {
                    keep(one.routes(from: tables.names[0]))
                }, atMost: nil))
    }

    // MARK: Memory

    /// Builds one table, in a process of its own, and returns the bytes that it takes.
    static func build(_ what: String, _ count: Int) throws -> Int {
        let tables = try CoreTables(count: count)
        return try grown(what, tables, since: Memory.resident)
    }

    private static func grown(_ what: String, _ tables: CoreTables, since before: Int) throws -> Int {
        switch what {
        case "ours-registry":
            let registry = try tables.registry()
            defer { keep(registry) }
            return Memory.resident - before
        case "ours-routing":
            let routing = try tables.routing()
            defer { keep(routing) }
            return Memory.resident - before
        case "obvious-registry":
            var one = ObviousTables()
            for number in tables.ids.indices { one.register(try tables.obviousServer(number)) }
            defer { keep(one) }
            return Memory.resident - before
        case "obvious-routing":
            var one = ObviousTables()
            for number in tables.ids.indices {
                let route = tables.obviousRoute(number)
                one.routes[route.portal] = route
            }
            defer { keep(one) }
            return Memory.resident - before
        default: throw CoreTables.Problem.sample
        }
    }
}

func short(_ count: Int) -> String {
    count >= 1_000_000 ? "\(count / 1_000_000) M" : count >= 1_000 ? "\(count / 1_000) k" : "\(count)"
}

/// The same numbers in every run.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
