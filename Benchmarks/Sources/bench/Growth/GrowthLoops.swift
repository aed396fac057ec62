import FederationCore
import FederationModel

/// The look-ups whose growth is measured, each of an entry whose number depends on what the one before has found, so that
/// the processor cannot fetch several entries at once: that would hide what the caches do. What is found never moves the
/// number, which the compiler cannot know. Never inlined: see ``CoreLoops``.
enum GrowthLoops {
    @inline(never)
    static func status(_ registry: ServerRegistry, _ tables: CoreTables, _ picks: [Int]) throws {
        var found = 0
        for pick in picks { found = registry.status(of: tables.ids[pick + found]) == .suspended ? 1 : 0 }
        guard found == 0 else { throw CoreTables.Problem.sample }
    }

    @inline(never)
    static func isActive(_ routing: RoutingTable, _ tables: CoreTables, _ picks: [Int]) throws {
        var found = 0
        for pick in picks { found = routing.isActive(tables.portals[pick + found]) == false ? 1 : 0 }
        guard found == 0 else { throw CoreTables.Problem.sample }
    }

    @inline(never)
    static func record(_ ledger: HandoffLedger, _ samples: LedgerSamples, _ picks: [Int]) throws {
        var found = 0
        for pick in picks {
            found = ledger.record(samples.records[pick + found].id).map(distance) ?? 1
        }
        guard found == 0 else { throw CoreTables.Problem.sample }
    }

    @inline(never)
    static func player(_ players: PlayerTable, _ samples: PlayerSamples, _ picks: [Int]) throws {
        var found = 0
        for pick in picks { found = players[samples.ids[pick + found]].map(distance) ?? 1 }
        guard found == 0 else { throw CoreTables.Problem.sample }
    }

    /// How far a sample is from its first revision, which all of them are at.
    @inline(__always)
    private static func distance(_ record: HandoffRecord) -> Int { Int(truncatingIfNeeded: record.revision) - 1 }

    @inline(__always)
    private static func distance(_ record: PlayerRecord) -> Int { Int(truncatingIfNeeded: record.revision) - 1 }
}
