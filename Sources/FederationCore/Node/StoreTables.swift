public import FederationModel

/// A store's tables, each by its key: what a store that keeps nothing for good is made of, and what the others must amount to.
public struct StoreTables: Sendable {
    public private(set) var servers: [ServerID: FederatedServer] = [:]
    private var cards: [ServerID: String] = [:]
    private var tombstones: [ServerID: ServerTombstone] = [:]
    private var peers: [ServerID: PeerRecord] = [:]
    private var routes: [PortalID: PortalRoute] = [:]
    private var worlds: [WorldID: WorldRecord] = [:]
    public private(set) var players: [PlayerID: PlayerRecord] = [:]
    public private(set) var handoffs: [HandoffID: HandoffRecord] = [:]
    private var decisions: [ServerID: UInt64]
    private var passages: [PassageKey: Passage] = [:]
    private var reclaims: [PlayerID: ReclaimRecord] = [:]
    private var recalls: [PlayerID: Epoch]
    private var cardSequence: UInt64
    private var bindings: [ServerID: KeyBinding] = [:]
    private var equivocations: [ServerID: Equivocation] = [:]
    private var ownKeys: OwnKeys
    /// This server's registry log.
    public private(set) var log: [RegistryLogRecord] = []
    /// Entries of which only the hash is known: what the store began with.
    private var logHashes: [UInt8]
    private var listings: Set<RegistryListing>
    private var registries: [String: KnownRegistry] = [:]
    private var brought: [ServerID: Int]
    private var policy: TrustPolicy
    private var introductions: [IntroductionKey: HeardIntroduction] = [:]

    private struct PassageKey: Hashable {
        let origin: ServerID
        let player: PlayerID

        init(_ passage: Passage) {
            origin = passage.origin
            player = passage.player
        }
    }

    private struct IntroductionKey: Hashable {
        let introducer: ServerID
        let subject: ServerID
    }

    public init(_ state: StoredState = StoredState()) {
        for server in state.servers { servers[server.id] = server }
        cards = state.cards
        for tombstone in state.tombstones { tombstones[tombstone.server] = tombstone }
        for peer in state.peers { peers[peer.server] = peer }
        for route in state.routes { routes[route.portal] = route }
        for world in state.worlds { worlds[world.world] = world }
        for player in state.players { players[player.player] = player }
        for handoff in state.handoffs { handoffs[handoff.id] = handoff }
        decisions = state.decisions
        for passage in state.passages { passages[PassageKey(passage)] = passage }
        for reclaim in state.reclaims { reclaims[reclaim.player] = reclaim }
        recalls = state.recalls
        cardSequence = state.cardSequence
        for binding in state.bindings { bindings[binding.server] = binding }
        for equivocation in state.equivocations { equivocations[equivocation.server] = equivocation }
        ownKeys = state.ownKeys
        logHashes = state.logHashes
        listings = Set(state.listings)
        for registry in state.registries { registries[registry.address] = registry }
        brought = state.brought
        policy = state.policy
        for heard in state.introductions { apply(.putIntroduction(heard)) }
    }

    public mutating func apply(_ changes: [StoreChange]) {
        for change in changes { apply(change) }
    }

    /// Applies one change.
    public mutating func apply(_ change: StoreChange) {
        switch change {
        case .putServer(let server, let card):
            servers[server.id] = server
            cards[server.id] = card
        case .removeServer(let id):
            servers[id] = nil
            cards[id] = nil
        case .putTombstone(let tombstone): tombstones[tombstone.server] = tombstone
        case .removeTombstone(let id): tombstones[id] = nil
        case .putPeer(let peer): peers[peer.server] = peer
        case .removePeer(let id): peers[id] = nil
        case .putRoute(let route): routes[route.portal] = route
        case .removeRoute(let portal): routes[portal] = nil
        case .putWorld(let world): worlds[world.world] = world
        case .removeWorld(let id): worlds[id] = nil
        case .putPlayer(let player): players[player.player] = player
        case .removePlayer(let id): players[id] = nil
        case .putHandoff(let handoff): handoffs[handoff.id] = handoff
        case .removeHandoff(let id): handoffs[id] = nil
        case .putDecisions(let server, let count): decisions[server] = count
        case .putPassage(let passage): passages[PassageKey(passage)] = passage
        case .putReclaim(let reclaim): reclaims[reclaim.player] = reclaim
        case .putRecall(let player, let epoch): recalls[player] = epoch
        case .putCardSequence(let sequence): cardSequence = sequence
        case .putBinding(let binding): bindings[binding.server] = binding
        case .putEquivocation(let equivocation): equivocations[equivocation.server] = equivocation
        case .putOwnKeys(let keys): ownKeys = keys
        case .registry(let change): apply(change)
        case .trust(let change): apply(change)
        }
    }

    private mutating func apply(_ change: RegistryChange) {
        switch change {
        case .appendLog(let record):
            let index = record.index - logHashes.count / 32
            if log.indices.contains(index) { log[index] = record } else { log.append(record) }
        case .putListing(let listing): listings.insert(listing)
        case .removeListing(let listing): listings.remove(listing)
        case .putRegistry(let registry): registries[registry.address] = registry
        case .removeRegistry(let address): registries[address] = nil
        case .putBrought(let registry, let count): brought[registry] = count
        }
    }

    private mutating func apply(_ change: TrustChange) {
        switch change {
        case .putPolicy(let changed): policy = changed
        case .putIntroduction(let heard):
            introductions[IntroductionKey(introducer: heard.introducer, subject: heard.subject)] = heard
        case .removeIntroduction(let introducer, let subject):
            introductions[IntroductionKey(introducer: introducer, subject: subject)] = nil
        }
    }

    /// Everything, sorted by id.
    public var state: StoredState {
        var state = StoredState()
        state.servers = servers.values.sorted { $0.id < $1.id }
        state.cards = cards
        state.tombstones = tombstones.values.sorted { $0.server < $1.server }
        state.peers = peers.values.sorted { $0.server < $1.server }
        state.routes = routes.values.sorted { $0.portal < $1.portal }
        state.worlds = worlds.values.sorted { $0.world < $1.world }
        state.players = players.values.sorted { $0.player < $1.player }
        state.handoffs = StoredHandoffs(handoffs.values.sorted { $0.id < $1.id })
        state.decisions = decisions
        state.passages = passages.values.sorted { ($0.origin, $0.player) < ($1.origin, $1.player) }
        state.recalls = recalls
        state.reclaims = reclaims.values.sorted { $0.player < $1.player }
        state.cardSequence = cardSequence
        state.bindings = bindings.values.sorted { $0.server < $1.server }
        state.equivocations = equivocations.values.sorted { $0.server < $1.server }
        state.ownKeys = ownKeys
        state.logHashes = logHashes + log.flatMap(\.leafHash.bytes)
        state.listings = listings.sorted()
        state.registries = registries.keys.sorted().compactMap { registries[$0] }
        state.brought = brought
        state.policy = policy
        state.introductions = introductions.values.sorted {
            ($0.subject, $0.introducer) < ($1.subject, $1.introducer)
        }
        return state
    }
}
