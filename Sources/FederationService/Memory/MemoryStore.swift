public import FederationCore
import FederationModel

/// A store that forgets everything when the process ends: for tests, and for servers that are meant to leave nothing.
///
/// It can be told to fail, and to hold changes back, so that a test can look at a server between its decision and the
/// moment at which the decision is durable.
public actor MemoryStore: FederationStore {
    /// How an apply fails when it was told to.
    public enum Fault: Hashable, Sendable {
        /// Nothing was applied.
        case refused
        /// Everything was applied, and the answer was lost: the caller cannot know.
        case unanswered
    }

    private var tables: StoreTables
    private var faults: [Fault] = []
    private var isHeld = false
    private var held: [CheckedContinuation<Void, Never>] = []
    private var heldWaiters: [CheckedContinuation<Void, Never>] = []

    /// Transactions applied so far.
    public private(set) var transactions = 0

    public init(_ state: StoredState = StoredState()) {
        tables = StoreTables(state)
    }

    public func load() async throws -> StoredState {
        tables.state
    }

    public func apply(_ changes: [StoreChange]) async throws {
        if isHeld {
            await withCheckedContinuation { continuation in
                held.append(continuation)
                resume(&heldWaiters)
            }
        }
        let fault = faults.isEmpty ? nil : faults.removeFirst()
        if fault != .refused {
            for change in changes { tables.apply(change) }
            transactions += 1
        }
        if fault != nil {
            throw Refusal(
                .unavailable, code: "store.failed", reason: "the store was told to fail",
                remedy: "try again: it fails as often as it was told to")
        }
    }

    /// Makes the next `count` calls of ``apply(_:)`` fail.
    public func failNext(_ count: Int, _ fault: Fault = .refused) {
        faults += Array(repeating: fault, count: count)
    }

    /// From now on ``apply(_:)`` waits for ``release()``.
    public func hold() {
        isHeld = true
    }

    /// Returns once a call of ``apply(_:)`` is waiting for ``release()``.
    public func waitUntilHeld() async {
        guard held.isEmpty else { return }
        await withCheckedContinuation { heldWaiters.append($0) }
    }

    /// Lets the calls that wait go on, in the order in which they came.
    public func release() {
        isHeld = false
        resume(&held)
    }

    private func resume(_ continuations: inout [CheckedContinuation<Void, Never>]) {
        let waiting = continuations
        continuations = []
        for continuation in waiting { continuation.resume() }
    }
}

/// A store's tables, each by its key.
struct StoreTables {
    private var servers: [ServerID: FederatedServer] = [:]
    private var cards: [ServerID: String] = [:]
    private var tombstones: [ServerID: ServerTombstone] = [:]
    private var peers: [ServerID: PeerRecord] = [:]
    private var routes: [PortalID: PortalRoute] = [:]
    private var worlds: [WorldID: WorldRecord] = [:]
    private var players: [PlayerID: PlayerRecord] = [:]
    private var handoffs: [HandoffID: HandoffRecord] = [:]
    private var cardSequence: UInt64

    init(_ state: StoredState) {
        for server in state.servers { servers[server.id] = server }
        cards = state.cards
        for tombstone in state.tombstones { tombstones[tombstone.server] = tombstone }
        for peer in state.peers { peers[peer.server] = peer }
        for route in state.routes { routes[route.portal] = route }
        for world in state.worlds { worlds[world.world] = world }
        for player in state.players { players[player.player] = player }
        for handoff in state.handoffs { handoffs[handoff.id] = handoff }
        cardSequence = state.cardSequence
    }

    mutating func apply(_ change: StoreChange) {
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
        case .putCardSequence(let sequence): cardSequence = sequence
        }
    }

    /// Everything, sorted by id.
    var state: StoredState {
        var state = StoredState()
        state.servers = servers.values.sorted { $0.id < $1.id }
        state.cards = cards
        state.tombstones = tombstones.values.sorted { $0.server < $1.server }
        state.peers = peers.values.sorted { $0.server < $1.server }
        state.routes = routes.values.sorted { $0.portal < $1.portal }
        state.worlds = worlds.values.sorted { $0.world < $1.world }
        state.players = players.values.sorted { $0.player < $1.player }
        state.handoffs = handoffs.values.sorted { $0.id < $1.id }
        state.cardSequence = cardSequence
        return state
    }
}
