/// The integers modulo 2^255 − 19, slow and plain, for tests that must accept what a strict library refuses.
struct Field25519: Equatable {
    /// Four words, least significant first; any representative below 2^256.
    private let words: [UInt64]

    static let zero = Field25519(0)
    static let one = Field25519(1)
    private static let modulus: [UInt64] = [.max - 18, .max, .max, .max >> 1]

    init(_ value: UInt64) {
        words = [value, 0, 0, 0]
    }

    /// 32 bytes, least significant first; reduced, however large.
    init(bytes: [UInt8]) {
        var words: [UInt64] = [0, 0, 0, 0]
        for (index, byte) in bytes.enumerated() { words[index / 8] |= UInt64(byte) << UInt64(index % 8 * 8) }
        self.words = words
    }

    /// `words` and `high` times 2^256, which is 38.
    private init(_ words: [UInt64], _ high: UInt64) {
        var (sum, carry) = Self.sum(words, [high * 38, 0, 0, 0])
        while carry > 0 { (sum, carry) = Self.sum(sum, [carry * 38, 0, 0, 0]) }
        self.words = sum
    }

    /// The least representative.
    private var canonical: [UInt64] {
        var rest = words
        while true {
            let (difference, borrow) = Self.difference(rest, Self.modulus)
            if borrow > 0 { return rest }
            rest = difference
        }
    }

    /// 32 bytes, least significant first.
    var bytes: [UInt8] {
        canonical.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) } }
    }

    var isOdd: Bool { canonical[0] & 1 == 1 }

    static func == (one: Field25519, other: Field25519) -> Bool { one.canonical == other.canonical }

    private static func sum(_ one: [UInt64], _ other: [UInt64]) -> (sum: [UInt64], carry: UInt64) {
        var sum = one
        var carry: UInt64 = 0
        for index in 0..<4 {
            let (first, isOver) = sum[index].addingReportingOverflow(other[index])
            let (second, isOverAgain) = first.addingReportingOverflow(carry)
            sum[index] = second
            carry = (isOver ? 1 : 0) + (isOverAgain ? 1 : 0)
        }
        return (sum, carry)
    }

    private static func difference(_ one: [UInt64], _ other: [UInt64]) -> (difference: [UInt64], borrow: UInt64) {
        var difference = one
        var borrow: UInt64 = 0
        for index in 0..<4 {
            let (first, isUnder) = difference[index].subtractingReportingOverflow(other[index])
            let (second, isUnderAgain) = first.subtractingReportingOverflow(borrow)
            difference[index] = second
            borrow = (isUnder ? 1 : 0) + (isUnderAgain ? 1 : 0)
        }
        return (difference, borrow)
    }

    static func + (one: Field25519, other: Field25519) -> Field25519 {
        let (sum, carry) = sum(one.words, other.words)
        return Field25519(sum, carry)
    }

    static prefix func - (value: Field25519) -> Field25519 {
        Field25519(difference(modulus, value.canonical).difference, 0)
    }

    static func - (one: Field25519, other: Field25519) -> Field25519 { one + -other }

    static func * (one: Field25519, other: Field25519) -> Field25519 {
        var product = [UInt64](repeating: 0, count: 8)
        for row in 0..<4 {
            product[row + 4] = addProduct(of: other.words, and: one.words[row], to: &product, at: row)
        }
        var low = Array(product[..<4])
        let high = addProduct(of: Array(product[4...]), and: 38, to: &low, at: 0)
        return Field25519(low, high)
    }

    /// Adds four words times one, from a position on.
    ///
    /// - Returns: what is carried into the word behind.
    private static func addProduct(
        of words: [UInt64], and factor: UInt64, to sum: inout [UInt64], at start: Int
    ) -> UInt64 {
        var carry: UInt64 = 0
        for index in 0..<4 {
            let (high, low) = words[index].multipliedFullWidth(by: factor)
            let (first, isOver) = sum[start + index].addingReportingOverflow(low)
            let (second, isOverAgain) = first.addingReportingOverflow(carry)
            sum[start + index] = second
            carry = high + (isOver ? 1 : 0) + (isOverAgain ? 1 : 0)
        }
        return carry
    }

    /// - Parameter exponent: least significant byte first.
    func power(_ exponent: [UInt8]) -> Field25519 {
        var result = Self.one
        for byte in exponent.reversed() {
            for bit in (0..<8).reversed() {
                result = result * result
                if byte >> UInt8(bit) & 1 == 1 { result = result * self }
            }
        }
        return result
    }

    /// To the power of the modulus less 2 (Fermat).
    var inverse: Field25519 { power([0xEB] + [UInt8](repeating: 0xFF, count: 30) + [0x7F]) }
}
