/// What happens to content that is not what it should be. None of the policies lets it be used.
public enum MismatchPolicy: String, Hashable, Sendable, Codable, CaseIterable {
    /// Forget it.
    case reject
    /// Forget it and tell the operator.
    case report
    /// Keep it out of sight for a person to look at, and tell the operator.
    case quarantine

    /// What to do with content on which verification came to `result`.
    public func decision(for result: VerificationResult) -> MismatchDecision {
        switch result {
        case .valid: .keep
        case .hashMismatch, .sizeMismatch:
            switch self {
            case .reject: .discard
            case .report: .discardAndReport
            case .quarantine: .quarantineAndReport
            }
        }
    }
}

/// What ``MismatchPolicy`` decides about content.
public enum MismatchDecision: Hashable, Sendable {
    /// It is what it should be: use it.
    case keep
    case discard
    case discardAndReport
    case quarantineAndReport

    /// Whether the content may be used.
    public var isAccepted: Bool { self == .keep }
    /// Whether the operator is told.
    public var isReported: Bool { self == .discardAndReport || self == .quarantineAndReport }
}
