import FederationCore
import FederationCrypto
import FederationModel

/// Handoffs that are over, and others that have not begun. The loop is never inlined: see ``CoreLoops``.
struct LedgerSamples {
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
    static func open(_ ledger: inout HandoffLedger, _ records: [HandoffRecord], at now: Now) throws {
        for record in records { _ = try ledger.prepare(record, at: now) }
    }
}

/// Players of this server who play here.
struct PlayerSamples {
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
    static func save(_ players: inout PlayerTable, _ samples: PlayerSamples, _ picks: [Int]) throws {
        for pick in picks {
            _ = try players.enter(
                samples.ids[pick], world: world, state: state, clientKey: nil, epoch: .first, home: home)
        }
    }
}
