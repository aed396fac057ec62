public import FederationModel

/// One change that must be durable before anything that follows from it leaves the process. Applying a change twice is
/// the same as applying it once.
public enum StoreChange: Hashable, Sendable {
    /// Inserts or replaces the registry entry; `card` is the signed record it was made from.
    case putServer(FederatedServer, card: String?)
    case removeServer(ServerID)
    /// Remembers a removed server's key, so that its id cannot be taken over.
    case putTombstone(ServerTombstone)
    case removeTombstone(ServerID)
    case putPeer(PeerRecord)
    case removePeer(ServerID)
    case putRoute(PortalRoute)
    case removeRoute(PortalID)
    case putWorld(WorldRecord)
    case removeWorld(WorldID)
    case putPlayer(PlayerRecord)
    case removePlayer(PlayerID)
    case putHandoff(HandoffRecord)
    case removeHandoff(HandoffID)
    /// How many handoffs towards a peer this server has decided.
    case putDecisions(ServerID, UInt64)
    case putPassage(Passage)
    case putReclaim(ReclaimRecord)
    /// A player who was never here was taken back by their home server: below this epoch they are not let in.
    case putRecall(PlayerID, Epoch)
    /// The sequence number of this server's own card.
    case putCardSequence(UInt64)
    case putBinding(KeyBinding)
    case putEquivocation(Equivocation)
    case putOwnKeys(OwnKeys)
    case trust(TrustChange)
    case registry(RegistryChange)
}

/// A change of what a registry service keeps, and of what is kept of others'.
public enum RegistryChange: Hashable, Sendable {
    /// Adds an entry to this server's registry log, in its place.
    case appendLog(RegistryLogRecord)
    case putListing(RegistryListing)
    case removeListing(RegistryListing)
    case putRegistry(KnownRegistry)
    /// Forgets what was read of the registry at this address, and what it was caught at.
    case removeRegistry(String)
    /// How many ids a registry has brought here.
    case putBrought(ServerID, Int)
}

/// What is remembered of a server that was removed from the registry.
public struct ServerTombstone: Hashable, Sendable, Codable {
    public let server: ServerID
    /// The key that the id stays bound to.
    public let publicKey: PublicKey
    /// Whether the server was suspended when it was removed; registering it again does not wash that off.
    public let isSuspended: Bool
    /// Why, if the operator said so.
    public let suspensionReason: String?
    /// Under the same key only a record with a higher sequence number brings the server back: it has left by its own wish. 0 when an
    /// operator has removed it, or its key has changed since.
    public let sequence: UInt64

    public init(
        server: ServerID, publicKey: PublicKey, isSuspended: Bool, suspensionReason: String? = nil, sequence: UInt64 = 0
    ) {
        self.server = server
        self.publicKey = publicKey
        self.isSuspended = isSuspended
        self.suspensionReason = suspensionReason
        self.sequence = sequence
    }
}

/// Everything that a store holds, as it is loaded at start-up. Every list is sorted by id.
public struct StoredState: Hashable, Sendable {
    public var servers: [FederatedServer] = []
    /// The signed record of each server that has one.
    public var cards: [ServerID: String] = [:]
    public var tombstones: [ServerTombstone] = []
    public var peers: [PeerRecord] = []
    public var routes: [PortalRoute] = []
    public var worlds: [WorldRecord] = []
    public var players: [PlayerRecord] = []
    /// In any order.
    public var handoffs = StoredHandoffs()
    /// How many handoffs this server has decided towards each peer.
    public var decisions: [ServerID: UInt64] = [:]
    public var passages: [Passage] = []
    public var reclaims: [ReclaimRecord] = []
    public var recalls: [PlayerID: Epoch] = [:]
    public var cardSequence: UInt64 = 0
    public var bindings: [KeyBinding] = []
    public var equivocations: [Equivocation] = []
    public var ownKeys = OwnKeys()
    /// The leaf hashes of this server's registry log, 32 bytes each, in order.
    public var logHashes: [UInt8] = []
    /// Which registries list which servers, sorted.
    public var listings: [RegistryListing] = []
    /// The registries that are read, sorted by address.
    public var registries: [KnownRegistry] = []
    /// How many ids each registry has brought here; see ``FederationNode/brought(by:)``.
    public var brought: [ServerID: Int] = [:]
    public var policy = TrustPolicy()
    /// Sorted by subject, then introducer.
    public var introductions: [HeardIntroduction] = []

    public init() {}
}
