public import FederationModel

/// One server's signed word that it knows another: that it has proved this key in a completed handshake and answers there.
/// What it is worth is for the reader's trust policy to say.
public struct Introduction: SignedStatement {
    public static let use = SignatureUse.introduction

    /// The introducer (`iss`).
    public let issuer: ServerID
    /// The server that is introduced (`sub`).
    public let subject: ServerID
    public let key: PublicKey
    public let endpoint: Endpoint
    /// `iat`, in whole seconds.
    public let issuedAt: Timestamp
    /// `exp`, in whole seconds.
    public let expiresAt: Timestamp

    public init(
        issuer: ServerID, subject: ServerID, key: PublicKey, endpoint: Endpoint, issuedAt: Timestamp,
        expiresAt: Timestamp
    ) {
        self.issuer = issuer
        self.subject = subject
        self.key = key
        self.endpoint = endpoint
        self.issuedAt = Timestamp(seconds: issuedAt.seconds)
        self.expiresAt = Timestamp(seconds: expiresAt.seconds)
    }

    /// The introduction in `text`, when `key`, which belongs to `introducer`, signed it and it is valid at `timestamp`. Its
    /// date of issue may lie ``Limits/clockSkew`` in the future.
    public static func verify(
        _ text: String, introducer: ServerID, key: PublicKey, at timestamp: Timestamp
    ) throws(StatementFailure) -> Introduction {
        let introduction = try verified(text, issuer: introducer, key: key)
        guard timestamp < introduction.expiresAt else { throw .expired }
        guard introduction.issuedAt <= timestamp + Limits.clockSkew else { throw .notYetValid }
        return introduction
    }

    public var claims: [String: JSONValue] {
        [
            "iss": Claims.value(issuer), "sub": Claims.value(subject), "key": Claims.value(key),
            "endpoint": Claims.value(endpoint), "iat": Claims.time(issuedAt), "exp": Claims.time(expiresAt),
        ]
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        issuer = try claims.value("iss")
        subject = try claims.value("sub")
        key = try claims.value("key")
        endpoint = try claims.value("endpoint")
        issuedAt = try claims.time("iat")
        expiresAt = try claims.time("exp")
        guard subject != issuer else { throw .malformed("sub is iss") }
        guard key.isAcceptable else { throw .malformed("key is not a usable key") }
        guard issuedAt < expiresAt else { throw .malformed("exp is not after iat") }
        guard expiresAt - issuedAt <= Limits.introductionLifetime else {
            throw .malformed("exp is more than \(Limits.introductionLifetime.components.seconds) s after iat")
        }
    }
}
