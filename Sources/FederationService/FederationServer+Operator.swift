public import FederationCore
import FederationCrypto
public import FederationModel

/// What the adapters offer to operators, world servers and other registries. Every change is durable when it returns.
extension FederationServer {
    // MARK: This server

    /// This server's own signed card, as it is served at `/.well-known/aether-federation`.
    public func card() -> FederationNode.SignedCard? { publishedCard }

    public func summary() -> ServerSummary {
        let now = clock.now()
        let peers = node.peers.keys
        return ServerSummary(
            id: id, name: node.configuration.name, endpoint: node.configuration.endpoint,
            publicKey: node.identity.publicKey, fingerprint: node.identity.publicKey.fingerprint,
            servers: node.registry.count, peers: peers.count,
            trustedPeers: peers.count { node.verifiedPeer($0, at: now) != nil },
            healthyPeers: peers.count { node.health.status(of: $0) == .healthy },
            routes: node.routing.count, worlds: node.worlds.count, players: node.players.countHere,
            openHandoffs: node.ledger.openCount, storageFailure: storageFailure?.reason, startedAt: startedAt,
            degradedPeers: peers.count { node.health.status(of: $0) == .degraded },
            connectedPeers: peers.count { node.channel(to: $0) != nil },
            suspendedPeers: peers.count { node.registry.isSuspended($0) },
            failingPeers: failingPeers())
    }

    // MARK: Registry

    /// Known servers in order of id, after `cursor`, at most `limit`.
    public func servers(status: ServerStatus?, after cursor: ServerID?, limit: Int) -> [FederatedServer] {
        if let status { return node.registry.list(status: status, after: cursor, limit: limit) }
        return node.registry.list(after: cursor, limit: limit)
    }

    public func server(_ id: ServerID) throws(Refusal) -> FederatedServer {
        guard let server = node.registry.server(id) else { throw ServerRegistry.Failure.notFound(id).refusal }
        return server
    }

    /// The signed card that a server was registered with.
    public func card(of id: ServerID) -> String? { node.cards[id] }

    /// A server and the signed card that it was registered with, at one moment.
    public func serverAndCard(_ id: ServerID) throws(Refusal) -> (server: FederatedServer, card: String?) {
        (try server(id), card(of: id))
    }

    /// Registers a server from its own signed card (compact JWS).
    public func register(_ card: String) async throws(Refusal) -> FederatedServer {
        try checkReady()
        return try await carryOut(node.register(card, at: clock.now()))
    }

    private func carryOut(_ registration: FederationNode.Registration) async throws(Refusal) -> FederatedServer {
        try await commit(registration.effects)
        if let contradiction = registration.contradiction { throw contradiction }
        return registration.server
    }

    /// Takes a server's signed statement that it is alive. Heartbeats stay in memory; only a change of status is stored.
    public func heartbeat(_ id: ServerID, statement: String) async throws(Refusal) -> FederatedServer {
        let (server, effects) = try node.heartbeat(id, statement: statement, at: clock.now())
        keepTime()
        if !effects.isEmpty { try await commit(effects) }
        return server
    }

    public func deregister(_ id: ServerID) async throws(Refusal) {
        try checkReady()
        try await commit(node.deregister(id, at: clock.now()))
    }

    // MARK: Peers

    /// Trusts the server of this signed card from now on, and dials it.
    public func addPeer(_ card: String) async throws(Refusal) -> FederatedServer {
        try checkReady()
        return try await carryOut(node.addPeer(card, at: clock.now()))
    }

    public func removePeer(_ id: ServerID) async throws(Refusal) {
        try checkReady()
        try await commit(node.removePeer(id, at: clock.now()))
    }

    /// Excludes a server; see ``FederationNode/suspend(_:reason:at:)``.
    ///
    /// - Returns: its registry entry; nil for a peer that has never shown a card.
    public func suspend(_ id: ServerID, reason: String) async throws(Refusal) -> FederatedServer? {
        try checkReady()
        try await commit(node.suspend(id, reason: reason, at: clock.now()))
        return node.registry.server(id)
    }

    /// Ends a suspension; see ``FederationNode/reinstate(_:at:)``.
    ///
    /// - Returns: as ``suspend(_:reason:)``.
    public func reinstate(_ id: ServerID) async throws(Refusal) -> FederatedServer? {
        try checkReady()
        try await commit(node.reinstate(id, at: clock.now()))
        return node.registry.server(id)
    }

    // MARK: Routes

    /// Routes in order of portal id: all, or those to one server.
    public func routes(to destination: ServerID?, after cursor: PortalID?, limit: Int) -> [PortalRoute] {
        if let destination { return node.routing.routes(to: destination, after: cursor, limit: limit) }
        return node.routing.list(after: cursor, limit: limit)
    }

    public func route(_ portal: PortalID) throws(Refusal) -> PortalRoute {
        guard let route = node.routing.route(for: portal) else {
            throw RoutingTable.Failure.routeNotFound(portal).refusal
        }
        return route
    }

    /// Adds a route from a portal on this server.
    public func addRoute(
        _ portal: PortalID, to destination: ServerID, world: WorldID, spawn: SpawnPoint?, isActive: Bool
    ) async throws(Refusal) -> PortalRoute {
        try checkReady()
        let route = PortalRoute(
            portal: portal, source: id, destination: destination, world: world, spawn: spawn, isActive: isActive)
        try await commit(node.addRoute(route) + node.reviewTrust(in: destination, at: clock.now()))
        return route
    }

    public func removeRoute(_ portal: PortalID) async throws(Refusal) {
        try checkReady()
        try await commit(node.removeRoute(portal))
    }

    public func setRoute(_ portal: PortalID, active: Bool) async throws(Refusal) -> PortalRoute {
        try checkReady()
        let (route, effects) = try node.setRoute(portal, active: active)
        try await commit(effects)
        return route
    }

    /// Where a portal leads now, or the refusal of the step that refused.
    public func destination(of portal: PortalID) throws(Refusal) -> ResolvedRoute {
        do {
            return try node.resolve(portal, at: clock.now())
        } catch {
            count(refused: error)
            throw error
        }
    }

    // MARK: Players

    /// Enters a player of this server in a world, or saves the state of one who is playing.
    ///
    /// - Parameters:
    ///   - state: opaque; at most ``Limits/snapshotBytes``.
    ///   - clientKey: the key that the player's client proves it holds when it arrives elsewhere.
    ///   - epoch: what the world server believes; another one is refused. It may be left out until the player has travelled.
    public func enter(
        _ player: PlayerID, world: WorldID, state: [UInt8], clientKey: PublicKey?, epoch: Epoch?
    ) async throws(Refusal) -> PlayerRecord {
        try checkReady()
        let (record, effects) = try node.enter(player, world: world, state: state, clientKey: clientKey, epoch: epoch)
        try await commit(effects)
        return record
    }

    /// A player as this server knows them, wherever they are now.
    public func player(_ player: PlayerID) async throws(Refusal) -> PlayerRecord {
        guard let record = node.players[player] else { throw PlayerTable.Failure.notFound(player).refusal }
        try await commit([])
        return record
    }

    /// The players who are in a world, sorted.
    public func players(in world: WorldID) async throws(Refusal) -> [PlayerRecord] {
        guard node.worlds[world] != nil else { throw FederationNode.unknownWorld(world) }
        let found = node.players.players(in: world)
        try await commit([])
        return found
    }

    /// The player stops playing here.
    ///
    /// - Parameter epoch: as for ``enter(_:world:state:clientKey:epoch:)``.
    public func leave(_ player: PlayerID, world: WorldID, epoch: Epoch?) async throws(Refusal) -> PlayerRecord {
        try checkReady()
        let (record, effects) = try node.leave(player, world: world, epoch: epoch)
        try await commit(effects)
        return record
    }
}
