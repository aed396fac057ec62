import FederationModel
import Testing

@Suite("Time")
struct TimeTests {
    static let seconds: [(Int64, Int64)] = [
        (0, 0), (999, 0), (1_000, 1), (-1, -1), (-1_000, -1), (-1_001, -2), (.max, .max / 1_000),
        (.min, .min / 1_000 - 1),
    ]

    @Test("a timestamp's seconds are rounded down over the whole range", arguments: seconds)
    func wholeSeconds(_ milliseconds: Int64, _ expected: Int64) {
        #expect(Timestamp(milliseconds: milliseconds).seconds == expected)
    }

    @Test(
        "whole seconds become a timestamp and saturate",
        arguments: [(1, 1_000), (-1, -1_000), (.max, .max), (.min, .min)])
    func fromSeconds(_ seconds: Int64, _ milliseconds: Int64) {
        #expect(Timestamp(seconds: seconds).milliseconds == milliseconds)
    }

    static let sums: [(Int64, Duration, Int64)] = [
        (0, .nanoseconds(5), 5), (5, .nanoseconds(-5), 0), (.max, .nanoseconds(1), .max),
        (.min, .nanoseconds(-1), .min),
        (1, .seconds(Int64.max), .max), (-1, .seconds(Int64.min), .min), (.max, .seconds(-Int64.max), -1),
    ]

    @Test("an instant plus a duration saturates", arguments: sums)
    func instantSum(_ start: Int64, _ step: Duration, _ expected: Int64) {
        #expect((Instant(nanoseconds: start) + step).nanoseconds == expected)
    }

    static let wallSums: [(Int64, Duration, Int64)] = [
        (0, .milliseconds(5), 5), (0, .microseconds(1_999), 1), (.max, .milliseconds(1), .max),
        (.min, .milliseconds(-1), .min),
    ]

    @Test("a timestamp plus a duration saturates", arguments: wallSums)
    func timestampSum(_ start: Int64, _ step: Duration, _ expected: Int64) {
        #expect((Timestamp(milliseconds: start) + step).milliseconds == expected)
    }

    @Test("differences hold the whole range")
    func differences() {
        #expect(Instant(nanoseconds: .max) - Instant(nanoseconds: .min) > .seconds(18_000_000_000))
        #expect(Timestamp(milliseconds: .min) - Timestamp(milliseconds: .max) < .zero)
        #expect((Instant(nanoseconds: .max) - Instant(nanoseconds: .min)).clampedNanoseconds == .max)
        #expect(Duration.seconds(Int64.min).clampedNanoseconds == .min)
    }

    /// An epoch, the one after another hop, the one after a reclaim.
    private static let epochs: [(UInt64, UInt64?, UInt64?)] = [
        (1, 2, 1 << 24), (41, 42, 1 << 24), ((1 << 24) - 2, (1 << 24) - 1, 1 << 24), ((1 << 24) - 1, nil, 1 << 24),
        (1 << 24, (1 << 24) + 1, 2 << 24), ((7 << 24) + 5, (7 << 24) + 6, 8 << 24), ((1 << 48) - 2, (1 << 48) - 1, nil),
        ((1 << 48) - 1, nil, nil), (0, nil, nil), (1 << 48, nil, nil), (.max - 1, nil, nil),
    ]

    @Test("an epoch counts hops within a term, and only a reclaim begins another", arguments: epochs)
    func epoch(_ number: UInt64, _ hop: UInt64?, _ reclaimed: UInt64?) {
        let epoch = Epoch(number)
        #expect(epoch.next == hop.map { Epoch($0) })
        #expect(epoch.nextTerm == reclaimed.map { Epoch($0) })
        for later in [epoch.next, epoch.nextTerm].compactMap(\.self) { #expect(epoch < later && later.isValid) }
    }
}
