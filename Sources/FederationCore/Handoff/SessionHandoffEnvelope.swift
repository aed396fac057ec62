public import FederationCrypto
public import FederationModel

/// A player on the way: the token that says who goes whither, and the state that goes along. It can only be made from a
/// token that was verified or that this server issued, and a snapshot that matches it.
public struct SessionHandoffEnvelope: Sendable {
    /// Verified, or issued here.
    public let token: SessionToken
    /// The token's signed form.
    public let compact: String
    /// The player's state; opaque.
    public let snapshot: [UInt8]

    /// Checks an offer as it came from `peer`: first the sizes, then the token, then the snapshot against it.
    ///
    /// - Parameter key: the one that the token may be signed with; nil for the one that the peer's handshake proved.
    /// - Throws: `token(…)`, `playerMismatch` when the token is for another handoff, `snapshotTooLarge`,
    ///   `snapshotHashMismatch`, `sameWorld` when the token leads to the server that issued it.
    public init(
        receiving compact: String, snapshot: [UInt8], handoff: HandoffID, from peer: VerifiedPeer,
        key: PublicKey? = nil, audience: ServerID, at now: Timestamp
    ) throws(HandoffLedger.Failure) {
        guard snapshot.count <= Limits.snapshotBytes else { throw .snapshotTooLarge(snapshot.count) }
        let token: SessionToken
        do {
            token = try SessionToken.verify(
                compact, issuer: peer.serverID, key: key ?? peer.publicKey, audience: audience, at: now,
                leeway: Limits.tokenLeeway)
        } catch {
            throw .token(error)
        }
        guard token.handoff == handoff else { throw .playerMismatch(handoff) }
        guard token.issuer != token.audience else { throw .sameWorld(token.audience) }
        let actual = ContentHash.of(snapshot)
        guard actual == token.snapshot else {
            throw .snapshotHashMismatch(expected: token.snapshot, actual: actual)
        }
        self.token = token
        self.compact = compact
        self.snapshot = snapshot
    }

    /// The destination's ledger entry for this envelope.
    func reservation(at now: Timestamp) -> HandoffRecord {
        HandoffRecord(
            id: token.handoff, role: .destination, player: token.player, peer: token.issuer, portal: token.portal,
            world: token.world, spawn: token.spawn, epoch: token.epoch, revision: token.revision,
            snapshotHash: token.snapshot, snapshot: snapshot, clientKey: token.clientKey, state: .reserved,
            openedAt: now, changedAt: now)
    }
}
