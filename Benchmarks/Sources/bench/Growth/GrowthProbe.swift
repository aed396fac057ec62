/// One operation on a table, measured at each size in two ways: on entries all over the table, where caches count, and on
/// the same few again and again, which stay in the caches at any size, so that only the steps count.
struct GrowthProbe {
    /// What an operation does.
    enum Kind {
        /// Looks something up, and waits for what the operation before has found.
        case lookUp
        /// Changes an entry that is there.
        case change
        /// Adds an entry, which cannot be done again with the same few.
        case addition
    }

    private static let operations = 200_000
    /// Of what adds an entry that stays: all rounds together are half of the smallest table.
    static let additions = 50
    /// All that they touch is to fit into the nearest caches.
    private static let few = 64

    private let what: String
    private let kind: Kind
    private var everywhere: GrowthCurve
    private var again: GrowthCurve

    init(_ what: String, _ kind: Kind) {
        self.what = what
        self.kind = kind
        everywhere = GrowthCurve(what, beside: "a look-up in as many bytes")
        again = GrowthCurve("\(what), the same \(Self.few)", beside: "as many bytes")
    }

    /// Measures at one size.
    ///
    /// - Parameter body: carries out one operation for each number of an entry.
    mutating func measure(
        _ count: Int, beside bytes: LookUpBytes, _ table: inout ResultTable, _ body: ([Int]) throws -> Void
    ) throws {
        var random = SplitMix(seed: 43)
        let picks = (0..<(kind == .addition ? Self.additions : Self.operations)).map { _ in
            Int(random.next() % UInt64(count))
        }
        let comparison = try compare(picks, bytes, body)
        table.add(
            Row(GrowthPart.name, "\(what), \(short(count)), a look-up in as many bytes", comparison, atMost: nil))
        everywhere.add(count, comparison.samples)
        guard kind != .addition else { return }
        let same = try compare(picks.indices.map { picks[$0 % Self.few] }, bytes, body)
        table.add(
            Row(GrowthPart.name, "\(what), the same \(Self.few), \(short(count)), bytes", same, atMost: nil))
        again.add(count, same.samples)
    }

    private func compare(
        _ picks: [Int], _ bytes: LookUpBytes, _ body: ([Int]) throws -> Void
    ) throws -> Comparison {
        try Comparison(operations: picks.count) {
            try body(picks)
        } theirs: {
            if kind == .lookUp { try bytes.follow(picks) } else { try bytes.visit(picks) }
        }
    }

    /// How the cost grows. The few are not compared with bytes: those stay in the caches as well, and do not grow.
    var rows: [Row] { everywhere.rows() + again.rows().prefix(1) }
}
