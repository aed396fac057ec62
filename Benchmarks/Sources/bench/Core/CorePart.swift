import FederationCore
import FederationModel

/// The registry, health and routing tables of the core against the obvious ones.
struct CorePart {
    static let name = "core"
    let counts: [Int]
    /// Only the rows whose names contain it.
    var only: String?

    /// Operations that are timed at a time.
    private static let operations = 200_000

    func run(_ table: inout ResultTable) throws {
        for count in counts { try run(count, &table) }
        for count in counts where count >= 100_000 && only.map("memory".contains) ?? true {
            let aim: Double? = count == 1_000_000 ? 0.5 : nil
            for what in ["registry", "registry of other hosts", "routing"] {
                try memory("\(what) memory", what, count, aim, &table)
                try memory("\(what) memory at its peak", "peak \(what)", count, nil, &table)
            }
        }
    }

    private func memory(
        _ name: String, _ what: String, _ count: Int, _ aim: Double?, _ table: inout ResultTable
    ) throws {
        let ours = try Memory.measure("ours \(what)", count)
        let theirs = try Memory.measure("obvious \(what)", count)
        table.add(
            Row(
                Self.name, "\(name), an entry, \(short(count))", ours: ours / Double(count),
                theirs: theirs / Double(count), unit: "B", atMost: aim))
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

    /// Measures and adds a row, if it is wanted.
    private func compare(
        _ what: String, _ tables: CoreTables, _ table: inout ResultTable, operations: Int, atMost aim: Double? = nil,
        ours: () throws -> Void, theirs: () throws -> Void
    ) rethrows {
        guard only.map(what.contains) ?? true else { return }
        let comparison = try Comparison(operations: operations, ours: ours, theirs: theirs)
        table.add(Row(Self.name, "\(what), \(short(tables.ids.count))", comparison, atMost: aim))
    }

    // MARK: Registry

    private func registry(_ tables: CoreTables, _ picks: [Int], _ aim: Double?, _ table: inout ResultTable) throws {
        let servers = try tables.ids.indices.map { try tables.server($0) }
        let obvious = try tables.ids.indices.map(tables.obviousServer)
        try compare("register", tables, &table, operations: servers.count) {
            var registry = ServerRegistry()
            for server in servers { _ = try registry.register(server) }
            keep(registry.count)
        } theirs: {
            var one = ObviousTables()
            for server in obvious { one.register(server) }
            keep(one.servers.count)
        }
        var registry = try tables.registry()
        var one = ObviousTables()
        for server in obvious { one.register(server) }
        compare("get", tables, &table, operations: picks.count, atMost: aim) {
            CoreLoops.status(registry, tables, picks)
        } theirs: {
            CoreLoops.status(one, tables, picks)
        }
        compare("get, by a text that has just come", tables, &table, operations: picks.count) {
            CoreLoops.statusByText(registry, tables, picks)
        } theirs: {
            CoreLoops.status(one, tables, picks)
        }
        compare("get, the whole record", tables, &table, operations: picks.count) {
            CoreLoops.server(registry, tables, picks)
        } theirs: {
            CoreLoops.server(one, tables, picks)
        }
        var time: Int64 = 1_800_000_000
        try compare("heartbeat", tables, &table, operations: picks.count, atMost: aim) {
            time += 1
            try CoreLoops.heartbeat(&registry, tables, picks, at: time)
        } theirs: {
            time += 1
            CoreLoops.heartbeat(&one, tables, picks, at: time)
        }
        compare("list by status, 1 in 1,000, an answer", tables, &table, operations: max(1, tables.ids.count / 1_000)) {
            keep(registry.list(status: .degraded, limit: .max))
        } theirs: {
            keep(one.list(.degraded))
        }
    }

    // MARK: Health

    private func health(_ tables: CoreTables, _ picks: [Int], _ table: inout ResultTable) {
        var health = tables.health()
        var one = ObviousTables()
        for name in tables.names { one.watched[name] = ObviousTables.Watched() }
        var time: Int64 = 0
        compare("health success", tables, &table, operations: picks.count) {
            time += 1_000_000
            CoreLoops.success(&health, tables, picks, at: time)
        } theirs: {
            time += 1_000_000
            CoreLoops.success(&one, tables, picks, at: time)
        }
        compare("health failure", tables, &table, operations: picks.count) {
            time += 1_000_000
            CoreLoops.failure(&health, tables, picks, at: time)
        } theirs: {
            time += 1_000_000
            CoreLoops.failure(&one, tables, picks, at: time)
        }
    }

    // MARK: Routing

    private func routing(_ tables: CoreTables, _ picks: [Int], _ aim: Double?, _ table: inout ResultTable) throws {
        let routes = try tables.portals.indices.map(tables.route)
        let obvious = tables.portals.indices.map(tables.obviousRoute)
        try compare("route add", tables, &table, operations: routes.count) {
            var routing = RoutingTable()
            for route in routes { _ = try routing.add(route) }
            keep(routing.count)
        } theirs: {
            var one = ObviousTables()
            for route in obvious { one.routes[route.portal] = route }
            keep(one.routes.count)
        }
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
        compare("route lookup", tables, &table, operations: picks.count, atMost: aim) {
            CoreLoops.isActive(routing, tables, picks)
        } theirs: {
            CoreLoops.isActive(one, tables, picks)
        }
        compare("route lookup, the whole route", tables, &table, operations: picks.count) {
            CoreLoops.route(routing, tables, picks)
        } theirs: {
            CoreLoops.route(one, tables, picks)
        }
        try compare("resolve", tables, &table, operations: picks.count, atMost: aim) {
            try CoreLoops.resolve(routing, registry, health, trusted: trusted, tables, picks)
        } theirs: {
            CoreLoops.resolve(one, tables, picks)
        }
        let source = tables.ids[0]
        let answers = max(1, routing.routes(from: source).count)
        compare("routes of a source, an answer", tables, &table, operations: answers) {
            keep(routing.routes(from: source))
        } theirs: {
            keep(one.routes(from: tables.names[0]))
        }
    }

    // MARK: Memory

    /// Builds one table, in a process of its own, and returns the bytes that it takes, or took at its peak.
    static func build(_ what: String, _ count: Int) throws -> Int {
        let tables = try CoreTables(count: count)
        switch what {
        case "ours registry": return try resident { try tables.registry() }
        case "ours peak registry": return try peak { try tables.registry() }
        case "ours registry of other hosts": return try resident { try tables.registry(elsewhere: true) }
        case "ours peak registry of other hosts": return try peak { try tables.registry(elsewhere: true) }
        case "ours routing": return try resident { try tables.routing() }
        case "ours peak routing": return try peak { try tables.routing() }
        case "obvious registry", "obvious registry of other hosts":
            return try resident { try tables.obviousRegistry() }
        case "obvious peak registry", "obvious peak registry of other hosts":
            return try peak { try tables.obviousRegistry() }
        case "obvious routing": return resident { tables.obviousRouting() }
        case "obvious peak routing": return peak { tables.obviousRouting() }
        default: throw CoreTables.Problem.sample
        }
    }

    private static func resident<Value>(_ build: () throws -> Value) rethrows -> Int {
        let before = Memory.resident
        let value = try build()
        defer { keep(value) }
        return Memory.resident - before
    }

    /// What stood in memory before was its peak too: the names, which nothing frees.
    private static func peak<Value>(_ build: () throws -> Value) rethrows -> Int {
        let before = Memory.peak
        keep(try build())
        return Memory.peak - before
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

    /// So many bytes that no program compresses.
    mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}
