/// A refusal that reaches a person: what was refused, why, and what to do, with a stable code for programs.
public struct Refusal: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// What kind of answer the refusal is; adapters map it to an HTTP status or an exit code.
    public enum Kind: String, Hashable, Sendable, Codable {
        /// The input is malformed.
        case invalid
        /// The thing that was named does not exist.
        case notFound
        /// The state does not allow it now.
        case conflict
        /// The caller may not.
        case forbidden
        /// A bound was reached; later may work.
        case overloaded
        /// Our own fault or the disk's; later may work.
        case unavailable
    }

    public let kind: Kind
    /// Stable, dotted, in lower camel case: `route.inactive`; see ``isCode(_:)``.
    public let code: String
    /// One line: what was refused and why.
    public let reason: String
    /// One line: what to do about it.
    public let remedy: String
    /// The step of a crossing that refused, when it was one.
    public let step: CrossingStep?

    public init(_ kind: Kind, code: String, reason: String, remedy: String, step: CrossingStep? = nil) {
        assert(Self.isCode(code), "'\(code)' is not a refusal code")
        self.kind = kind
        self.code = code
        self.reason = reason
        self.remedy = remedy
        self.step = step
    }

    /// Whether `text` may be a code: 1 to ``Limits/identifierBytes`` bytes; parts of ASCII letters and digits with a
    /// dot between two, each beginning with a lower-case letter.
    public static func isCode(_ text: String) -> Bool {
        guard (1...Limits.identifierBytes).contains(text.utf8.count) else { return false }
        return text.utf8.split(separator: 0x2E, omittingEmptySubsequences: false).allSatisfy { part in
            guard let first = part.first, (0x61...0x7A).contains(first) else { return false }
            return part.allSatisfy { byte in
                (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x30...0x39).contains(byte)
            }
        }
    }

    public var description: String { "\(reason) — \(remedy) [\(code)]" }
}
