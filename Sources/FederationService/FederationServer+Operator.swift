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

    /// A ticket with which a player's own client may follow them on `/client`. Valid for this epoch only.
    public func ticket(for record: PlayerRecord) -> String {
        ClientTicket(
            issuer: id, player: record.player, world: record.world, epoch: record.epoch,
            expiresAt: clock.now().timestamp + Self.ticketLifetime
        ).issue(by: node.identity)
    }

    /// Checks a ticket that a client shows, and follows its player from the answer on.
    public func redeem(ticket: String) async throws(Refusal) -> FollowedPlayer {
        let verified: ClientTicket
        do {
            verified = try self.verified(ticket: ticket)
        } catch {
            throw Refusal(
                .forbidden, code: "ticket.refused", reason: "the ticket \(error.reason)",
                remedy: "ask the world server for a new one")
        }
        guard let record = node.players[verified.player] else {
            throw PlayerTable.Failure.notFound(verified.player).refusal
        }
        guard record.epoch == verified.epoch else {
            // What has made it stale is durable before it is told.
            try await commit([])
            throw Refusal(
                .forbidden, code: "ticket.stale",
                reason: "\(verified.player) has travelled since the ticket was issued",
                remedy: "ask the world server for a new one")
        }
        try checkReady()
        return try await followed(record, [], vouchedBy: subscribers.voucher(of: id))
    }

    /// The ticket, when this server has signed it with a key that counts now and its time is not over.
    func verified(ticket: String) throws(StatementFailure) -> ClientTicket {
        // Nothing that a dead id has signed counts.
        guard !node.ownKeys.isDead else { throw .badSignature }
        let now = clock.now().timestamp
        return try ClientTicket.verify(ticket, issuer: id, key: node.ticketKey(for: ticket, at: now), at: now)
    }

    /// A client that came through a portal shows its session token; see ``FederationNode/redeem(_:proof:challenge:at:)``.
    /// Its player is followed from the answer on.
    public func arrive(token: String, proof: [UInt8]?, challenge: [UInt8]) async throws(Refusal) -> FollowedPlayer {
        try checkReady()
        guard !node.ownKeys.isDead else { throw Self.revoked(id) }
        let (record, effects) = try node.redeem(token, proof: proof, challenge: challenge, at: clock.now())
        // It is verified by now.
        let source = (try? SessionToken.unverifiedIssuer(token)) ?? id
        do {
            return try await followed(record, effects, vouchedBy: subscribers.voucher(of: source))
        } catch {
            // The client is told that it may try again, so it must be able to.
            for case .putHandoff(let handoff) in effects.flatMap(\.changes) {
                enqueue(node.takeBackRedemption(of: handoff.id))
            }
            throw error
        }
    }

    /// The player for a client whose credential counts, from when the effects are durable. Nobody is given a ticket under the
    /// present key who was let in by one that was revoked meanwhile.
    private func followed(
        _ record: PlayerRecord, _ effects: [Effect], vouchedBy voucher: Subscribers.Voucher
    ) async throws(Refusal) -> FollowedPlayer {
        let updates = try await commit(effects, following: record.player, vouchedBy: voucher)
        guard !node.ownKeys.isDead else { throw Self.revoked(id) }
        try checkCounts(voucher)
        return FollowedPlayer(record: record, ticket: ticket(for: record), updates: updates)
    }

    func checkCounts(_ voucher: Subscribers.Voucher) throws(Refusal) {
        guard subscribers.counts(voucher) else { throw Self.revoked(voucher.server) }
    }

    /// Why a client is let in no more, or never.
    public static func revoked(_ server: ServerID) -> Refusal {
        Refusal(
            .forbidden, code: "client.revoked",
            reason: "the owner of \(server) has revoked the key by which this client was let in",
            remedy: "ask the world server for a new ticket")
    }

    /// Fresh bytes for a client to sign.
    public func challenge() -> [UInt8] { entropy.bytes(32) }

    private static let ticketLifetime: Duration = .seconds(24 * 3_600)
}
