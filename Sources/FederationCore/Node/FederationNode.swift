public import FederationCrypto
public import FederationModel
import FederationWire
import HeapModule

/// One server of the federation without its clock, its disk and its sockets: inputs in, effects out.
///
/// Inputs from the network and the clock never throw; commands of an operator or a world throw a ``Refusal`` and then
/// nothing has changed. A node is not copyable, because it holds the keys of its channels.
public struct FederationNode: ~Copyable, Sendable {
    /// Changes by ``rotate(to:next:at:)`` and ``replace(by:with:at:)`` only.
    public internal(set) var identity: ServerIdentity
    public let configuration: NodeConfiguration
    /// When this node was made of what was stored.
    let startedAt: Timestamp

    public internal(set) var registry = ServerRegistry()
    public internal(set) var routing = RoutingTable()
    public internal(set) var health: HealthMonitor
    public internal(set) var players = PlayerTable()
    public internal(set) var ledger = HandoffLedger()
    public internal(set) var worlds: [WorldID: WorldRecord] = [:]
    public internal(set) var peers: [ServerID: PeerRecord] = [:]
    /// Which key each id is bound to. A binding outlives the registry entry.
    public internal(set) var bindings: [ServerID: KeyBinding] = [:]
    /// The proofs against servers that have contradicted themselves; at most ``Limits/equivocations``.
    public internal(set) var equivocations: [ServerID: Equivocation] = [:]
    /// Servers that have contradicted themselves as well, the proofs against which had to give way.
    var equivocators: Set<ServerID> = []
    /// This server's own key changes.
    public internal(set) var ownKeys: OwnKeys
    /// What this server's present key has committed to.
    public internal(set) var commitment: KeyCommitment
    /// The signed record of each server that has one.
    public internal(set) var cards: [ServerID: String] = [:]
    /// How many handoffs this server has decided towards each peer.
    public internal(set) var decisions: [ServerID: UInt64] = [:]
    /// How players came here.
    public internal(set) var passages = PassageTable()
    /// The players of this server that were taken back; the newest act for each.
    public internal(set) var reclaims: [PlayerID: ReclaimRecord] = [:]
    /// Players who were never here and whom their home servers have taken back: below these epochs they are not let in.
    public internal(set) var recalls: [PlayerID: Epoch] = [:]
    /// Worlds that have a say in who enters; see ``setGuarded(_:_:)``.
    public internal(set) var guardedWorlds: Set<WorldID> = []
    /// Whether this server is about to stop; see ``windDown()``.
    public internal(set) var isWindingDown = false
    /// This server's own signed card; see ``refreshCard(at:)``.
    public internal(set) var card: SignedCard?

    /// Whom this server trusts besides the peers that it has pinned; see ``setPolicy(_:at:)``.
    public internal(set) var policy = TrustPolicy()
    /// What peers have told of others.
    public internal(set) var introductions = IntroductionBook()

    /// nil in the product; see ``plant(_:)``.
    package internal(set) var plantedBug: PlantedBug?

    /// This server's registry log, as a tree over its entries.
    public internal(set) var log = MerkleTree()
    /// The registries that this server reads, by address.
    public internal(set) var registries: [String: KnownRegistry] = [:]
    /// See ``brought(by:)``.
    var broughtCounts: [ServerID: Int] = [:]
    /// The addresses of the registries that list a server.
    public internal(set) var listings: [ServerID: Set<String>] = [:]
    var listingCounts: [String: Int] = [:]
    /// The newest heartbeat statement of each server that sends some.
    var heartbeatMarks: [ServerID: HeartbeatMark] = [:]

    var handshakes: HandshakeManager
    var sessions: [ChannelID: PeerSession] = [:]
    var channels: [ServerID: ChannelID] = [:]
    var heartbeats = Heap<HeartbeatDue>()
    var arrivals: [HandoffID: WaitingArrival] = [:]
    /// Bytes of the snapshots that wait with them.
    var arrivalBytes = 0
    var arrivalDeadlines = Heap<ArrivalDeadline>()
    var cardSequence: UInt64
    /// When a server's card was last asked for because its key did not match.
    var cardFetches: [ServerID: Instant] = [:]
    /// When this server's card is to be issued anew.
    var cardDue: Instant?
    var probeQuestions: IndirectProbeQuestions
    var probeAnswers: IndirectProbeAnswers
    var comebacks: [ServerID: Comeback] = [:]
    /// The peers that the policy's deny list names.
    var denied: Set<ServerID> = []
    var trustReviewDue: Instant?
    var introductionsDue: Instant?
    var introductionsSent: [ServerID: [ServerID: SentIntroduction]] = [:]
    var ownIntroductions: [ServerID: OwnIntroduction] = [:]
    /// How many introductions each peer was sent lately, how many it has sent, and how many strangers it has told of.
    var introductionsTold: [ServerID: IntroductionAllowance] = [:]
    var introductionAllowances: [ServerID: IntroductionAllowance] = [:]
    var strangerAllowances: [ServerID: IntroductionAllowance] = [:]
    var cardSearches: [ServerID: CardSearch] = [:]
    var revocationRelays = RevocationRelays()
    var firstUses = (since: Instant(nanoseconds: 0), count: 0)
    /// Servers that were online when they were last stored. When they were heard last is not known: heartbeats are not stored.
    private var presentWhenStored: Set<ServerID> = []

    /// This server's own card as it stands.
    public struct SignedCard: Sendable {
        public let card: ServerCard
        /// The compact JWS.
        public let compact: String
    }

    /// An established channel.
    struct PeerSession: Sendable {
        let peer: VerifiedPeer
        let direction: ChannelDirection
        var sequence: UInt64 = 0
        /// The heartbeat that has not been answered yet.
        var outstanding: (sequence: UInt64, sentAt: Instant)?
        /// The last one measured.
        var roundTrip: Duration?
        /// All of them, smoothed (RFC 6298 §2): one late answer does not make the link slow.
        var smoothedRoundTrip: Duration?
    }

    struct HeartbeatDue: Comparable, Sendable {
        let at: Instant
        let channel: ChannelID

        static func < (left: Self, right: Self) -> Bool { (left.at, left.channel) < (right.at, right.channel) }
    }

    /// The node as it was stored.
    public init(
        identity: ServerIdentity, configuration: NodeConfiguration, restoring stored: StoredState, at now: Now
    ) throws(Refusal) {
        self.identity = identity
        self.configuration = configuration
        startedAt = now.timestamp
        handshakes = HandshakeManager(identity: identity, configuration: configuration.handshake)
        health = HealthMonitor(thresholds: configuration.health)
        probeQuestions = IndirectProbeQuestions(interval: configuration.health.interval)
        probeAnswers = IndirectProbeAnswers(interval: configuration.health.interval)
        ownKeys = stored.ownKeys
        commitment = stored.ownKeys.commitment ?? configuration.commitment
        cardSequence = stored.cardSequence
        for binding in stored.bindings { bindings[binding.server] = binding }
        for equivocation in stored.equivocations {
            if equivocation.isProof {
                equivocations[equivocation.server] = equivocation
            } else {
                equivocators.insert(equivocation.server)
            }
        }
        players = PlayerTable(restoring: stored.players)
        ledger = HandoffLedger(restoring: stored.handoffs, retention: configuration.handoffRetention, at: now)
        decisions = stored.decisions
        passages = PassageTable(restoring: stored.passages)
        recalls = stored.recalls
        for reclaim in stored.reclaims { reclaims[reclaim.player] = reclaim }
        cards = stored.cards
        guard let tree = MerkleTree(leafHashes: stored.logHashes) else {
            throw Refusal(
                .unavailable, code: "store.unreadable", reason: "the stored registry log is damaged",
                remedy: "restore the data directory from a backup")
        }
        log = tree
        for known in stored.registries { registries[known.address] = known }
        broughtCounts = stored.brought
        for listing in stored.listings {
            listings[listing.server, default: []].insert(listing.registry)
            listingCounts[listing.registry, default: 0] += 1
        }
        for world in stored.worlds { worlds[world.world] = world }
        do {
            try registry.restore(stored.servers, tombstones: stored.tombstones)
            for route in stored.routes { _ = try routing.add(route) }
        } catch let failure as ServerRegistry.Failure {
            throw failure.refusal
        } catch let failure as RoutingTable.Failure {
            throw failure.refusal
        } catch {
            throw Refusal(
                .unavailable, code: "store.unreadable", reason: "the stored state was refused: \(error)",
                remedy: "restore the data directory from a backup")
        }
        for peer in stored.peers {
            peers[peer.server] = peer
            health.watch(peer.server, at: now.instant)
        }
        policy = stored.policy
        for heard in stored.introductions { _ = introductions.hear(heard) }
        findDenied()
        // Servers that say by statements that they are alive; one that fell silent before is offline already.
        for server in stored.servers where server.status == .online || server.status == .degraded {
            health.watch(server.id, at: now.instant)
            if server.status == .online { presentWhenStored.insert(server.id) }
        }
    }

    /// The first effects of a node's life: its card, and a dial for each peer.
    public mutating func start(at now: Now) -> [Effect] {
        var effects = refreshCard(at: now) + beginLog(at: now)
        scheduleReview(at: now)
        for id in peers.keys.sorted() {
            effects += dialEffects(for: id)
        }
        return effects
    }

    public var id: ServerID { identity.id }

    /// When a server was last heard, as far as that is known; nil for one that never was, or has no entry. Of one that was
    /// online when it was stored it is not known: then it is the start of this node, until it is heard.
    public func lastHeard(_ server: ServerID) -> Timestamp? {
        guard let last = registry.lastHeartbeat(of: server) else { return nil }
        return presentWhenStored.contains(server) ? max(last, startedAt) : last
    }

    /// When ``tick(at:)`` has something to do next.
    public var nextDeadline: Instant? {
        [
            handshakes.nextDeadline, health.nextDeadline, ledger.nextDeadline, heartbeats.min?.at, cardDue,
            arrivalDeadlines.min?.at, probeAnswers.nextDeadline, trustReviewDue, introductionsDue,
            revocationRelays.nextDeadline,
        ]
        .lazy.compactMap(\.self).min()
    }

    /// The passing of time: handshakes that take too long, heartbeats to send, silence that counts, handoffs that wait.
    public mutating func tick(at now: Now) -> [Effect] {
        var effects: [Effect] = []
        for (channel, failure) in handshakes.expire(at: now) {
            effects += drop(channel, failure.closeCode)
        }
        effects += sendHeartbeats(at: now)
        for change in health.tick(at: now.instant) {
            effects += apply(change, at: now)
        }
        effects += askAboutDoubtful(at: now)
        effects += expireProbes(at: now)
        effects += expireArrivals(at: now)
        effects += keepTrust(at: now)
        effects += relayRevocations(at: now)
        var forgotten: [StoreChange] = []
        for due in ledger.tick(at: now.instant) {
            if case .forget(let id) = due {
                if provesForgottenReclaim(id) {
                    ledger.keep(id, at: now.instant)
                } else if ledger.forget(id) {
                    forgotten.append(.removeHandoff(id))
                }
            } else {
                effects += carryOut(due, at: now)
            }
        }
        if !forgotten.isEmpty { effects.append(.persist(forgotten)) }
        if let cardDue, cardDue <= now.instant { effects += refreshCard(at: now) }
        return effects
    }

    /// Issues this server's card anew, with a higher sequence number: at the start, when something in it changes, and
    /// well before it expires. The number is the time in milliseconds where that is higher than the last one: so that a
    /// server that was restored from a backup does not use a number again, which would make it contradict itself.
    public mutating func refreshCard(at now: Now) -> [Effect] {
        cardSequence = max(cardSequence + 1, UInt64(max(0, now.timestamp.milliseconds)))
        cardDue = now.instant + configuration.cardLifetime / 2
        let fresh = ServerCard(
            id: id, name: configuration.name, endpoint: configuration.endpoint,
            alternatives: configuration.alternatives, publicKey: identity.publicKey, commitment: commitment,
            rotations: ownKeys.rotations, revocation: ownKeys.revocation, sequence: cardSequence,
            worlds: Array(worlds.keys.sorted().prefix(ServerCard.maximumWorlds)), contact: configuration.contact,
            issued: now.timestamp, expires: now.timestamp + configuration.cardLifetime)
        card = SignedCard(card: fresh, compact: fresh.issue(by: identity))
        return [.persist([.putCardSequence(cardSequence)])]
    }

    // MARK: What is trusted now

    /// The proof that a peer is trusted: its handshake was completed, has not expired, and the operator still wants it.
    public func verifiedPeer(_ server: ServerID, at now: Now) -> VerifiedPeer? {
        if plantedBug == .trustKeptAfterSuspension { return handshakes.verifiedPeer(server, at: now) }
        guard isWanted(server), let record = peers[server],
            let peer = handshakes.verifiedPeer(server, at: now),
            counts(peer.publicKey, of: record, at: now) || plantedBug == .trustKeptAfterKeyChange
        else { return nil }
        return peer
    }

    /// Whether the operator, or the policy, wants a server to be trusted, once its handshake is completed.
    func isWanted(_ server: ServerID) -> Bool {
        guard let record = peers[server] else { return false }
        return !registry.isSuspended(server) && !denied.contains(server) && record.scopes.contains(.heartbeat)
    }

    /// What brings a channel to a peer about; nothing for others and for suspended ones, nor from a server that is about to stop.
    public func dialEffects(for server: ServerID) -> [Effect] {
        guard !isWindingDown, let record = peers[server], !denied.contains(server), record.scopes.contains(.heartbeat),
            let entry = registry.server(server), entry.status != .suspended
        else { return [] }
        return [.dial(server, configuration.addresses[server].map { [$0] } ?? [entry.endpoint] + entry.alternatives)]
    }

    /// Puts a change of health into the registry and lets the world know.
    mutating func apply(_ change: HealthChange, at now: Now) -> [Effect] {
        var effects: [Effect] = [
            .report(.healthChanged(change.server, from: change.from, to: change.to, failures: change.failures))
        ]
        let status: ServerStatus =
            switch change.to {
            case .healthy: .online
            case .degraded: .degraded
            case .unreachable: .offline
            }
        // A channel that carries no answers only hides that another could be opened.
        if change.to == .unreachable, let channel = channels[change.server] {
            effects += drop(channel, .silent)
        }
        guard let entry = registry.server(change.server), entry.status != status, entry.status != .suspended else {
            return effects
        }
        // What is stored now says since when it is silent, also to the node that is made of it.
        if change.to != .healthy, presentWhenStored.remove(change.server) != nil {
            // Refused when it was heard since.
            _ = try? registry.recordHeartbeat(change.server, at: startedAt)
        }
        if let changed = try? registry.updateStatus(change.server, to: status) {
            effects.insert(.persist([.putServer(changed, card: cards[change.server])]), at: 0)
        }
        return effects
    }
}
