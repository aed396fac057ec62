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

/// The cost of one operation at different sizes, and of what stands beside it.
struct GrowthCurve {
    /// Ours, and the look-up, in nanoseconds.
    private var costs: [(count: Int, ours: Double, lookUp: Double)] = []
    private let what: String
    private let beside: String

    /// - Parameter beside: what is looked up beside it.
    init(_ what: String, beside: String) {
        self.what = what
        self.beside = beside
    }

    mutating func add(_ count: Int, ours: Double, lookUp: Double) {
        costs.append((count, ours, lookUp))
    }

    /// How many times the cost at the largest size is that at the smallest: against the logarithm, and against the look-up.
    func rows() -> [Row] {
        guard let small = costs.first, let large = costs.last, small.count < large.count else { return [] }
        let grown = large.ours / small.ours
        let name = "\(what), \(short(small.count)) to \(short(large.count))"
        return [
            Row(
                GrowthPart.name, "\(name), against the logarithm", ours: grown,
                theirs: log(Double(large.count)) / log(Double(max(small.count, 2))), unit: "×", atMost: 1),
            Row(
                GrowthPart.name, "\(name), against \(beside)", ours: grown, theirs: large.lookUp / small.lookUp,
                unit: "×", atMost: nil),
        ]
    }
}
