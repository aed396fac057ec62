import FederationCore
import FederationCrypto
import FederationModel
import FederationService

/// The tables in memory: servers, routes, handoffs and players.
struct TableGrowth {
    private static let operations = 200_000
    /// Of what adds an entry that stays: few beside the smallest table that is compared.
    private static let additions = 500

    func run(_ table: inout ResultTable) throws {
        try servers(&table)
        try routes(&table)
        try ledger(&table)
        try players(&table)
    }

    private static func picks(_ count: Int) -> [Int] {
        var random = SplitMix(seed: 43)
        return (0..<operations).map { _ in Int(random.next() % UInt64(count)) }
    }

    private static func build<Value>(_ count: Int, _ body: () throws -> Value) rethrows -> (Value, LookUpBytes) {
        let before = Memory.resident
        let value = try body()
        return (value, LookUpBytes(count: count, taken: max(0, Memory.resident - before)))
    }

    private func add(
        _ curve: inout GrowthCurve, _ what: String, _ count: Int, _ comparison: Comparison, _ table: inout ResultTable
    ) {
        table.add(Row(GrowthPart.name, "\(what), \(short(count)), a random look-up", comparison, atMost: nil))
        curve.add(count, ours: comparison.ours, lookUp: comparison.theirs)
    }

    private func servers(_ table: inout ResultTable) throws {
        var status = GrowthCurve("server, status")
        var heartbeat = GrowthCurve("server, heartbeat")
        var time: Int64 = 1_800_000_000
        for count in GrowthPart.counts {
            let tables = try CoreTables(count: count)
            let picks = Self.picks(count)
            var (registry, bytes) = try Self.build(count) { try tables.registry() }
            add(
                &status, "server, status", count,
                Comparison(operations: picks.count) {
                    CoreLoops.status(registry, tables, picks)
                } theirs: {
                    bytes.lookUp(picks)
                }, &table)
            add(
                &heartbeat, "server, heartbeat", count,
                try Comparison(operations: picks.count) {
                    time += 1
                    try CoreLoops.heartbeat(&registry, tables, picks, at: time)
                } theirs: {
                    bytes.lookUp(picks)
                }, &table)
        }
        for row in status.rows() + heartbeat.rows() { table.add(row) }
    }

    private func routes(_ table: inout ResultTable) throws {
        var isActive = GrowthCurve("route, whether it is active")
        for count in GrowthPart.counts {
            let tables = try CoreTables(count: count)
            let picks = Self.picks(count)
            let (routing, bytes) = try Self.build(count) { try tables.routing() }
            add(
                &isActive, "route, whether it is active", count,
                Comparison(operations: picks.count) {
                    CoreLoops.isActive(routing, tables, picks)
                } theirs: {
                    bytes.lookUp(picks)
                }, &table)
        }
        for row in isActive.rows() { table.add(row) }
    }

    private func ledger(_ table: inout ResultTable) throws {
        var look = GrowthCurve("handoff, its record")
        var open = GrowthCurve("handoff, one more")
        let now = SystemClock().now()
        for count in GrowthPart.counts {
            let samples = try LedgerSamples(count, at: now)
            let picks = Self.picks(count)
            let fewer = Array(picks.prefix(Self.additions))
            var (ledger, bytes) = Self.build(count) { HandoffLedger(restoring: samples.records, at: now) }
            add(
                &look, "handoff, its record", count,
                Comparison(operations: picks.count) {
                    LedgerSamples.look(ledger, samples, picks)
                } theirs: {
                    bytes.lookUp(picks)
                }, &table)
            var round = 0
            add(
                &open, "handoff, one more", count,
                try Comparison(operations: fewer.count) {
                    try LedgerSamples.open(&ledger, samples.fresh(round, fewer.count), at: now)
                    round += 1
                } theirs: {
                    bytes.lookUp(fewer)
                }, &table)
        }
        for row in look.rows() + open.rows() { table.add(row) }
    }

    private func players(_ table: inout ResultTable) throws {
        var look = GrowthCurve("player, the record")
        var save = GrowthCurve("player, saving the state")
        for count in GrowthPart.counts {
            let samples = PlayerSamples(count)
            let picks = Self.picks(count)
            let records = samples.records
            var (players, bytes) = Self.build(count) { PlayerTable(restoring: records) }
            add(
                &look, "player, the record", count,
                Comparison(operations: picks.count) {
                    PlayerSamples.look(players, samples, picks)
                } theirs: {
                    bytes.lookUp(picks)
                }, &table)
            add(
                &save, "player, saving the state", count,
                try Comparison(operations: picks.count) {
                    try PlayerSamples.save(&players, samples, picks)
                } theirs: {
                    bytes.lookUp(picks)
                }, &table)
        }
        for row in look.rows() + save.rows() { table.add(row) }
    }
}

/// Handoffs that are over, and others that have not begun. The loops are never inlined: see ``CoreLoops``.
private struct LedgerSamples {
    private static let home = ServerID(unchecked: "home")
    private static let snapshot = [UInt8](repeating: 9, count: 64)

    let records: [HandoffRecord]
    private let now: Now
    private let hash = ContentHash.of(LedgerSamples.snapshot)

    init(_ count: Int, at now: Now) throws {
        self.now = now
        let hash = hash
        records = try (0..<count).map { try Self.record($0, .completed, [], hash, at: now) }
    }

    /// Numbers of their own for each round.
    func fresh(_ round: Int, _ count: Int) throws -> [HandoffRecord] {
        try (0..<count).map {
            try Self.record(records.count + round * count + $0, .prepared, Self.snapshot, hash, at: now)
        }
    }

    private static func record(
        _ number: Int, _ state: HandoffState, _ snapshot: [UInt8], _ hash: ContentHash, at now: Now
    ) throws -> HandoffRecord {
        var random = SplitMix(seed: UInt64(number))
        guard let id = HandoffID(bytes: random.bytes(16)) else { throw CoreTables.Problem.sample }
        return HandoffRecord(
            id: id, role: .source, player: PlayerID(name: PlayerName(unchecked: "player-\(number)"), home: home),
            peer: ServerID(unchecked: "peer-\(number % 100)"), portal: PortalID(unchecked: "gate"),
            world: WorldID(unchecked: "harbour"), spawn: nil, epoch: Epoch(2), revision: 1, snapshotHash: hash,
            snapshot: snapshot, snapshotSize: Self.snapshot.count, clientKey: nil,
            decision: state == .completed ? UInt64(number) + 1 : nil, state: state, openedAt: now.timestamp,
            changedAt: now.timestamp)
    }

    @inline(never)
    static func look(_ ledger: HandoffLedger, _ samples: LedgerSamples, _ picks: [Int]) {
        for pick in picks { keep(ledger.record(samples.records[pick].id)) }
    }

    @inline(never)
    static func open(_ ledger: inout HandoffLedger, _ records: [HandoffRecord], at now: Now) throws {
        for record in records { _ = try ledger.prepare(record, at: now) }
    }
}

/// Players of this server who play here.
private struct PlayerSamples {
    private static let home = ServerID(unchecked: "home")
    private static let world = WorldID(unchecked: "quay")
    private static let state = [UInt8](repeating: 8, count: 64)

    let ids: [PlayerID]

    init(_ count: Int) {
        ids = (0..<count).map { PlayerID(name: PlayerName(unchecked: "player-\($0)"), home: Self.home) }
    }

    var records: [PlayerRecord] {
        ids.map {
            PlayerRecord(
                player: $0, world: Self.world, presence: .playable, epoch: .first, revision: 1, state: Array(Self.state)
            )
        }
    }

    @inline(never)
    static func look(_ players: PlayerTable, _ samples: PlayerSamples, _ picks: [Int]) {
        for pick in picks { keep(players[samples.ids[pick]]) }
    }

    @inline(never)
    static func save(_ players: inout PlayerTable, _ samples: PlayerSamples, _ picks: [Int]) throws {
        for pick in picks {
            _ = try players.enter(
                samples.ids[pick], world: world, state: state, clientKey: nil, epoch: .first, home: home)
        }
    }
}
