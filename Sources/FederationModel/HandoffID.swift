/// One handoff of one player: 16 random bytes, written as 32 lower-case hex digits. Also the token's `jti`.
public struct HandoffID: Hashable, Comparable, Sendable, Codable, LosslessStringConvertible {
    private let high: UInt64
    private let low: UInt64

    /// The id whose 16 bytes are `bytes`; nil for any other length. New ids are made from entropy, never counted.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Parses 32 lower-case hex digits.
    public init?(_ description: String) {
        guard description.utf8.count == 32, let bytes = bytesFromHex(description) else { return nil }
        self.init(bytes: bytes)
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
