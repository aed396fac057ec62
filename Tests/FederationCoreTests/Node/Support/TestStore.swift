import FederationCore
import FederationModel

/// What one test node has made durable.
struct TestStore {
    private var servers: [ServerID: FederatedServer] = [:]
    private var cards: [ServerID: String] = [:]
    private var tombstones: [ServerID: ServerTombstone] = [:]
    private var peers: [ServerID: PeerRecord] = [:]
    private var routes: [PortalID: PortalRoute] = [:]
    private var worlds: [WorldID: WorldRecord] = [:]
    private(set) var players: [PlayerID: PlayerRecord] = [:]
    private(set) var handoffs: [HandoffID: HandoffRecord] = [:]
    private var cardSequence: UInt64 = 0

    mutating func apply(_ changes: [StoreChange]) {
        for change in changes { apply(change) }
    }

    private mutating func apply(_ change: StoreChange) {
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

    func server(_ id: ServerID) -> FederatedServer? { servers[id] }

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
