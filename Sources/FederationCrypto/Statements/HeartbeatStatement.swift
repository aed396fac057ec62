public import FederationModel

/// A server's signed sign of life, for registries that it has no channel to.
public struct HeartbeatStatement: SignedStatement {
    public static let use = SignatureUse.heartbeat

    /// The server that lives (`iss` and `sub`).
    public let issuer: ServerID
    /// For whom it is meant (`aud`): nobody can carry it to another server. Without it nobody takes it.
    public let audience: ServerID?
    /// Higher in each heartbeat.
    public let sequence: UInt64
    /// `iat`, in whole seconds. A registry that refuses times which go backwards cannot be told an old heartbeat again.
    public let issuedAt: Timestamp

    public init(issuer: ServerID, audience: ServerID? = nil, sequence: UInt64, issuedAt: Timestamp) {
        self.issuer = issuer
        self.audience = audience
        self.sequence = sequence
        self.issuedAt = Timestamp(seconds: issuedAt.seconds)
    }

    /// The heartbeat in `text`, when `key`, which belongs to `server`, signed it and it was issued within
    /// ``Limits/clockSkew`` of `timestamp`.
    ///
    /// - Parameter reader: who reads it; one that is meant for another server, or for nobody, is refused.
    public static func verify(
        _ text: String, server: ServerID, key: PublicKey, by reader: ServerID, at timestamp: Timestamp
    ) throws(StatementFailure) -> HeartbeatStatement {
        let heartbeat = try verified(text, issuer: server, key: key)
        guard heartbeat.audience == reader else { throw .wrongAudience }
        guard heartbeat.issuedAt + Limits.clockSkew >= timestamp else { throw .expired }
        guard heartbeat.issuedAt <= timestamp + Limits.clockSkew else { throw .notYetValid }
        return heartbeat
    }

    public var claims: [String: JSONValue] {
        var claims = [
            "iss": Claims.value(issuer), "sub": Claims.value(issuer), "seq": Claims.unsigned(sequence),
            "iat": Claims.time(issuedAt),
        ]
        if let audience { claims["aud"] = Claims.value(audience) }
        return claims
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        issuer = try claims.value("iss")
        audience = try claims.optionalValue("aud")
        sequence = try claims.unsigned("seq")
        issuedAt = try claims.time("iat")
        guard try claims.value("sub") as ServerID == issuer else { throw .malformed("sub is not iss") }
    }
}
