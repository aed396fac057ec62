/// What became of a number of crossings.
struct CrossingTimes: Codable {
    /// Nanoseconds from the wish to travel to the destination's receipt.
    var crossings: [Int64] = []
    /// Nanoseconds from the wish to travel to the redirect, with which the player's client leaves.
    var redirects: [Int64] = []
    /// Players who were returned, by the code that they were told.
    var returned: [String: Int] = [:]

    var returnedCount: Int { returned.values.reduce(0, +) }

    static func += (left: inout Self, right: Self) {
        left.crossings += right.crossings
        left.redirects += right.redirects
        left.returned.merge(right.returned, uniquingKeysWith: +)
    }

    /// The least value that so many thousandths of all values do not exceed; NaN of nothing.
    func quantile(_ thousandths: Int, of values: KeyPath<Self, [Int64]>) -> Double {
        Self.quantile(thousandths, of: self[keyPath: values])
    }

    static func quantile(_ thousandths: Int, of values: [Int64]) -> Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return .nan }
        let place = (sorted.count * thousandths + 999) / 1_000 - 1
        return Double(sorted[min(max(place, 0), sorted.count - 1)])
    }
}
