/// A name with the one grammar that every identifier of the federation follows.
///
/// 1 to ``Limits/identifierBytes`` characters of `a`–`z`, `0`–`9`, `-`, `_` and `.`; the first and the last are a
/// letter or a digit, and no two dots stand together. Lower-case ASCII only, so that two identifiers that look alike
/// are equal, and none needs escaping in a path, a URL, a log line or a file name.
public protocol Identifier: Hashable, Comparable, Sendable, Codable, LosslessStringConvertible {
    /// The text.
    var rawValue: String { get }

    /// Makes an identifier whose text is known to follow the grammar.
    init(unchecked rawValue: String)

    /// What a person calls it: `server id`.
    static var noun: String { get }
}

extension Identifier {
    /// The identifier, or nil when `rawValue` breaks the grammar.
    public init?(rawValue: String) {
        guard isIdentifier(rawValue) else { return nil }
        self.init(unchecked: rawValue)
    }

    public init?(_ description: String) {
        self.init(rawValue: description)
    }

    public var description: String { rawValue }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool {
        left.rawValue < right.rawValue
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Self(rawValue: text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a \(Self.noun): \(Self.grammar)")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }

    /// The grammar in one phrase, for error messages.
    public static var grammar: String {
        "1–\(Limits.identifierBytes) of a–z, 0–9, '-', '_', '.', beginning and ending with a letter or digit"
    }
}

/// Whether `text` follows the grammar of ``Identifier``.
func isIdentifier(_ text: String) -> Bool {
    // Where the bytes lie together, which they nearly always do, they are read as they lie.
    text.utf8.withContiguousStorageIfAvailable { isIdentifier($0) } ?? isIdentifier(Array(text.utf8))
}

private func isIdentifier(_ bytes: some BidirectionalCollection<UInt8>) -> Bool {
    guard (1...Limits.identifierBytes).contains(bytes.count) else { return false }
    var previous: UInt8 = 0
    for byte in bytes {
        switch byte {
        case 0x61...0x7A, 0x30...0x39:
            break
        case 0x2D, 0x5F:
            break
        case 0x2E:
            guard previous != 0x2E else { return false }
        default:
            return false
        }
        previous = byte
    }
    guard let first = bytes.first, let last = bytes.last else { return false }
    return isLetterOrDigit(first) && isLetterOrDigit(last)
}

private func isLetterOrDigit(_ byte: UInt8) -> Bool {
    (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte)
}
