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
    /// Stable, lower-case, dotted: `route.inactive`.
    public let code: String
    /// One line: what was refused and why.
    public let reason: String
    /// One line: what to do about it.
    public let remedy: String
    /// The step of a crossing that refused, when it was one.
    public let step: CrossingStep?

    public init(_ kind: Kind, code: String, reason: String, remedy: String, step: CrossingStep? = nil) {
        self.kind = kind
        self.code = code
        self.reason = reason
        self.remedy = remedy
        self.step = step
    }

    public var description: String { "\(reason) — \(remedy) [\(code)]" }
}
