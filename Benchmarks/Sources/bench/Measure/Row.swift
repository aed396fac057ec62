/// One line of the table.
struct Row: Codable {
    let part: String
    let name: String
    let ours: Double
    /// Nil where there is nothing to compare with.
    let theirs: Double?
    let unit: String
    let ratio: Double?
    /// The lowest and highest ratio of a pair.
    let spread: [Double]?
    /// What the ratio is to be; nil where no aim is set.
    let aim: String?
    let met: Bool?
    /// The day, in UTC, on which it was measured; nil of a row that is not kept yet.
    var date: String?
    /// What the same row said the last time before, on another day.
    var previous: Previous?

    /// What a row said on an earlier day.
    struct Previous: Codable {
        let date: String?
        let ratio: Double?
        /// Only where there was no ratio.
        let ours: Double?
    }

    init(_ part: String, _ name: String, _ comparison: Comparison, unit: String = "ns", atMost aim: Double?) {
        self.part = part
        self.name = name
        ours = comparison.ours
        theirs = comparison.theirs
        self.unit = unit
        ratio = comparison.ratio
        spread = [comparison.lowest, comparison.highest]
        self.aim = aim.map { "<= \($0)" }
        met = aim.map { comparison.ratio <= $0 }
    }

    init(
        _ part: String, _ name: String, ours: Double, theirs: Double?, unit: String, atMost aim: Double?
    ) {
        self.part = part
        self.name = name
        self.ours = ours
        self.theirs = theirs
        self.unit = unit
        ratio = theirs.map { ours / $0 }
        spread = nil
        self.aim = aim.map { "<= \($0)" }
        met = aim.flatMap { aim in theirs.map { ours / $0 <= aim } }
    }

    init(_ part: String, _ name: String, ours: Double, theirs: Double, unit: String, atLeast aim: Double) {
        self.part = part
        self.name = name
        self.ours = ours
        self.theirs = theirs
        self.unit = unit
        ratio = ours / theirs
        spread = nil
        self.aim = ">= \(aim)"
        met = ours / theirs >= aim
    }

    /// A figure that is compared with nothing: the median of `values`, which is itself to be at most `aim`.
    init(_ part: String, _ name: String, values: [Double], unit: String, atMost aim: Double?) {
        self.part = part
        self.name = name
        ours = median(values)
        theirs = nil
        self.unit = unit
        ratio = nil
        spread = values.count > 1 ? [values.min() ?? 0, values.max() ?? 0] : nil
        self.aim = aim.map { "<= \($0) \(unit)" }
        met = aim.map { median(values) <= $0 }
    }
}

extension Row {
    /// Whether `other` is the same row of another run.
    func isSame(as other: Row) -> Bool { part == other.part && name == other.name }

    /// This row as measured on `day`, in place of `old`.
    func measured(on day: String, after old: Row?) -> Row {
        var row = self
        row.date = day
        guard let old else { return row }
        // Of several runs on one day the last counts; what it is compared with stays.
        row.previous =
            old.date == day
            ? old.previous
            : Previous(date: old.date, ratio: old.ratio, ours: old.ratio == nil ? old.ours : nil)
        return row
    }
}
