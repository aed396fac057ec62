/// A JSON value (RFC 8259).
///
/// ``parse(_:maximumBytes:maximumDepth:)`` reads the grammar exactly, bounded in size and depth, and refuses an
/// object that has a key twice, so that no two readers see different values in the same text. ``serialized()`` writes
/// one text per value.
public enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// A number written without fraction or exponent that fits.
    case integer(Int64)
    /// Any other number; always finite.
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// Why a text was refused.
    public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
        /// Larger than the bound; its size in bytes.
        case tooLarge(Int)
        /// Nested deeper than the bound.
        case tooDeep
        /// Not the grammar; what was wrong, and at which byte.
        case syntax(String, at: Int)
        /// A key that an object has twice.
        case duplicateKey(String)

        public var description: String {
            switch self {
            case .tooLarge(let size): "the JSON text has \(size) bytes, more than are allowed"
            case .tooDeep: "the JSON text is nested too deep"
            case .syntax(let reason, let position): "not JSON: \(reason) at byte \(position)"
            case .duplicateKey(let key): "the key '\(Self.shown(key))' stands twice in one JSON object"
            }
        }

        /// What a refusal repeats of a stranger's own text: bounded and printable.
        private static func shown(_ key: String) -> String {
            let scalars = key.unicodeScalars.prefix(80).map { $0.isPrintable ? $0 : "?" }
            return String(String.UnicodeScalarView(scalars))
        }
    }

    /// The members of an object; nil for any other value.
    public var members: [String: JSONValue]? {
        if case .object(let members) = self { members } else { nil }
    }

    /// The elements of an array; nil for any other value.
    public var elements: [JSONValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    /// The text of a string; nil for any other value.
    public var text: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// An integer; nil for any other value.
    public var integer: Int64? {
        if case .integer(let integer) = self { integer } else { nil }
    }

    /// The member `key` of an object.
    public subscript(key: String) -> JSONValue? { members?[key] }
}
