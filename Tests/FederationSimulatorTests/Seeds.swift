import FederationCore

@testable import FederationSimulator

/// The seeds that are always run, and what they must give.
enum Seeds {
    /// What went wrong when the runs below were found: with more kinds of faults they are other runs.
    static let faultsThen = FaultKind.allCases.filter { ![.loss, .duplication, .reordering].contains($0) }

    static let fixed: [UInt64] = [1, 2, 3, 5, 8, 13, 21, 34]

    /// Runs that once stopped, with what the reason was. They stay.
    static let onceFailing: [SimulationOptions] = [
        // The model did not see that a restore took the only copy of a player whom it had lost sight of before.
        SimulationOptions(seed: 3_000_154, crossings: 1_000, faults: faultsThen),
        // Another server's word keeps a portal open for a while; the one who looks from outside did not know.
        SimulationOptions(seed: 3_000_326, crossings: 1_000, faults: faultsThen),
        // A recall ends what was reserved in the same transaction: the accept is sent all the same.
        SimulationOptions(seed: 3_000_481, crossings: 1_000, faults: faultsThen),
        // The hostile peer let a void copy take the place of the newer one.
        SimulationOptions(seed: 3_000_586, crossings: 1_000, faults: faultsThen),
        // A restored destination took a player who had come and gone for one who was taken back.
        SimulationOptions(seed: 30_000_545, crossings: 850),
        SimulationOptions(seed: 30_000_747, crossings: 460),
        // A destination gave a receipt for a handoff that was void, because the player had come by a later one.
        SimulationOptions(seed: 30_000_622, crossings: 890),
        // Who is withdrawn at a door may stand there once more, by a late offer, before that is said.
        SimulationOptions(seed: 60_000_146, crossings: 100),
    ]

    /// Of seed 7 with 60 crossings.
    static let digestOfSeven = "9f8ef74a8f75deef95bc553674122a75f4212c96f410b5ad26c9a451da0671b9"

    /// A planted bug, and how it is found.
    struct Planted: Sendable, CustomStringConvertible {
        let bug: PlantedBug
        /// One of these is the first to break: which one depends on who looks first.
        let invariants: [Invariant]
        /// Crossings within which it is found, over as many seeds as that takes, from 1 on.
        let within: Int
        /// Players at home on each server; with fewer of them more time passes between two crossings.
        var players = 6
        /// What goes wrong: everything but lost, doubled and late frames, where that finds it soon enough.
        var faults = Seeds.faultsThen
        /// Of each seed.
        var crossings = 300

        var description: String { "\(bug.rawValue) within \(within) crossings" }

        /// Looks for the bug. The options and the report of the run that found it; nil when none did within the bound.
        func find() -> (SimulationOptions, SimulationReport)? {
            var left = within
            var seed: UInt64 = 1
            while left > 0 {
                let options = SimulationOptions(
                    seed: seed, crossings: min(left, crossings), playersPerServer: players, faults: faults, mutant: bug,
                    crossingsPerRound: 60)
                let report = Simulator.run(options)
                if report.violation != nil { return (options, report) }
                left -= max(1, report.crossings)
                seed += 1
            }
            return nil
        }
    }

    static let planted: [Planted] = [
        Planted(bug: .commitBeforeReservation, invariants: [.decisionFollowsReservation], within: 10),
        Planted(bug: .acceptBeforeDurable, invariants: [.durableBeforeSaid], within: 10),
        Planted(bug: .sendBeforeDurable, invariants: [.durableBeforeSaid], within: 10),
        Planted(
            bug: .abortAfterCommit, invariants: [.statesAdvance, .onePlace, .savesAreKept, .modelAgrees], within: 3_000,
            players: 2, faults: [.delay, .stall, .partition]),
        Planted(bug: .presumedCommit, invariants: [.onePlace, .savesAreKept, .modelAgrees], within: 500),
        Planted(bug: .epochNotCompared, invariants: [.savesAreKept], within: 500),
        Planted(bug: .staleOfferTaken, invariants: [.modelAgrees], within: 3_000),
        Planted(
            bug: .redeemedOutsideTransaction, invariants: [.oneRedemption], within: 500, players: 1,
            faults: [.crashAtEffect], crossings: 60),
        Planted(bug: .duplicateOfferReservedTwice, invariants: [.statesAdvance], within: 3_000),
        Planted(bug: .staleHealthUsed, invariants: [.routesLeadToTrusted], within: 3_000, players: 1),
        Planted(bug: .trustKeptAfterKeyChange, invariants: [.trustNeedsHandshake], within: 2_000, players: 2),
        Planted(
            bug: .trustKeptAfterSuspension, invariants: [.trustNeedsHandshake, .routesLeadToTrusted], within: 1_000),
        Planted(
            bug: .recoveryResumesCommitted,
            invariants: [.onePlace, .modelAgrees, .savesAreKept, .everyoneSomewhere, .memoryMatchesDisk], within: 1_500,
            players: 2),
        Planted(bug: .receiptNotVerified, invariants: [.receiptsAreGenuine], within: 500),
        Planted(
            bug: .ledgerCompactedEarly, invariants: [.memoryMatchesDisk, .nothingOpen], within: 1_500, players: 2),
        Planted(bug: .snapshotRevisionIgnored, invariants: [.revisionsRise], within: 200),
        Planted(bug: .reservationTimesOut, invariants: [.reservationsWait], within: 1_500, players: 2),
        Planted(bug: .frozenStateChanges, invariants: [.frozenStateStands], within: 500),
        Planted(bug: .reservationPlayable, invariants: [.modelAgrees, .onePlace], within: 50),
        Planted(bug: .epochNotRaised, invariants: [.modelAgrees], within: 50),
        Planted(bug: .strangerCallsOff, invariants: [.reservationsWait], within: 2_000),
        Planted(bug: .callOffAfterCommit, invariants: [.onePlace, .statesAdvance, .savesAreKept], within: 500),
        Planted(bug: .recallIgnored, invariants: [.recallsHold], within: 200, faults: [.takenBack, .partition]),
        Planted(
            bug: .recallForgotten, invariants: [.recallsHold], within: 500, players: 2,
            faults: [.takenBack, .restoredFromBackup, .partition], crossings: 60),
        Planted(
            bug: .recallNotRepeated, invariants: [.everyoneSomewhere], within: 300, players: 2,
            faults: [.takenBack, .powerLoss, .partition]),
        Planted(bug: .reclaimKeepsTerm, invariants: [.modelAgrees], within: 200, faults: [.takenBack]),
        Planted(
            bug: .evidenceNotBelieved, invariants: [.onePlace], within: 500, players: 3, faults: [.restoredFromBackup]),
        Planted(
            bug: .evidenceLowersCount, invariants: [.decisionsRise], within: 1_500, players: 2,
            faults: [.hostileFrames, .takenBack]),
        Planted(bug: .guardNotAsked, invariants: [.guardsDecide], within: 200, faults: [.guardedWorld]),
        Planted(bug: .lateRefusalCounts, invariants: [.reservationsWait], within: 200, faults: [.guardedWorld]),
        Planted(
            bug: .acceptTimeoutIgnored, invariants: [.waitIsBounded], within: 500, players: 2,
            faults: [.loss, .delay, .partition]),
        Planted(bug: .decisionNotRepeated, invariants: [.nothingOpen], within: 300, players: 2, faults: [.loss]),
        Planted(
            bug: .tornTransactionTaken,
            invariants: [
                .onePlace, .modelAgrees, .savesAreKept, .everyoneSomewhere, .memoryMatchesDisk, .statesAdvance,
                .durableBeforeSaid, .decisionsRise, .revisionsRise, .ledgersAgree, .nothingOpen,
            ], within: 6_000, players: 1, faults: [.powerLoss], crossings: 1_000),
        Planted(
            bug: .passageLimitIgnored, invariants: [.boundsHold], within: 3_000, players: 1, faults: [.hostileFrames],
            crossings: 3_000),
    ]
}
