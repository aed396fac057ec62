public import FederationModel

/// The destination's signed statement that it has the player: what lets the source complete a handoff.
public struct AdmissionReceipt: SignedStatement {
    public static let use = SignatureUse.admissionReceipt

    /// The destination (`iss`).
    public let issuer: ServerID
    /// The source (`aud`).
    public let audience: ServerID
    /// `jti`.
    public let handoff: HandoffID
    /// `sub`.
    public let player: PlayerID
    /// The epoch in which the player now is.
    public let epoch: Epoch
    /// `iat`, in whole seconds.
    public let issuedAt: Timestamp

    public init(
        issuer: ServerID, audience: ServerID, handoff: HandoffID, player: PlayerID, epoch: Epoch, issuedAt: Timestamp
    ) {
        self.issuer = issuer
        self.audience = audience
        self.handoff = handoff
        self.player = player
        self.epoch = epoch
        self.issuedAt = Timestamp(seconds: issuedAt.seconds)
    }

    /// The receipt in `text`, when `key`, which belongs to `issuer`, signed it for `audience`. A receipt does not
    /// expire.
    public static func verify(
        _ text: String, issuer: ServerID, key: PublicKey, audience: ServerID
    ) throws(StatementFailure) -> AdmissionReceipt {
        let receipt = try verified(text, issuer: issuer, key: key)
        guard receipt.audience == audience else { throw .wrongAudience }
        return receipt
    }

    public var claims: [String: JSONValue] {
        [
            "iss": Claims.value(issuer), "aud": Claims.value(audience), "jti": Claims.value(handoff),
            "sub": Claims.value(player), "epoch": Claims.unsigned(epoch.number), "iat": Claims.time(issuedAt),
        ]
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        issuer = try claims.value("iss")
        audience = try claims.value("aud")
        handoff = try claims.value("jti")
        player = try claims.value("sub")
        epoch = Epoch(try claims.unsigned("epoch"))
        issuedAt = try claims.time("iat")
    }
}
