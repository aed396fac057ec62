/// A server's Ed25519 public key (RFC 8032 §5.1.5): 32 bytes, written as 64 lower-case hex digits.
///
/// Only the length is checked here; whether the bytes are an acceptable point is checked where they are used.
public struct PublicKey: Hashable, Comparable, Sendable, Codable, LosslessStringConvertible {
    private let storage: Bytes32

    /// The key whose 32 bytes are `bytes`; nil for any other length.
    public init?(bytes: some Collection<UInt8>) {
        guard let storage = Bytes32(bytes) else { return nil }
        self.storage = storage
    }

    /// Parses 64 lower-case hex digits.
    public init?(_ description: String) {
        guard let storage = Bytes32(hex: description) else { return nil }
        self.storage = storage
    }

    /// The 32 bytes.
    public var bytes: [UInt8] { storage.bytes }

    public var description: String { hexString(storage.bytes) }

    public static func < (left: Self, right: Self) -> Bool { left.storage < right.storage }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = PublicKey(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a public key: 64 lower-case hex digits")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
