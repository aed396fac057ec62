public import FederationModel

/// One handoff in one server's ledger.
public struct HandoffRecord: Hashable, Sendable {
    public let id: HandoffID
    /// Which end this server is.
    public let role: HandoffRole
    public let player: PlayerID
    /// The server at the other end.
    public let peer: ServerID
    public let portal: PortalID
    /// The world at the destination.
    public let world: WorldID
    public let spawn: SpawnPoint?
    /// The player's epoch once the handoff is committed.
    public let epoch: Epoch
    /// Of the state that crosses.
    public let revision: UInt64
    public let snapshotHash: ContentHash
    /// The state that crosses; kept at the source until the receipt is in and at the destination until admission.
    public var snapshot: [UInt8]
    /// Of the state that crosses, in bytes; stays known when the snapshot itself is dropped.
    public let snapshotSize: Int
    public let clientKey: PublicKey?
    /// Which of the source's decisions towards the destination it was, counted from 1; nil while nothing is decided.
    public var decision: UInt64?
    public var state: HandoffState
    public let openedAt: Timestamp
    public var changedAt: Timestamp
    /// Why it was aborted: a stable code and a line for people.
    public var abortCode: String?
    public var abortReason: String?
    /// The destination's signed receipt, once admitted.
    public var receipt: String?
    /// When the player's client redeemed its token at the destination.
    public var redeemedAt: Timestamp?

    public init(
        id: HandoffID, role: HandoffRole, player: PlayerID, peer: ServerID, portal: PortalID, world: WorldID,
        spawn: SpawnPoint?, epoch: Epoch, revision: UInt64, snapshotHash: ContentHash, snapshot: [UInt8],
        snapshotSize: Int? = nil, clientKey: PublicKey?, decision: UInt64? = nil, state: HandoffState,
        openedAt: Timestamp, changedAt: Timestamp,
        abortCode: String? = nil, abortReason: String? = nil, receipt: String? = nil, redeemedAt: Timestamp? = nil
    ) {
        self.id = id
        self.role = role
        self.player = player
        self.peer = peer
        self.portal = portal
        self.world = world
        self.spawn = spawn
        self.epoch = epoch
        self.revision = revision
        self.snapshotHash = snapshotHash
        self.snapshot = snapshot
        self.snapshotSize = snapshotSize ?? snapshot.count
        self.clientKey = clientKey
        self.decision = decision
        self.state = state
        self.openedAt = openedAt
        self.changedAt = changedAt
        self.abortCode = abortCode
        self.abortReason = abortReason
        self.receipt = receipt
        self.redeemedAt = redeemedAt
    }
}
