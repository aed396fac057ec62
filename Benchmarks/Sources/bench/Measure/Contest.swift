import Foundation

/// Two or more ways to do the same, each in turn in every round, for what awaits: what the machine does meanwhile meets
/// all of them. The first is ours.
struct Contest {
    /// One way to do it.
    struct Contender {
        let name: String
        let body: () async throws -> Void

        init(_ name: String, _ body: @escaping () async throws -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Nanoseconds of the whole process, and of the wall's clock.
    struct Sample {
        let processor: Double
        let wall: Double
    }

    /// Rounds that are measured; the two before them warm up and do not count.
    static let rounds = 7
    private static let warmUp = 2
    static var allRounds: Int { rounds + warmUp }

    let operations: Int
    let names: [String]
    /// One for each contender of each round.
    private let samples: [[Sample]]

    /// - Parameters:
    ///   - operations: how many each body carries out.
    ///   - processorTime: nanoseconds so far; of this process and those that it has started, if nothing else is said.
    init(
        operations: Int, _ contenders: [Contender],
        processorTime: () async throws -> Double = { CPUTime.now + CPUTime.ofChildren }
    ) async throws {
        var rounds: [[Sample]] = []
        for round in 0..<(Self.rounds + Self.warmUp) {
            var samples: [Int: Sample] = [:]
            // Whoever comes next finds the caches of the one before: everybody has every place.
            for place in contenders.indices {
                let index = (place + round) % contenders.count
                samples[index] = try await Self.time(contenders[index].body, processorTime)
            }
            if round >= Self.warmUp { rounds.append(contenders.indices.compactMap { samples[$0] }) }
        }
        self.operations = operations
        names = contenders.map(\.name)
        samples = rounds
    }

    private static func time(
        _ body: () async throws -> Void, _ processorTime: () async throws -> Double
    ) async throws -> Sample {
        let clock = ContinuousClock()
        let processor = try await processorTime()
        let start = clock.now
        try await body()
        let wall = clock.now - start
        return Sample(
            processor: try await processorTime() - processor,
            wall: Double(wall.components.seconds) * 1e9 + Double(wall.components.attoseconds) / 1e9)
    }

    /// Nanoseconds of one operation by a contender.
    func cost(_ contender: Int, by time: KeyPath<Sample, Double>) -> Double {
        median(costs(contender, by: time))
    }

    /// The same of each round.
    func costs(_ contender: Int, by time: KeyPath<Sample, Double>) -> [Double] {
        samples.map { $0[contender][keyPath: time] / Double(operations) }
    }

    /// Of each round, ours ÷ theirs.
    func ratios(to contender: Int, by time: KeyPath<Sample, Double>) -> [Double] {
        samples.map { $0[0][keyPath: time] / $0[contender][keyPath: time] }
    }
}

extension Row {
    /// A rate: `scale` × operations for each second of `time`, ours against that of a contender.
    init(
        _ part: String, _ name: String, rate contest: Contest, to contender: Int,
        by time: KeyPath<Contest.Sample, Double>,
        scale: Double = 1, unit: String, atLeast aim: Double? = nil
    ) {
        let ratios = contest.ratios(to: contender, by: time).map { 1 / $0 }
        self.init(
            part, name, ours: scale * 1e9 / contest.cost(0, by: time),
            theirs: scale * 1e9 / contest.cost(contender, by: time), unit: unit, ratios: ratios,
            aim: aim.map { ">= \($0)" }, met: aim.map { median(ratios) >= $0 })
    }

    /// A cost of one operation in `unit`, which is so many nanoseconds.
    init(
        _ part: String, _ name: String, cost contest: Contest, to contender: Int,
        by time: KeyPath<Contest.Sample, Double>,
        unit: String, nanoseconds: Double, atMost aim: Double? = nil
    ) {
        let ratios = contest.ratios(to: contender, by: time)
        self.init(
            part, name, ours: contest.cost(0, by: time) / nanoseconds,
            theirs: contest.cost(contender, by: time) / nanoseconds, unit: unit, ratios: ratios,
            aim: aim.map { "<= \($0)" }, met: aim.map { median(ratios) <= $0 })
    }

    init(
        _ part: String, _ name: String, ours: Double, theirs: Double, unit: String, ratios: [Double], aim: String?,
        met: Bool?
    ) {
        self.part = part
        self.name = name
        self.ours = ours
        self.theirs = theirs
        self.unit = unit
        ratio = median(ratios)
        spread = [ratios.min() ?? 0, ratios.max() ?? 0]
        self.aim = aim
        self.met = met
    }
}
