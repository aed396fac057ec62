/// Writes values behind each other into bytes, for records that are kept packed: one whose texts and lists are arrays
/// of their own takes twice the memory. For this process only; no byte of it is stored or sent.
struct PackingWriter {
    private var bytes: [UInt8] = []

    /// - Parameter capacity: in bytes; what most need.
    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    /// What was written, in an array that is no larger.
    var packed: [UInt8] {
        var packed: [UInt8] = []
        packed.reserveCapacity(bytes.count)
        packed.append(contentsOf: bytes)
        return packed
    }

    mutating func byte(_ byte: UInt8) { bytes.append(byte) }

    /// As they are, without their number.
    mutating func raw(_ raw: [UInt8]) { bytes.append(contentsOf: raw) }

    /// In eight bytes, the highest first.
    mutating func word(_ word: UInt64) {
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
        }
    }

    /// In groups of seven bits, the lowest first.
    mutating func number(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// A number of either sign, the sign in the lowest bit.
    mutating func signed(_ number: Int64) {
        self.number(UInt64(bitPattern: number << 1 ^ number >> 63))
    }

    /// Behind its length.
    mutating func text(_ text: String) {
        number(UInt64(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }
}

/// Reads what a ``PackingWriter`` wrote, value by value in the same order.
struct PackingReader {
    private let bytes: [UInt8]
    private var position: Int

    init(_ bytes: [UInt8], from position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    mutating func byte() -> UInt8 {
        defer { position += 1 }
        return bytes[position]
    }

    mutating func raw(_ count: Int) -> ArraySlice<UInt8> {
        defer { position += count }
        return bytes[position..<(position + count)]
    }

    mutating func word() -> UInt64 {
        var word: UInt64 = 0
        for place in position..<(position + 8) { word = word << 8 | UInt64(bytes[place]) }
        position += 8
        return word
    }

    mutating func number() -> UInt64 {
        var number: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = byte()
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
            shift += 7
        }
    }

    mutating func signed() -> Int64 {
        let number = number()
        return Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1)
    }

    mutating func text() -> String {
        let count = Int(number())
        return String(decoding: raw(count), as: UTF8.self)
    }
}
