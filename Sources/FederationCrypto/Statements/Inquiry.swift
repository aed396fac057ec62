public import FederationModel

/// A server's signed question to another: how do I stand with you, and do you reach me?
///
/// It names no address: whoever is asked tries the addresses that it knows already.
public struct Inquiry: SignedStatement {
    public static let use = SignatureUse.inquiry

    /// Who asks (`iss`).
    public let issuer: ServerID
    /// Who is asked (`aud`): nobody can carry the question to another.
    public let audience: ServerID
    /// Different in each (`jti`): 32 hex digits. The answer repeats it.
    public let nonce: String
    /// Worlds of whoever is asked: would a player be let in? At most ``Limits/inquiryWorlds``, none twice.
    public let worlds: [WorldID]
    /// `iat`, in whole seconds.
    public let issuedAt: Timestamp
    /// `exp`, in whole seconds; at most ``Limits/inquiryLifetime`` after `iat`.
    public let expiresAt: Timestamp

    /// Keeps the first ``Limits/inquiryWorlds`` worlds.
    ///
    /// - Parameter nonce: 16 bytes that were never used before.
    public init(issuer: ServerID, audience: ServerID, nonce: [UInt8], worlds: [WorldID] = [], issuedAt: Timestamp) {
        precondition(nonce.count == Self.nonceBytes, "an inquiry has \(Self.nonceBytes) bytes of its own")
        self.issuer = issuer
        self.audience = audience
        self.nonce = hexString(nonce)
        self.worlds = Array(worlds.prefix(Limits.inquiryWorlds))
        self.issuedAt = Timestamp(seconds: issuedAt.seconds)
        expiresAt = self.issuedAt + Limits.inquiryLifetime
    }

    /// Bytes of a nonce.
    public static let nonceBytes = 16

    /// Who asks, without any proof: for finding the key to verify with.
    public static func unverifiedIssuer(_ text: String) throws(StatementFailure) -> ServerID {
        try Inquiry(claims: try CompactJWS.unverified(text, for: use)).issuer
    }

    /// The inquiry in `text`, when `key`, which belongs to `issuer`, signed it, it is meant for `audience` and valid at
    /// `timestamp`, give or take ``Limits/clockSkew``.
    public static func verify(
        _ text: String, issuer: ServerID, key: PublicKey, audience: ServerID, at timestamp: Timestamp
    ) throws(StatementFailure) -> Inquiry {
        let inquiry = try verified(text, issuer: issuer, key: key)
        guard inquiry.audience == audience else { throw .wrongAudience }
        guard timestamp < inquiry.expiresAt + Limits.clockSkew else { throw .expired }
        guard inquiry.issuedAt <= timestamp + Limits.clockSkew else { throw .notYetValid }
        return inquiry
    }

    public var claims: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "iss": Claims.value(issuer), "aud": Claims.value(audience), "jti": .string(nonce),
            "iat": Claims.time(issuedAt), "exp": Claims.time(expiresAt),
        ]
        if !worlds.isEmpty { members["worlds"] = .array(worlds.map { Claims.value($0) }) }
        return members
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        issuer = try claims.value("iss")
        audience = try claims.value("aud")
        nonce = try claims.nonce("jti")
        var worlds: [WorldID] = []
        for text in try claims.optionalTexts("worlds", upTo: Limits.inquiryWorlds) {
            guard let world = WorldID(rawValue: text), !worlds.contains(world) else {
                throw .malformed("worlds is not a list of different world ids")
            }
            worlds.append(world)
        }
        self.worlds = worlds
        issuedAt = try claims.time("iat")
        expiresAt = try claims.time("exp")
        guard issuer != audience else { throw .malformed("aud is iss") }
        guard issuedAt < expiresAt else { throw .malformed("exp is not after iat") }
        guard expiresAt - issuedAt <= Limits.inquiryLifetime else {
            throw .malformed("exp is more than \(Limits.inquiryLifetime.components.seconds) s after iat")
        }
    }
}

extension Claims {
    /// The number of an inquiry.
    func nonce(_ name: String) throws(StatementFailure) -> String {
        let text = try text(name)
        let isHex = text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        guard text.utf8.count == 2 * Inquiry.nonceBytes, isHex else {
            throw .malformed("\(name) is not \(2 * Inquiry.nonceBytes) hex digits")
        }
        return text
    }
}
