import FederationCore
import FederationCrypto
import FederationModel
import FederationService

/// The tables in memory: servers, routes, handoffs and players.
struct TableGrowth {
    func run(_ table: inout ResultTable) throws {
        try servers(&table)
        try routes(&table)
        try ledger(&table)
        try players(&table)
    }

    private static func build<Value>(_ count: Int, _ body: () throws -> Value) rethrows -> (Value, LookUpBytes) {
        let before = Memory.resident
        let value = try body()
        return (value, LookUpBytes(count: count, taken: max(0, Memory.resident - before)))
    }

    private func servers(_ table: inout ResultTable) throws {
        var status = GrowthProbe("server, status", .lookUp)
        var heartbeat = GrowthProbe("server, heartbeat", .change)
        var time: Int64 = 1_800_000_000
        for count in GrowthPart.counts {
            let tables = try CoreTables(count: count)
            var (registry, bytes) = try Self.build(count) { try tables.registry() }
            try status.measure(count, beside: bytes, &table) { try GrowthLoops.status(registry, tables, $0) }
            try heartbeat.measure(count, beside: bytes, &table) { picks in
                time += 1
                try CoreLoops.heartbeat(&registry, tables, picks, at: time)
            }
        }
        for row in status.rows + heartbeat.rows { table.add(row) }
    }

    private func routes(_ table: inout ResultTable) throws {
        var isActive = GrowthProbe("route, whether it is active", .lookUp)
        for count in GrowthPart.counts {
            let tables = try CoreTables(count: count)
            let (routing, bytes) = try Self.build(count) { try tables.routing() }
            try isActive.measure(count, beside: bytes, &table) { try GrowthLoops.isActive(routing, tables, $0) }
        }
        for row in isActive.rows { table.add(row) }
    }

    private func ledger(_ table: inout ResultTable) throws {
        var look = GrowthProbe("handoff, its record", .lookUp)
        var open = GrowthProbe("handoff, one more", .addition)
        let now = SystemClock().now()
        for count in GrowthPart.counts {
            let samples = try LedgerSamples(count, at: now)
            var (ledger, bytes) = Self.build(count) {
                HandoffLedger(restoring: StoredHandoffs(samples.records), at: now)
            }
            try look.measure(count, beside: bytes, &table) { try GrowthLoops.record(ledger, samples, $0) }
            // Made beforehand: what makes them is not the ledger's cost.
            var batches = try (0..<Comparison.rounds).map { try samples.fresh($0, GrowthProbe.additions) }
            try open.measure(count, beside: bytes, &table) { _ in
                try LedgerSamples.open(&ledger, batches.removeLast(), at: now)
            }
        }
        for row in look.rows + open.rows { table.add(row) }
    }

    private func players(_ table: inout ResultTable) throws {
        var look = GrowthProbe("player, the record", .lookUp)
        var save = GrowthProbe("player, saving the state", .change)
        for count in GrowthPart.counts {
            let samples = PlayerSamples(count)
            let records = samples.records
            var (players, bytes) = Self.build(count) { PlayerTable(restoring: records) }
            try look.measure(count, beside: bytes, &table) { try GrowthLoops.player(players, samples, $0) }
            try save.measure(count, beside: bytes, &table) { try PlayerSamples.save(&players, samples, $0) }
        }
        for row in look.rows + save.rows { table.add(row) }
    }
}
