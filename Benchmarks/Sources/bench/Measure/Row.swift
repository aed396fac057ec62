/// One line of the table.
struct Row: Codable {
    let part: String
    let name: String
    var ours: Double
    /// Nil where there is nothing to compare with.
    var theirs: Double?
    let unit: String
    var ratio: Double?
    /// The lowest and highest ratio of a pair or of a round, of all runs of the day. Of a row with neither, those of the runs' own
    /// figures; nil after one run.
    var spread: [Double]?
    /// What the ratio is to be; nil where no aim is set.
    let aim: String?
    var met: Bool?
    /// What each run of the day said, if there were several; the row itself has their medians.
    var runs: [Run]?
    /// The day, in UTC, on which it was measured; nil of a row that is not kept yet.
    var date: String?
    /// ``Machine/name``; nil where it was not noted.
    var machine: String?
    /// What the same row said on other days and other machines, the newest first.
    var earlier: [Earlier]?

    /// What a row said on another day or another machine.
    struct Earlier: Codable {
        let date: String?
        let machine: String?
        let ratio: Double?
        /// Only where there was no ratio.
        let ours: Double?
        /// The noise of then; nil where it was not known.
        let spread: [Double]?
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

    /// - Parameter rounds: what the ratio was in each round, for the noise; empty where there are no rounds.
    init(
        _ part: String, _ name: String, ours: Double, theirs: Double?, unit: String, rounds: [Double] = [],
        atMost aim: Double?
    ) {
        self.part = part
        self.name = name
        self.ours = ours
        self.theirs = theirs
        self.unit = unit
        ratio = theirs.map { ours / $0 }
        spread = rounds.count > 1 ? [rounds.min() ?? 0, rounds.max() ?? 0] : nil
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
    /// What one run of a day said.
    struct Run: Codable {
        let ours: Double
        let theirs: Double?
        let ratio: Double?
        let spread: [Double]?

        init(_ row: Row) {
            ours = row.ours
            theirs = row.theirs
            ratio = row.ratio
            spread = row.spread
        }

        /// The lowest and the highest of what it found.
        fileprivate var range: [Double] { spread ?? [ratio ?? ours] }
    }

    /// Whether `other` is the same row of another run.
    func isSame(as other: Row) -> Bool { part == other.part && name == other.name }

    /// This row as measured on `day`, in place of `old`. The runs of one day on one machine count together: what the machine and
    /// its other tenants do changes from one moment to the next, and the pairs of one run do not show that.
    ///
    /// - Parameter anew: whether what was measured earlier that day counts no more.
    func measured(on day: String, _ machine: String, after old: Row?, anew: Bool) -> Row {
        var row = self
        row.date = day
        row.machine = machine
        guard let old else { return row }
        guard old.date == day, old.machine == machine else {
            let last = Earlier(
                date: old.date, machine: old.machine, ratio: old.ratio, ours: old.ratio == nil ? old.ours : nil,
                spread: old.spread)
            row.earlier = Array(([last] + (old.earlier ?? [])).prefix(Self.keptDays))
            return row
        }
        row.earlier = old.earlier
        if !anew { row.join((old.runs ?? [Run(old)]) + [Run(self)]) }
        return row
    }

    private static let keptDays = 8

    /// With what this row is compared: the newest from the same machine, else the newest of all.
    var previous: Earlier? { earlier?.first { machine != nil && $0.machine == machine } ?? earlier?.first }

    /// How what was measured before and what was measured now stand to each other. Each figure is taken as exactly as it is shown.
    enum Agreement {
        /// One of the figures lies in the noise of the other.
        case within
        /// Neither does, but what was measured then and now overlaps.
        case outside
        /// No pair or round of then had what one of now has.
        case apart
    }

    /// nil where nothing was measured before.
    var agreement: Agreement? {
        guard let previous, let before = previous.ratio ?? previous.ours else { return nil }
        let all = (previous.spread ?? []) + (spread ?? []) + [before, ratio ?? ours]
        guard !all.contains(where: \.isNaN) else { return nil }
        func shown(_ spread: [Double]?, _ figure: Double) -> ClosedRange<Double> {
            let bounds = (spread ?? [figure, figure]).map { ($0 * 100).rounded() }
            return min(bounds[0], bounds[1])...max(bounds[0], bounds[1])
        }
        let (then, now) = (shown(previous.spread, before), shown(spread, ratio ?? ours))
        if then.contains(shown(nil, ratio ?? ours).lowerBound) || now.contains(shown(nil, before).lowerBound) {
            return .within
        }
        return then.overlaps(now) ? .outside : .apart
    }

    /// Whether the day before was measured on a machine that is not known to be the same.
    var isOfAnotherMachine: Bool { previous.map { $0.machine == nil || $0.machine != machine } ?? false }

    private mutating func join(_ runs: [Run]) {
        self.runs = runs
        ours = median(runs.map(\.ours))
        theirs = theirs.map { _ in median(runs.compactMap(\.theirs)) }
        ratio = ratio.map { _ in median(runs.compactMap(\.ratio)) }
        let found = runs.flatMap(\.range)
        spread = [found.min() ?? 0, found.max() ?? 0]
        met = aim.flatMap(isMet)
    }

    /// Whether the figure that an aim judges, the ratio where there is one, is as `aim` wants it: `<= 0.5`, `>= 0.97`, `<= 0.3 s`.
    private func isMet(_ aim: String) -> Bool? {
        let words = aim.split(separator: " ")
        guard words.count >= 2, let bound = Double(words[1]) else { return nil }
        let figure = ratio ?? ours
        return words[0] == "<=" ? figure <= bound : figure >= bound
    }
}
