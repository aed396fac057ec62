import Foundation

/// How each cost grows with what there is of it. No cost is to grow faster than the logarithm of the size. Because caches
/// alone break that for anything that is looked up, a look-up in as many bytes stands beside it; see ``GrowthProbe``.
struct GrowthPart {
    static let name = "growth"
    static let counts = [1_000, 10_000, 100_000, 1_000_000]

    func run(_ table: inout ResultTable) async throws {
        try TableGrowth().run(&table)
        try await AssetGrowth().run(&table)
        try await PeerGrowth().run(&table)
    }
}

/// What one operation cost in one round, ours and what stands beside it, in nanoseconds.
struct CostSample {
    let ours: Double
    let lookUp: Double
}

/// The cost of one operation at different sizes, and of what stands beside it.
struct GrowthCurve {
    private var costs: [(count: Int, samples: [CostSample])] = []
    private let what: String
    private let beside: String

    /// - Parameter beside: what is looked up beside it.
    init(_ what: String, beside: String) {
        self.what = what
        self.beside = beside
    }

    /// - Parameter samples: one of each round, never empty, and as many at each size.
    mutating func add(_ count: Int, _ samples: [CostSample]) {
        costs.append((count, samples))
    }

    /// How many times the cost at the largest size is that at the smallest: against the logarithm, and against the look-up.
    /// The noise is that of the rounds, each with the round of the same number at the other size.
    func rows() -> [Row] {
        guard let small = costs.first, let large = costs.last, small.count < large.count else { return [] }
        let logarithm = log(Double(large.count)) / log(Double(max(small.count, 2)))
        let rounds = zip(large.samples, small.samples).map { large, small in
            (grown: large.ours / small.ours, lookUp: large.lookUp / small.lookUp)
        }
        let name = "\(what), \(short(small.count)) to \(short(large.count))"
        return [
            Row(
                GrowthPart.name, "\(name), against the logarithm", grown: rounds.map { ($0.grown, logarithm) },
                atMost: 1),
            Row(
                GrowthPart.name, "\(name), against \(beside)", grown: rounds.map { ($0.grown, $0.lookUp) }, atMost: nil),
        ]
    }
}

extension Row {
    /// How many times a cost has grown, against how many times it may have; of each round.
    init(_ part: String, _ name: String, grown rounds: [(ours: Double, theirs: Double)], atMost aim: Double?) {
        let ratios = rounds.map { $0.ours / $0.theirs }
        self.init(
            part, name, ours: median(rounds.map(\.ours)), theirs: median(rounds.map(\.theirs)), unit: "×",
            ratios: ratios,
            aim: aim.map { "<= \($0)" }, met: aim.map { median(ratios) <= $0 })
    }
}
