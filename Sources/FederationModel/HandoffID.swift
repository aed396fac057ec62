/// One handoff of one player: 16 random bytes, written as 32 lower-case hex digits. Also the token's `jti`.
public struct HandoffID: Hashable, Comparable, Sendable, Codable, LosslessStringConvertible {
    /// The bytes in two words, each big-endian.
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The id whose 16 bytes are `bytes`; nil for any other length. New ids are made from entropy, never counted.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Parses 32 lower-case hex digits.
    public init?(_ description: String) {
        let text = description.utf8
        guard let id = text.withContiguousStorageIfAvailable({ Self(digits: $0) }) ?? Self(digits: Array(text)) else {
            return nil
        }
        self = id
    }

    private init?(digits: some RandomAccessCollection<UInt8>) {
        guard digits.count == 32, let high = wordFromHex(digits, 0), let low = wordFromHex(digits, 1) else {
            return nil
        }
        self.init(high: high, low: low)
    }

    /// The 16 bytes.
    public var bytes: [UInt8] {
        [high, low].flatMap { word in
            stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> UInt64($0)) }
        }
    }

    public var description: String { hexString(bytes) }

    public static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = HandoffID(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a handoff id: 32 lower-case hex digits")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
