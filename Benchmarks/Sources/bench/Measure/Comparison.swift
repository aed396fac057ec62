/// Ours against theirs: alternating in one run, so that what the machine does meanwhile meets both.
struct Comparison {
    /// Pairs that are measured; the first two of each side warm up and do not count.
    static let pairs = 7
    private static let warmUp = 2
    static var rounds: Int { pairs + warmUp }

    /// Median nanoseconds of processor time for one operation.
    let ours: Double
    let theirs: Double
    /// The nanoseconds of one operation in each pair.
    let samples: [CostSample]
    /// The median of the pairs' ratios, and the lowest and highest: what the noise is.
    let ratio: Double
    let lowest: Double
    let highest: Double

    /// - Parameter operations: how many each closure carries out.
    init(operations: Int, ours: () throws -> Void, theirs: () throws -> Void) rethrows {
        var pairs: [(ours: Double, theirs: Double)] = []
        for round in 0..<Self.rounds {
            // Whoever comes second finds the caches of the first.
            let isSwapped = round % 2 == 1
            let first = try isSwapped ? Self.time(theirs) : Self.time(ours)
            let second = try isSwapped ? Self.time(ours) : Self.time(theirs)
            guard round >= Self.warmUp else { continue }
            pairs.append(isSwapped ? (second, first) : (first, second))
        }
        let ratios = pairs.map { $0.ours / $0.theirs }
        samples = pairs.map { CostSample(ours: $0.ours / Double(operations), lookUp: $0.theirs / Double(operations)) }
        self.ours = median(pairs.map(\.ours)) / Double(operations)
        self.theirs = median(pairs.map(\.theirs)) / Double(operations)
        ratio = median(ratios)
        lowest = ratios.min() ?? 0
        highest = ratios.max() ?? 0
    }

    private static func time(_ body: () throws -> Void) rethrows -> Double {
        let start = CPUTime.now
        try body()
        return CPUTime.now - start
    }
}

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard let last = sorted.last else { return 0 }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1
        ? sorted[middle] : (sorted[middle - 1] + (middle < sorted.count ? sorted[middle] : last)) / 2
}

/// Keeps a value from being optimised away.
@inline(never)
func keep<Value>(_ value: Value) {
    withExtendedLifetime(value) {}
}
