/// Bytes of which one is looked at here and there: what the caches alone make of a size.
struct LookUpBytes {
    private static let maximum = 512 << 20
    /// A line of the cache.
    private static let leastStride = 64
    /// All bytes are the same, which the compiler cannot know.
    private static let value: UInt8 = 1

    private let bytes: [UInt8]
    private let stride: Int

    /// - Parameters:
    ///   - count: the entries of what it stands beside.
    ///   - taken: the bytes that those take.
    init(count: Int, taken: Int) {
        stride = max(Self.leastStride, min(taken, Self.maximum) / count)
        bytes = [UInt8](repeating: Self.value, count: stride * count)
    }

    /// Looks at one byte after the other, each where the one before says, so that the processor cannot fetch several at
    /// once: beside ``GrowthLoops``, which wait in the same way.
    ///
    /// - Throws: when a byte is another, which never happens; but because of it, the compiler must look at them.
    @inline(never)
    func follow(_ picks: [Int]) throws {
        var found = 0
        for pick in picks { found = Int(bytes[(pick + found) * stride]) - Int(Self.value) }
        guard found == 0 else { throw CoreTables.Problem.sample }
    }

    /// Looks at bytes that do not depend on one another, as changes of a table do not.
    ///
    /// - Throws: as ``follow(_:)``.
    @inline(never)
    func visit(_ picks: [Int]) throws {
        var sum = 0
        for pick in picks { sum += Int(bytes[pick * stride]) }
        guard sum == picks.count * Int(Self.value) else { throw CoreTables.Problem.sample }
    }
}
