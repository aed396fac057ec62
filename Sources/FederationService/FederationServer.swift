import Collections
public import FederationCore
public import FederationCrypto
public import FederationModel
public import Logging

/// One running server: feeds inputs into the ``FederationNode``, carries out its effects, and answers the adapters.
///
/// Nothing leaves before what it follows from is durable: effects go through one queue, in which all changes that wait
/// are committed together (group commit) before anything behind them is sent, answered or told.
public actor FederationServer {
    public nonisolated let id: ServerID
    public nonisolated let logger: Logger
    public nonisolated let assets: any AssetStore

    let clock: any FederationClock
    let entropy: any EntropySource
    let store: any FederationStore
    let startedAt: Timestamp
    var node: FederationNode
    var transport: (any PeerTransport)?
    var cardSource: (any CardSource)?
    /// For peers whose keys have changed.
    var peerCards: (any CardSource)?
    var keeper: (any IdentityKeeper)?
    var examiner: (any ExaminationLink)?
    var heartbeats: (any HeartbeatLink)?
    var returnNotices = ReturnNotices()
    var inquiries = InquiryGate()
    /// Also until ``start(transport:cards:peerCards:keys:examiner:heartbeats:)`` has seen to a replacement that waits.
    var isChangingKeys = true
    var channels: [ChannelID: Channel] = [:]
    var nextChannel: UInt64 = 1
    var crossings = CrossingLog()
    /// When the handoff of a crossing began, for its progress.
    var handoffStarted: [HandoffID: Instant] = [:]
    var subscribers = Subscribers()
    var worldFeeds = WorldFeeds()
    var requests = PendingRequests()
    var failing = FailingPeers()
    var verifiedWorlds = VerifiedWorlds()
    /// Watches ``requests`` for answers that are late.
    var requestTimer: (deadline: Instant, task: Task<Void, Never>)?
    var assetReads: [ChannelID: AssetReads] = [:]
    var verifications: [WorldVerification.Key: WorldVerification] = [:]
    var manifestQuestions = ManifestQuestions()
    var chunkSlots: [ServerID: ChunkSlots] = [:]
    /// What is being fetched from peers, by a number of its own.
    var fetches: [UInt64: ChunkFetch] = [:]
    var nextFetch: UInt64 = 0
    /// Assets that are being moved away or replaced, with those who wait to do the same.
    var assetTurns: [ContentHash: Deque<CheckedContinuation<Void, Never>>] = [:]

    // The effect queue; see FederationServer+Effects.swift.
    var queue: [EffectBatch] = []
    var isDraining = false
    var storageFailure: Refusal?
    var timer: (deadline: Instant, task: Task<Void, Never>)?
    var isStopping = false
    /// The pause before a store that failed is tried again.
    var storeRest: Task<Void, Never>?
    /// The store failed to the end: nothing is carried out any more.
    var hasGivenUp = false
    /// Registrations of strangers whose addresses are being proved.
    var proofsUnderWay = 0
    /// Searches that look at more than ``searchedAtOnce`` entries.
    var searchesUnderWay = 0
    /// How much of the registry log is durable, and so may be shown.
    var durableLog: Int
    /// The newest head that was signed.
    var treeHead: (head: TreeHead, compact: String)?
    /// What is known of the registries that this server uses, by address.
    var registrySources: [String: RegistrySource] = [:]
    /// This server's card, as it may be shown.
    var publishedCard: FederationNode.SignedCard?

    /// A channel as the service knows it.
    struct Channel {
        let direction: ChannelDirection
        let sink: any PeerChannel
        /// The address and port at the other end, for logs.
        let remote: String
        /// The address alone, for the deny list; nil when the transport did not name one.
        let address: NetworkAddress?
    }

    /// Loads what the store holds and makes the server from it. Nothing is sent before ``start(transport:cards:peerCards:keys:examiner:heartbeats:)``.
    public static func open(
        identity: ServerIdentity, configuration: NodeConfiguration, store: any FederationStore,
        assets: any AssetStore, clock: any FederationClock = SystemClock(),
        entropy: any EntropySource = SystemEntropy(), logger: Logger
    ) async throws -> FederationServer {
        try await open(
            configuration: configuration, store: store, assets: assets, clock: clock, entropy: entropy, logger: logger
        ) { _ in identity }
    }

    /// As ``open(identity:configuration:store:assets:clock:entropy:logger:)``, for a server whose keys may have changed.
    ///
    /// - Parameter identify: the identity that belongs to what is stored of this server's keys. What it learns of them besides
    ///   (the first start has nothing stored) it puts there, and it is durable before anything is shown.
    public static func open(
        configuration: NodeConfiguration, store: any FederationStore, assets: any AssetStore,
        clock: any FederationClock = SystemClock(), entropy: any EntropySource = SystemEntropy(), logger: Logger,
        identify: (inout OwnKeys) async throws -> ServerIdentity
    ) async throws -> FederationServer {
        var stored = try await store.load()
        guard !stored.ownKeys.isDead else { throw deadForGood }
        var keys = stored.ownKeys
        let identity = try await identify(&keys)
        if keys != stored.ownKeys {
            try await store.apply([.putOwnKeys(keys)])
            stored.ownKeys = keys
        }
        let now = clock.now()
        let node = try FederationNode(identity: identity, configuration: configuration, restoring: stored, at: now)
        return FederationServer(
            node: node, store: store, assets: assets, clock: clock, entropy: entropy, logger: logger,
            startedAt: now.timestamp)
    }

    /// Why a server whose owner has revoked it for good does not start.
    public static let deadForGood = Refusal(
        .forbidden, code: "keys.revoked", reason: "the owner has revoked this server for good",
        remedy: "make a server with a new id: aether init")

    private init(
        node: consuming sending FederationNode, store: any FederationStore, assets: any AssetStore,
        clock: any FederationClock, entropy: any EntropySource, logger: Logger, startedAt: Timestamp
    ) {
        id = node.identity.id
        durableLog = node.log.count
        self.node = node
        self.store = store
        self.assets = assets
        self.clock = clock
        self.entropy = entropy
        self.logger = logger
        self.startedAt = startedAt
    }

    /// Begins to dial peers and to keep time, and takes the key that the owner has put in the place of this server's keys, if
    /// there is one. Call once, when the listener is bound; when it throws, end with ``stop()``.
    ///
    /// - Parameters:
    ///   - cards: how it is looked whether strangers who register answer for their cards; nil to take no such registration.
    ///   - peerCards: where the cards of peers whose keys do not match are looked up: best not what strangers can keep busy; nil
    ///     for the same as `cards`. With neither this server waits for the peers to come.
    ///   - keys: where this server's keys are kept, so that they can be changed; nil when they cannot.
    ///   - examiner: with what this server looks for what is the matter; nil when it cannot.
    ///   - heartbeats: how peers that it cannot dial are told that it is back; nil to wait for them.
    public func start(
        transport: any PeerTransport, cards: (any CardSource)? = nil, peerCards: (any CardSource)? = nil,
        keys: (any IdentityKeeper)? = nil,
        examiner: (any ExaminationLink)? = nil, heartbeats: (any HeartbeatLink)? = nil
    ) async throws(Refusal) {
        self.transport = transport
        cardSource = cards
        self.peerCards = peerCards ?? cards
        keeper = keys
        self.examiner = examiner
        self.heartbeats = heartbeats
        defer { isChangingKeys = false }
        try await commit(node.start(at: clock.now()))
        if let keys, let key = try await takeReplacement(from: keys) {
            logger.notice("the keys were replaced by their owner", metadata: ["fingerprint": "\(key.fingerprint)"])
        }
    }

    /// The server is about to stop: from now on it dials nobody, opens no channel, lets no newcomer in and sends nobody off.
    /// What is decided, or for which a place is kept, is answered and made durable as before, until ``stop()``.
    ///
    /// Say it before the port closes. World servers go with the port, and nobody may enter their worlds behind their backs.
    public func windDown() async {
        if !node.isWindingDown { logger.notice("\(id) is stopping") }
        enqueue(node.windDown())
        for peer in node.peers.keys.sorted() { await transport?.hangUp(peer) }
    }

    /// Winds down, stops keeping time, refuses what comes, and waits until everything that was promised is durable and sent. A
    /// store that fails is tried once more; what it refuses then was promised to nobody and is dropped.
    public func stop() async {
        isStopping = true
        timer?.task.cancel()
        timer = nil
        await windDown()
        endRequests(requests.takeAll(), .failure(.disconnected))
        storeRest?.cancel()
        await carryOut([])
        for channel in channels.keys.sorted() { channels[channel]?.sink.close(.goingAway) }
        subscribers.finish()
        worldFeeds.finish()
    }
}
