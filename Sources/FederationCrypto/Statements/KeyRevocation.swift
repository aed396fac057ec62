public import FederationModel

/// The owner's word, under the recovery key that was written down when the server was made, that every key of the server
/// so far is void. It names the key that takes their place, or none: then the id is dead for good.
public struct KeyRevocation: SignedStatement {
    public static let use = SignatureUse.keyRevocation

    public let issuer: ServerID
    /// `n`: counted from 1; a higher one replaces a lower one.
    public let number: UInt64
    /// The key from now on, and what it commits to; nil when there is none any more.
    public let replacement: Replacement?
    /// `iat`, in whole seconds.
    public let issuedAt: Timestamp

    public struct Replacement: Hashable, Sendable {
        /// `to`.
        public let key: PublicKey
        /// `next` and `recovery`. The recovery key may change here, and only here.
        public let commitment: KeyCommitment

        public init(key: PublicKey, commitment: KeyCommitment) {
            self.key = key
            self.commitment = commitment
        }
    }

    public init(issuer: ServerID, number: UInt64, replacement: Replacement?, issuedAt: Timestamp) {
        self.issuer = issuer
        self.number = number
        self.replacement = replacement
        self.issuedAt = Timestamp(seconds: issuedAt.seconds)
    }

    /// The revocation in `text`, when it is made for `server` and the key that signed it is the one committed to by
    /// `recovery`. A revocation does not expire.
    public static func verify(
        _ text: String, server: ServerID, recovery: ContentHash
    ) throws(StatementFailure) -> KeyRevocation {
        guard let key = CompactJWS.unverifiedKey(text) else { throw .malformed("kid is missing or not a key") }
        guard key.commitment == recovery else { throw .badSignature }
        return try verified(text, issuer: server, key: key)
    }

    /// What `text` says, without proof: for finding out whom it is about and whether it is news, and for nothing else.
    public static func unverified(_ text: String) throws(StatementFailure) -> KeyRevocation {
        try KeyRevocation(claims: try CompactJWS.unverified(text, for: use))
    }

    /// The number of a revocation that its owner makes now: above those of `earlier` ones of the same server, as compact JWS,
    /// whatever the clock says; and the time in milliseconds where that is higher, so that it is also above those that were
    /// lost with what a backup did not hold. What is no revocation has no number.
    public static func number(at time: Timestamp, after earlier: some Sequence<String>) -> UInt64 {
        let last = earlier.compactMap { try? unverified($0).number }.max() ?? 0
        // Statements hold at most 2^53-1.
        return max(last + 1, UInt64(max(0, time.milliseconds)))
    }

    public var claims: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "iss": Claims.value(issuer), "n": Claims.unsigned(number), "iat": Claims.time(issuedAt),
        ]
        if let replacement {
            members["to"] = Claims.value(replacement.key)
            if let next = replacement.commitment.next { members["next"] = Claims.value(next) }
            if let recovery = replacement.commitment.recovery { members["recovery"] = Claims.value(recovery) }
        }
        return members
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        issuer = try claims.value("iss")
        number = try claims.unsigned("n")
        issuedAt = try claims.time("iat")
        guard number > 0 else { throw .malformed("n is 0") }
        guard let key = try claims.optionalValue("to") as PublicKey? else {
            replacement = nil
            return
        }
        guard key.isAcceptable else { throw .malformed("to is not a usable key") }
        replacement = Replacement(
            key: key,
            commitment: KeyCommitment(
                next: try claims.optionalValue("next"), recovery: try claims.optionalValue("recovery")))
    }
}
