public import FederationModel

/// A server's signed wish that one registry lists it no more.
public struct DeregistrationStatement: SignedStatement {
    public static let use = SignatureUse.deregistration

    /// The server that leaves (`iss` and `sub`).
    public let issuer: ServerID
    /// The registry that it leaves (`aud`): nobody can carry the wish to another.
    public let registry: ServerID
    /// The newest card that the wish is about (`seq`); with a newer one the server has come back.
    public let sequence: UInt64
    /// `iat`, in whole seconds.
    public let issuedAt: Timestamp

    public init(issuer: ServerID, registry: ServerID, sequence: UInt64, issuedAt: Timestamp) {
        self.issuer = issuer
        self.registry = registry
        self.sequence = sequence
        self.issuedAt = Timestamp(seconds: issuedAt.seconds)
    }

    /// The wish in `text`, when `key`, which belongs to `server`, signed it for `registry` and it was issued within
    /// ``Limits/clockSkew`` of `timestamp`.
    public static func verify(
        _ text: String, server: ServerID, key: PublicKey, registry: ServerID, at timestamp: Timestamp
    ) throws(StatementFailure) -> DeregistrationStatement {
        let statement = try verified(text, issuer: server, key: key)
        guard statement.registry == registry else { throw .wrongAudience }
        guard statement.issuedAt + Limits.clockSkew >= timestamp else { throw .expired }
        guard statement.issuedAt <= timestamp + Limits.clockSkew else { throw .notYetValid }
        return statement
    }

    public var claims: [String: JSONValue] {
        [
            "iss": Claims.value(issuer), "sub": Claims.value(issuer), "aud": Claims.value(registry),
            "seq": Claims.unsigned(sequence), "iat": Claims.time(issuedAt),
        ]
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        issuer = try claims.value("iss")
        registry = try claims.value("aud")
        sequence = try claims.unsigned("seq")
        issuedAt = try claims.time("iat")
        guard try claims.value("sub") as ServerID == issuer else { throw .malformed("sub is not iss") }
    }
}
