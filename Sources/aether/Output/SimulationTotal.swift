import FederationCore
import FederationCrypto
import FederationModel
import FederationSimulator

/// What the runs of one `aether simulate` did together.
struct SimulationTotal {
    /// A run that broke an invariant.
    struct Failure {
        let report: SimulationReport
        let options: SimulationOptions
        let shrunk: Shrinker.Result?

        /// The command that repeats it.
        var command: String {
            var options = shrunk?.options ?? options
            options.keepsHistory = false
            return (["aether", "simulate"] + options.arguments).joined(separator: " ")
        }
    }

    let first: UInt64
    private(set) var crossings = 0
    private(set) var committed = 0
    private(set) var aborted = 0
    private(set) var redeemed = 0
    private(set) var faults: [String: Int] = [:]
    private(set) var digests: [String] = []
    private(set) var simulatedSeconds = 0.0
    var seconds = 0.0
    var failure: Failure?

    init(first: UInt64) {
        self.first = first
    }

    mutating func add(_ report: SimulationReport) {
        crossings += report.crossings
        committed += report.committed
        aborted += report.aborted
        redeemed += report.redeemed
        for (kind, count) in report.faults { faults[kind.rawValue, default: 0] += count }
        digests.append(report.digest)
        simulatedSeconds += report.seconds
    }

    private var rate: Int { seconds > 0 ? Int(Double(crossings) / seconds) : 0 }

    /// Of the only run, or SHA-256 over the digests of all of them, with a line feed after each.
    private var digest: String {
        guard digests.count != 1 else { return digests[0] }
        return ContentHash.of(Array(digests.map { $0 + "\n" }.joined().utf8)).description
    }

    /// One object.
    var json: String {
        var object: [String: Any] = [
            "seed": first, "seeds": digests.count, "crossings": crossings, "committed": committed, "aborted": aborted,
            "redeemed": redeemed, "faults": faults, "violations": failure == nil ? 0 : 1,
            "digest": digest, "simulated_seconds": simulatedSeconds,
            "crossings_per_second": rate,
        ]
        if let failure, let violation = failure.report.violation {
            object["violation"] =
                [
                    "seed": failure.report.seed, "invariant": violation.invariant.rawValue, "detail": violation.detail,
                    "crossing": violation.crossing, "command": failure.command,
                    "history": failure.shrunk?.report.history.suffix(60).map(\.self) ?? [],
                ] as [String: Any]
        }
        return jsonLine(object)
    }

    func say() {
        guard let failure, let violation = failure.report.violation else {
            return Terminal.say("\(crossings) crossings, no violation, \(rate) crossings a second")
        }
        Terminal.say(Terminal.styled("violation", .red) + " with seed \(failure.report.seed): \(violation)")
        if let shrunk = failure.shrunk {
            let count = shrunk.options.onlyFaults?.count ?? 0
            Terminal.say(
                "shortened in \(shrunk.attempts) runs to \(shrunk.options.crossings) crossings and \(count) faults:")
            for line in shrunk.report.history.suffix(60) { Terminal.say("  \(line)") }
            if let violation = shrunk.report.violation { Terminal.say("  \(violation)") }
        }
        Terminal.say("again: \(failure.command)")
    }
}
