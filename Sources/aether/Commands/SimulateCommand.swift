import ArgumentParser
import FederationCore
import FederationModel
import FederationSimulator

struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract:
            "Run whole federations under one seed, with every fault there is, and check the promise after each event.",
        discussion: """
            The servers are real in everything but clock, disk and network. The same arguments give the same run and the \
            same digest on every machine. Exit 1 when an invariant is broken; the run is then shortened and printed with the \
            command that repeats it.
            """)

    @Option(help: "What everything follows from; a fresh one when left out.")
    var seed: UInt64?

    @Option(help: "How many seeds to run, from the first one upwards.")
    var seeds = 1

    @Option(help: "Handoffs to begin with each seed.")
    var crossings = 10_000

    @Option(help: "Honest servers; one hostile peer comes on top.")
    var servers = 3

    @Option(help: "Players at home on each server.")
    var players = 6

    @Option(help: "Crossings between two rests, at which faults stop and everything must come to an end.")
    var round = 1_000

    @Option(help: ArgumentHelp("Which faults may happen: 'all', 'none' or a list with commas.", valueName: "kinds"))
    var faults = "all"

    @Option(help: ArgumentHelp("Only the planned faults with these numbers, or 'none'.", valueName: "numbers"))
    var onlyFaults: String?

    @Option(help: ArgumentHelp("Plant a bug, which the run should find; see --list-mutants.", valueName: "name"))
    var mutant: String?

    @Option(
        help: ArgumentHelp(
            """
            Print what happened to this handoff ('#25') or player, and to whole servers, instead of shortening a run that \
            fails; may be repeated.
            """,
            valueName: "name"))
    var watch: [String] = []

    @Flag(help: "List the bugs that can be planted.")
    var listMutants = false

    @Flag(help: "Do not shorten a run that fails.")
    var noShrink = false

    @Flag(help: "End with one JSON object.")
    var json = false

    func run() throws {
        if listMutants { return printMutants() }
        var options = try options(seed: seed ?? UInt64.random(in: 1...(1 << 48)))
        // Before anything can go wrong: a run that traps or hangs ends without its last line.
        let last = options.seed &+ UInt64(seeds - 1)
        Terminal.error(seeds == 1 ? "seed \(options.seed)" : "seeds \(options.seed) to \(last)")
        var total = SimulationTotal(first: options.seed)
        let clock = ContinuousClock()
        let start = clock.now
        for _ in 0..<seeds {
            let begun = total.crossings
            let seed = options.seed
            let report = Simulator.run(options) { Terminal.progress("seed \(seed): \(begun + $0) crossings") }
            Terminal.progress("")
            total.add(report)
            if !json { Terminal.say(Self.line(report)) }
            for line in report.history { Terminal.say("  \(line)") }
            if report.violation != nil {
                let shrunk = noShrink || !watch.isEmpty ? nil : Shrinker.shrink(options, report)
                total.failure = SimulationTotal.Failure(report: report, options: options, shrunk: shrunk)
                break
            }
            options.seed &+= 1
        }
        total.seconds = Self.seconds(clock.now - start)
        if json { Terminal.say(total.json) } else { total.say() }
        if total.failure != nil { throw ExitCode(1) }
    }

    private func options(seed: UInt64) throws -> SimulationOptions {
        guard SimulationOptions.serverBounds.contains(servers) else {
            throw ValidationError("--servers \(servers): a simulation has 2 to 16 servers; give a number in between")
        }
        guard crossings > 0, players > 0, round > 0, seeds > 0, players <= 1_000 else {
            throw ValidationError("--crossings, --players (at most 1000), --round and --seeds count from 1")
        }
        for name in watch where !name.contains("@") && (name.first != "#" || UInt64(name.dropFirst()) == nil) {
            throw ValidationError("--watch \(name): give a handoff like '#25' or a player like 'p3@gamma'")
        }
        guard watch.isEmpty || !json else {
            throw ValidationError("--watch prints lines and --json one object; give one of them")
        }
        var options = SimulationOptions(
            seed: seed, crossings: crossings, servers: servers, playersPerServer: players, faults: try kinds(),
            mutant: try planted(), onlyFaults: try numbers(), crossingsPerRound: round, keepsHistory: !watch.isEmpty)
        options.watched = watch
        return options
    }

    private func kinds() throws -> [FaultKind] {
        if faults == "all" { return FaultKind.allCases }
        if faults == "none" { return [] }
        return try faults.split(separator: ",").map { word in
            guard let kind = FaultKind(rawValue: String(word)) else {
                let known = FaultKind.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("--faults \(word): there is no such fault; choose from \(known)")
            }
            return kind
        }
    }

    private func numbers() throws -> [Int]? {
        guard let onlyFaults else { return nil }
        if onlyFaults == "none" { return [] }
        return try onlyFaults.split(separator: ",").map { word in
            guard let number = Int(word), number >= 0 else {
                throw ValidationError("--only-faults \(word): give numbers of planned faults with commas in between")
            }
            return number
        }.sorted()
    }

    private func planted() throws -> PlantedBug? {
        guard let mutant else { return nil }
        guard let bug = PlantedBug(rawValue: mutant) else {
            throw ValidationError("--mutant \(mutant): there is no such bug; see aether simulate --list-mutants")
        }
        return bug
    }

    private func printMutants() {
        let names = PlantedBug.allCases.map(\.rawValue)
        if json { Terminal.say(jsonLine(["mutants": names])) } else { names.forEach { Terminal.say($0) } }
    }

    private static func line(_ report: SimulationReport) -> String {
        let faults = report.faults.values.reduce(0, +)
        return
            "seed \(report.seed): \(report.crossings) crossings, \(report.committed) committed, \(report.aborted) aborted, "
            + "\(faults) faults, \(report.rests) rests, \(Int(report.seconds)) s of simulated time, "
            + "digest \(report.digest.prefix(16))…"
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }
}
