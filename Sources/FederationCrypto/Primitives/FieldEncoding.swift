/// Writes the fixed binary layout of the handshake: integers big-endian, every other field preceded by its length in
/// two bytes. What is signed or hashed is always written here, so no two different lists of fields have the same
/// bytes.
struct FieldWriter {
    private(set) var bytes: [UInt8] = []

    /// - Parameter capacity: how many bytes will be written, about; growing copies them.
    init(capacity: Int = 256) { bytes.reserveCapacity(capacity) }

    mutating func integer(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func field(_ field: some Collection<UInt8>) {
        guard let length = UInt16(exactly: field.count) else {
            preconditionFailure("a field has at most 65535 bytes")
        }
        integer(length)
        bytes.append(contentsOf: field)
    }
}

/// Reads what ``FieldWriter`` writes. Every length is checked against its bounds and against what is left before a byte
/// is copied.
struct FieldReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { position == bytes.count }

    mutating func integer<Value: FixedWidthInteger>(_ name: StaticString) throws(Handshake.Failure) -> Value {
        let size = MemoryLayout<Value>.size
        guard bytes.count - position >= size else { throw .malformed("\(name) is cut short") }
        var value: Value = 0
        for byte in bytes[position..<(position + size)] {
            value = value << 8 | Value(truncatingIfNeeded: byte)
        }
        position += size
        return value
    }

    mutating func field(
        _ name: StaticString, length allowed: ClosedRange<Int>
    ) throws(Handshake.Failure) -> [UInt8] {
        let length = Int(try integer(name) as UInt16)
        guard allowed.contains(length) else { throw .malformed("\(name) has \(length) bytes") }
        guard bytes.count - position >= length else { throw .malformed("\(name) is cut short") }
        defer { position += length }
        return Array(bytes[position..<(position + length)])
    }

    mutating func field(_ name: StaticString, length: Int) throws(Handshake.Failure) -> [UInt8] {
        try field(name, length: length...length)
    }

    func finish() throws(Handshake.Failure) {
        guard isAtEnd else { throw .malformed("\(bytes.count - position) bytes follow the last field") }
    }
}
