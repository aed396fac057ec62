public import FederationModel

/// The source's signed word that a player may enter at the destination: a JWT (RFC 7519) with EdDSA, which a world
/// server in any language verifies with a standard library. Redeemed once: the destination records ``handoff`` in the
/// transaction that admits the player.
public struct SessionToken: SignedStatement {
    public static let use = SignatureUse.sessionToken

    /// The source (`iss`).
    public let issuer: ServerID
    /// `sub`.
    public let player: PlayerID
    /// The destination (`aud`).
    public let audience: ServerID
    /// `jti`.
    public let handoff: HandoffID
    /// `iat`, in whole seconds.
    public let issuedAt: Timestamp
    /// `nbf`, in whole seconds.
    public let notBefore: Timestamp
    /// `exp`, in whole seconds, at most ``Limits/tokenLifetime`` after `iat`.
    public let expiresAt: Timestamp
    /// The world at the destination.
    public let world: WorldID
    /// The portal, at the source, through which the player goes.
    public let portal: PortalID
    /// Where in the world the player appears; nil for the world's own choice.
    public let spawn: SpawnPoint?
    /// The epoch that begins with this handoff.
    public let epoch: Epoch
    /// SHA-256 of the player's state.
    public let snapshot: ContentHash
    /// Bytes of the player's state, 0 to ``Limits/snapshotBytes``, when the issuer says so.
    public let size: Int?
    /// The revision of the player's state.
    public let revision: UInt64
    /// `dec`: which of the issuer's decisions towards the audience this is, counted from 1. Only the token of a decided
    /// handoff has one; a token that merely offers the player admits nobody.
    public let decision: UInt64?
    /// The key that the player's client must prove to hold (`cnf`, RFC 7800); nil when the token alone suffices.
    public let clientKey: PublicKey?

    /// Drops fractions of seconds.
    public init(
        issuer: ServerID, player: PlayerID, audience: ServerID, handoff: HandoffID, issuedAt: Timestamp,
        notBefore: Timestamp, expiresAt: Timestamp, world: WorldID, portal: PortalID, spawn: SpawnPoint? = nil,
        epoch: Epoch, snapshot: ContentHash, size: Int? = nil, revision: UInt64, decision: UInt64? = nil,
        clientKey: PublicKey? = nil
    ) {
        self.issuer = issuer
        self.player = player
        self.audience = audience
        self.handoff = handoff
        self.issuedAt = Timestamp(seconds: issuedAt.seconds)
        self.notBefore = Timestamp(seconds: notBefore.seconds)
        self.expiresAt = Timestamp(seconds: expiresAt.seconds)
        self.world = world
        self.portal = portal
        self.spawn = spawn
        self.epoch = epoch
        self.snapshot = snapshot
        self.size = size
        self.revision = revision
        self.decision = decision
        self.clientKey = clientKey
    }

    /// The token in `text`, when `key`, which belongs to `issuer`, signed it for `audience` and it is valid at
    /// `timestamp`.
    ///
    /// `timestamp` is compared with times that the issuer's clock gave. A caller that knows how far that clock is off
    /// corrects for it, or allows `leeway` on both sides.
    public static func verify(
        _ text: String, issuer: ServerID, key: PublicKey, audience: ServerID, at timestamp: Timestamp,
        leeway: Duration = .zero
    ) throws(Failure) -> SessionToken {
        guard text.utf8.count <= Limits.tokenBytes else { throw .oversized(text.utf8.count) }
        let token: SessionToken
        do {
            token = try verified(text, issuer: issuer, key: key)
        } catch {
            throw Failure(error)
        }
        guard token.audience == audience else { throw .wrongAudience }
        guard timestamp < token.expiresAt + leeway else { throw .expired }
        guard timestamp + leeway >= token.notBefore else { throw .notYetValid }
        return token
    }

    /// Who issued `text`, by its own words and without proof: for finding the key to verify with, and for nothing else.
    public static func unverifiedIssuer(_ text: String) throws(Failure) -> ServerID {
        do {
            return try SessionToken(claims: try CompactJWS.unverified(text, for: use)).issuer
        } catch {
            throw Failure(error)
        }
    }

    public var claims: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "iss": Claims.value(issuer), "sub": Claims.value(player), "aud": Claims.value(audience),
            "jti": Claims.value(handoff), "iat": Claims.time(issuedAt),
            "nbf": Claims.time(notBefore), "exp": Claims.time(expiresAt),
            "world": Claims.value(world), "portal": Claims.value(portal),
            "epoch": Claims.unsigned(epoch.number), "snapshot": Claims.value(snapshot),
            "rev": Claims.unsigned(revision),
        ]
        if let decision { members["dec"] = Claims.unsigned(decision) }
        if let size { members["size"] = .integer(Int64(size)) }
        if let spawn { members["spawn"] = Claims.value(spawn) }
        if let clientKey { members["cnf"] = Self.confirmation(clientKey) }
        return members
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        issuer = try claims.value("iss")
        player = try claims.value("sub")
        audience = try claims.value("aud")
        handoff = try claims.value("jti")
        issuedAt = try claims.time("iat")
        notBefore = try claims.time("nbf")
        expiresAt = try claims.time("exp")
        world = try claims.value("world")
        portal = try claims.value("portal")
        spawn = try claims.optionalValue("spawn")
        epoch = Epoch(try claims.unsigned("epoch"))
        snapshot = try claims.value("snapshot")
        size = members["size"] == nil ? nil : Int(clamping: try claims.unsigned("size"))
        revision = try claims.unsigned("rev")
        decision = members["dec"] == nil ? nil : try claims.unsigned("dec")
        clientKey = try members["cnf"].map { (value) throws(StatementFailure) in try Self.clientKey(value) }
        try check()
    }

    private func check() throws(StatementFailure) {
        guard (0...Limits.snapshotBytes).contains(size ?? 0) else {
            throw .malformed("size is over \(Limits.snapshotBytes)")
        }
        guard epoch.isValid else { throw .malformed("epoch is not one from 1 to \(Epoch.last)") }
        guard decision != 0 else { throw .malformed("dec is 0") }
        guard notBefore < expiresAt, issuedAt < expiresAt else { throw .malformed("exp is not after nbf and iat") }
        guard expiresAt - issuedAt <= Limits.tokenLifetime else {
            throw .malformed("exp is more than \(Limits.tokenLifetime.components.seconds) s after iat")
        }
        guard clientKey?.isAcceptable ?? true else { throw .malformed("cnf is not a usable key") }
    }

    /// RFC 7800 §3.2 with a key of RFC 8037 §2.
    private static func confirmation(_ key: PublicKey) -> JSONValue {
        .object([
            "jwk": .object([
                "kty": .string("OKP"), "crv": .string("Ed25519"), "x": .string(Base64URL.encode(key.bytes)),
            ])
        ])
    }

    private static func clientKey(_ value: JSONValue) throws(StatementFailure) -> PublicKey {
        guard let jwk = value["jwk"], jwk["kty"] == .string("OKP"), jwk["crv"] == .string("Ed25519"),
            let bytes = jwk["x"]?.text.flatMap({ Base64URL.decode($0) }), let key = PublicKey(bytes: bytes)
        else { throw .malformed("cnf is not an Ed25519 key") }
        return key
    }
}
