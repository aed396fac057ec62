public import FederationModel

/// A server's word, under its old key, that a new key follows. Worth something only together with a card that the new key has
/// signed, and only when the new key is the one that was committed to before.
public struct KeyRotation: SignedStatement {
    public static let use = SignatureUse.keyRotation

    public let issuer: ServerID
    public let to: PublicKey
    /// The commitment of the new key to the one after it.
    public let next: ContentHash?
    /// `iat`, in whole seconds.
    public let issuedAt: Timestamp

    public init(issuer: ServerID, to: PublicKey, next: ContentHash?, issuedAt: Timestamp) {
        self.issuer = issuer
        self.to = to
        self.next = next
        self.issuedAt = Timestamp(seconds: issuedAt.seconds)
    }

    /// The rotation in `text`, when `key`, which belonged to `server`, signed it. A rotation does not expire.
    public static func verify(
        _ text: String, server: ServerID, key: PublicKey
    ) throws(StatementFailure) -> KeyRotation {
        try verified(text, issuer: server, key: key)
    }

    public var claims: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "iss": Claims.value(issuer), "to": Claims.value(to), "iat": Claims.time(issuedAt),
        ]
        if let next { members["next"] = Claims.value(next) }
        return members
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        issuer = try claims.value("iss")
        to = try claims.value("to")
        next = try claims.optionalValue("next")
        issuedAt = try claims.time("iat")
        guard to.isAcceptable else { throw .malformed("to is not a usable key") }
    }
}
