import FederationCore

/// Makes a failing run smaller: fewer faults, then fewer servers and players, as long as the same invariant breaks.
///
/// Faults are left out in groups that get smaller (Zeller's ddmin). The work is bounded by the events of all attempts
/// together, in proportion to the run: shrinking a long one takes longer, and no more than a few times as long as it took.
package struct Shrinker {
    /// The smallest run that was found.
    package struct Result: Sendable {
        package let options: SimulationOptions
        /// Of the last run, with its history.
        package let report: SimulationReport
        /// How many runs it took.
        package let attempts: Int
    }

    private static let maximumAttempts = 80
    /// What all attempts together may cost, in runs as long as the failing one.
    private static let maximumRuns = 8

    private let invariant: Invariant
    private let maximumEvents: Int
    private var best: SimulationOptions
    private var lastCrossing = 0
    private var attempts = 0
    private var events = 0

    /// Shrinks the run that `report` tells of; nil when it has no violation or does not break again.
    ///
    /// - Parameter leastEvents: what the attempts may cost together however short the run was, in events.
    package static func shrink(
        _ options: SimulationOptions, _ report: SimulationReport, leastEvents: Int = 20_000_000
    ) -> Result? {
        guard let violation = report.violation else { return nil }
        var candidate = options
        candidate.onlyFaults = report.faultNumbers
        candidate.keepsHistory = false
        // The run ends with the violation; a smaller one may need a little longer to get there.
        candidate.crossings = min(options.crossings, violation.crossing * 2 + 50)
        var shrinker = Shrinker(
            invariant: violation.invariant, maximumEvents: max(leastEvents, report.events * maximumRuns),
            best: candidate)
        guard shrinker.breaks(candidate) else { return nil }
        shrinker.dropFaults()
        shrinker.dropServers()
        shrinker.dropFaults()
        shrinker.dropCrossings()
        var final = shrinker.best
        final.keepsHistory = true
        return Result(options: final, report: Simulator.run(final), attempts: shrinker.attempts)
    }

    private init(invariant: Invariant, maximumEvents: Int, best: SimulationOptions) {
        self.invariant = invariant
        self.maximumEvents = maximumEvents
        self.best = best
    }

    private var isSpent: Bool { attempts >= Self.maximumAttempts || events >= maximumEvents }

    /// Whether a run breaks the same invariant; it is the best one then.
    private mutating func breaks(_ candidate: SimulationOptions) -> Bool {
        guard !isSpent else { return false }
        attempts += 1
        let report = Simulator.run(candidate)
        events += report.events
        guard let violation = report.violation, violation.invariant == invariant else { return false }
        best = candidate
        lastCrossing = violation.crossing
        // What was planned after the violation never happened.
        best.onlyFaults = best.onlyFaults.map { planned in planned.filter(report.faultNumbers.contains) }
        return true
    }

    private mutating func dropFaults() {
        guard let all = best.onlyFaults, !all.isEmpty else { return }
        var none = best
        none.onlyFaults = []
        if breaks(none) { return }
        var size = max(1, all.count / 2)
        while !isSpent {
            var start = 0
            while let faults = best.onlyFaults, start < faults.count, !isSpent {
                var candidate = best
                candidate.onlyFaults = Array(faults[..<start] + faults[min(start + size, faults.count)...])
                if !breaks(candidate) { start += size }
            }
            guard size > 1 else { return }
            size /= 2
        }
    }

    /// One more than it takes, so that the rest does not begin before the violation.
    private mutating func dropCrossings() {
        var candidate = best
        candidate.crossings = min(best.crossings, lastCrossing + 1)
        _ = breaks(candidate)
    }

    private mutating func dropServers() {
        for servers in [2, 3] where servers < best.servers {
            var candidate = best
            candidate.servers = servers
            if breaks(candidate) { break }
        }
        for players in [1, 2, 3] where players < best.playersPerServer {
            var candidate = best
            candidate.playersPerServer = players
            if breaks(candidate) { break }
        }
    }
}

extension SimulationOptions {
    /// The arguments with which `aether simulate` does this run again.
    package var arguments: [String] {
        var words = ["--seed", "\(seed)", "--crossings", "\(crossings)", "--servers", "\(servers)"]
        words += ["--players", "\(playersPerServer)", "--round", "\(crossingsPerRound)"]
        if faults != FaultKind.allCases { words += ["--faults", Self.list(faults.map(\.rawValue))] }
        if let onlyFaults { words += ["--only-faults", Self.list(onlyFaults.map(String.init))] }
        if let mutant { words += ["--mutant", mutant.rawValue] }
        return words
    }

    private static func list(_ words: [String]) -> String { words.isEmpty ? "none" : words.joined(separator: ",") }
}
