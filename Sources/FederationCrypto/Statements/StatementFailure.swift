import FederationModel

/// Why a signed statement was refused.
public enum StatementFailure: Error, Hashable, Sendable {
    /// Not a compact JWS of the kind that is due; the text says what is wrong.
    case malformed(String)
    /// Not signed by the key that it should be.
    case badSignature
    /// Made in the name of another server.
    case wrongIssuer
    /// Made for another server.
    case wrongAudience
    case expired
    case notYetValid

    /// What is wrong with the statement, to follow "it".
    public var reason: String {
        switch self {
        case .malformed(let reason): "does not parse: \(reason)"
        case .badSignature: "is not signed by the key that it should be"
        case .wrongIssuer: "is made in the name of another server"
        case .wrongAudience: "is meant for another server"
        case .expired: "has expired"
        case .notYetValid: "is not valid yet"
        }
    }

    static func oversized(_ size: Int) -> StatementFailure {
        .malformed("\(size) bytes, more than \(Limits.jwsBytes)")
    }
}
