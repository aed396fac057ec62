public import FederationCrypto
public import FederationModel
import FederationWire

/// The proof that a peer holds the key that is bound to its id: its Ready has been opened with keys that both
/// identities went into. Only this file can make one.
public struct VerifiedPeer: Hashable, Sendable {
    public let serverID: ServerID
    /// The Ed25519 key that the peer proved; statements from it are verified with this one.
    public let publicKey: PublicKey
    public let channel: ChannelID
    public let direction: ChannelDirection
    /// The protocol version that both sides speak on the channel.
    public let version: UInt16
    public let suite: CipherSuite
    /// How far the peer's wall clock was ahead of this server's; negative when behind.
    public let clockOffset: Duration
    /// When the proof was completed.
    public let verifiedAt: Timestamp
    /// When trust ends unless a new handshake renews it.
    public let expiresAt: Instant

    fileprivate init(_ agreed: AwaitingReady.Agreed, at now: Now, lifetime: Duration) {
        serverID = agreed.claim.server
        publicKey = agreed.claim.publicKey
        channel = agreed.channel
        direction = agreed.direction
        version = agreed.version
        suite = agreed.suite
        clockOffset = agreed.clockOffset
        verifiedAt = now.timestamp
        expiresAt = now.instant + lifetime
    }
}

/// Keys stand and this side's Ready is sealed; the peer's Ready is due. Sending one proves nothing, opening one does.
struct AwaitingReady: ~Copyable, Sendable {
    /// What is known of the channel.
    struct Agreed: Sendable {
        let channel: ChannelID
        let direction: ChannelDirection
        let claim: Handshake.PeerClaim
        let version: UInt16
        let suite: CipherSuite
        let clockOffset: Duration
    }

    private let agreed: Agreed
    private var records: RecordLayer

    init(_ secure: consuming SecureChannel, channel: ChannelID, direction: ChannelDirection) {
        agreed = Agreed(
            channel: channel, direction: direction, claim: secure.peer, version: secure.version, suite: secure.suite,
            clockOffset: secure.clockOffset)
        records = secure.records()
    }

    /// This side's Ready, the first record.
    mutating func ready(from server: ServerID, at now: Instant) throws(HandshakeManager.Failure) -> [[UInt8]] {
        do {
            return try records.seal(try FrameCodec.encode(HandshakeComplete(server: server).frame), at: now)
        } catch {
            throw .unavailable
        }
    }

    /// A peer that has been verified, and the records that go on.
    struct Verified: ~Copyable, Sendable {
        let peer: VerifiedPeer
        let records: RecordLayer
    }

    /// Opens the peer's Ready.
    consuming func receive(
        _ record: [UInt8], at now: Now, lifetime: Duration
    ) throws(HandshakeManager.Failure) -> Verified {
        guard record.count <= Limits.handshakeMessageBytes else { throw .oversized(record.count) }
        let agreed = agreed
        var records = records
        let opened: RecordLayer.Opened
        do {
            opened = try records.open(record)
        } catch {
            throw HandshakeManager.Failure(error)
        }
        guard case .frame(let bytes) = opened else { throw .malformed("a change of keys where Ready is due") }
        guard let frame = try? FrameCodec.decode(bytes), let complete = HandshakeComplete(frame) else {
            throw .malformed("the first record is not Ready")
        }
        guard complete.server == agreed.claim.server else {
            throw .wrongPeer(expected: agreed.claim.server, actual: complete.server)
        }
        return Verified(peer: VerifiedPeer(agreed, at: now, lifetime: lifetime), records: records)
    }
}
