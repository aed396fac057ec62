import TestKit
import Testing

/// What property tests draw from: were its numbers others, a printed seed would lead to its failure no more.
@Suite("Seeded numbers")
struct SeededGeneratorTests {
    /// https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
    private static let published: [UInt64] = [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423, 4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
    ]

    @Test("are the published numbers of SplitMix64")
    func numbers() {
        var random = SeededGenerator(seed: 1_234_567)
        #expect(Self.published.map { _ in random.next() } == Self.published)
    }

    @Test("make one byte each, their lowest")
    func bytes() {
        var random = SeededGenerator(seed: 1_234_567)
        #expect(random.bytes(0).isEmpty)
        #expect(random.bytes(5) == Self.published.map { UInt8(truncatingIfNeeded: $0) })
    }
}
