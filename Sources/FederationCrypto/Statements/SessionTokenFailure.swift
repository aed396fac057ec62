public import FederationModel

extension SessionToken {
    /// Why a token was refused.
    public enum Failure: Error, Hashable, Sendable {
        case malformed(String)
        case badSignature
        case wrongIssuer
        case wrongAudience
        case expired
        case notYetValid

        static func oversized(_ size: Int) -> Failure {
            .malformed("\(size) bytes, more than \(Limits.tokenBytes)")
        }

        init(_ failure: StatementFailure) {
            switch failure {
            case .malformed(let reason): self = .malformed(reason)
            case .badSignature: self = .badSignature
            case .wrongIssuer: self = .wrongIssuer
            case .wrongAudience: self = .wrongAudience
            case .expired: self = .expired
            case .notYetValid: self = .notYetValid
            }
        }

        /// The failure for a person and for programs.
        public var refusal: Refusal {
            switch self {
            case .malformed(let reason):
                Refusal(
                    .invalid, code: "token.malformed", reason: "the session token does not parse: \(reason)",
                    remedy: "travel again from the source", step: .handoff)
            case .badSignature:
                Refusal(
                    .forbidden, code: "token.badSignature",
                    reason: "the session token is not signed by the source's key",
                    remedy: "travel again from the source; if this repeats, compare the servers' key fingerprints",
                    step: .handoff)
            case .wrongIssuer:
                Refusal(
                    .forbidden, code: "token.wrongIssuer", reason: "the session token was issued by another server",
                    remedy: "travel again from the source", step: .handoff)
            case .wrongAudience:
                Refusal(
                    .forbidden, code: "token.wrongAudience", reason: "the session token is for another destination",
                    remedy: "go to the server that the token names", step: .handoff)
            case .expired:
                Refusal(
                    .conflict, code: "token.expired", reason: "the session token has expired",
                    remedy: "travel again from the source, or ask it for a fresh token", step: .handoff)
            case .notYetValid:
                Refusal(
                    .conflict, code: "token.notYetValid", reason: "the session token is not valid yet",
                    remedy: "compare the two servers' clocks", step: .handoff)
            }
        }
    }
}
