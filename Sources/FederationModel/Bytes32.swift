/// Thirty-two bytes held inline: no allocation, cheap to hash and compare. The storage of ``ContentHash`` and
/// ``PublicKey``.
///
/// Comparison is not constant-time: it holds public values only.
struct Bytes32: Hashable, Sendable {
    /// Big-endian, so that order by words is order by bytes.
    let a, b, c, d: UInt64

    init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        // Where the bytes lie together they are read as they lie: asking a collection for each is ten times the work.
        if let value = bytes.withContiguousStorageIfAvailable({ Self(words: $0) }) {
            self = value
        } else {
            self.init(words: Array(bytes))
        }
    }

    private init(words bytes: some RandomAccessCollection<UInt8>) {
        func word(_ number: Int) -> UInt64 {
            let start = bytes.index(bytes.startIndex, offsetBy: number * 8)
            return bytes[start...].prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        }
        (a, b, c, d) = (word(0), word(1), word(2), word(3))
    }

    init?(hex: String) {
        let text = hex.utf8
        // As they lie together; see above.
        guard let value = text.withContiguousStorageIfAvailable({ Self(digits: $0) }) ?? Self(digits: Array(text))
        else { return nil }
        self = value
    }

    private init?(digits: some RandomAccessCollection<UInt8>) {
        guard digits.count == 64, let a = wordFromHex(digits, 0), let b = wordFromHex(digits, 1),
            let c = wordFromHex(digits, 2), let d = wordFromHex(digits, 3)
        else { return nil }
        (self.a, self.b, self.c, self.d) = (a, b, c, d)
    }

    var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        for place in 0..<8 {
            let shift = UInt64(56 - 8 * place)
            bytes[place] = UInt8(truncatingIfNeeded: a >> shift)
            bytes[place + 8] = UInt8(truncatingIfNeeded: b >> shift)
            bytes[place + 16] = UInt8(truncatingIfNeeded: c >> shift)
            bytes[place + 24] = UInt8(truncatingIfNeeded: d >> shift)
        }
        return bytes
    }

    static func < (left: Self, right: Self) -> Bool {
        (left.a, left.b, left.c, left.d) < (right.a, right.b, right.c, right.d)
    }
}

/// Lower-case hexadecimal of `bytes`.
public func hexString(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}

/// The bytes that lower-case hexadecimal `text` stands for; nil on an odd length or any other character.
/// Upper case is refused so that every value has one spelling.
public func bytesFromHex(_ text: String) -> [UInt8]? {
    let utf8 = Array(text.utf8)
    guard utf8.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(utf8.count / 2)
    for index in stride(from: 0, to: utf8.count, by: 2) {
        guard let high = nibble(utf8[index]), let low = nibble(utf8[index + 1]) else { return nil }
        bytes.append(high << 4 | low)
    }
    return bytes
}

/// The word that the sixteen lower-case hex digits from `16 * number` on stand for; nil when there is another character
/// among them.
func wordFromHex(_ digits: some RandomAccessCollection<UInt8>, _ number: Int) -> UInt64? {
    var word: UInt64 = 0
    for digit in digits.dropFirst(16 * number).prefix(16) {
        guard let nibble = nibble(digit) else { return nil }
        word = word << 4 | UInt64(nibble)
    }
    return word
}

private func nibble(_ digit: UInt8) -> UInt8? {
    let isNumber = digit &- 0x30 < 10
    let isLetter = digit &- 0x61 < 6
    guard isNumber != isLetter else { return nil }
    // The same for both: nothing foretells which of the two comes next, and a wrong guess costs more than the digit.
    return (digit & 0x0F) + 9 * (digit >> 6)
}
