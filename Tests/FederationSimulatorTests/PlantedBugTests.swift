import FederationCore
import Testing

@testable import FederationSimulator

/// The simulator's test of itself: each mistake in the real logic is found, by the invariant that it breaks, within so many
/// crossings.
@Suite("Planted bugs", .simulations)
struct PlantedBugTests {
    @Test("are found by the invariant that they break", arguments: Seeds.planted)
    func found(_ planted: Seeds.Planted) throws {
        let (_, report) = try #require(planted.find(), "\(planted) was not found")
        let violation = try #require(report.violation)
        #expect(planted.invariants.contains(violation.invariant), "\(planted): \(violation)")
    }

    @Test("are all in the table")
    func complete() {
        #expect(Set(Seeds.planted.map(\.bug)) == Set(PlantedBug.allCases))
        #expect(PlantedBug.allCases.count >= 14)
    }

    @Test("a failing run is shortened to one that fails alike, with the arguments that repeat it")
    func shrinking() throws {
        let planted = try #require(Seeds.planted.first { $0.bug == .epochNotCompared })
        let (options, report) = try #require(planted.find())
        let shrunk = try #require(Shrinker.shrink(options, report))
        #expect(shrunk.report.violation?.invariant == report.violation?.invariant)
        #expect(shrunk.report.faultNumbers.count <= report.faultNumbers.count)
        #expect(!shrunk.report.history.isEmpty)
        // Again from the options that the arguments stand for.
        #expect(Simulator.run(shrunk.options).digest == shrunk.report.digest)
        let arguments = shrunk.options.arguments.joined(separator: " ")
        #expect(arguments.contains("--seed \(options.seed)") && arguments.contains("--mutant epochNotCompared"))
        #expect(arguments.contains("--only-faults"))
    }

    @Test("however long a run was, shortening it does not end with the first attempt")
    func budget() throws {
        let planted = try #require(Seeds.planted.first { $0.bug == .commitBeforeReservation })
        let (options, report) = try #require(planted.find())
        let shrunk = try #require(Shrinker.shrink(options, report, leastEvents: 1))
        #expect(shrunk.attempts > 1)
        #expect(shrunk.report.violation?.invariant == report.violation?.invariant)
    }

    @Test("a run that holds has nothing to shorten")
    func nothingToShrink() {
        let options = SimulationOptions(seed: 1, crossings: 10, faults: [])
        #expect(Shrinker.shrink(options, Simulator.run(options)) == nil)
    }
}
