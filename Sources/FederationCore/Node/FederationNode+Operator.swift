import FederationCrypto
public import FederationModel

/// What the operator decides: which servers are known and trusted, where portals lead, which worlds are offered.
extension FederationNode {
    // MARK: Registry

    /// What came of a card.
    public struct Registration: Sendable {
        /// The entry as it stands.
        public let server: FederatedServer
        public let effects: [Effect]
        /// The card contradicts the one that is known; both are kept as proof, and the known one stands. To be thrown once the
        /// effects are carried out.
        public let contradiction: Refusal?
    }

    /// Registers a server from its own signed card, or takes a newer card of a known one: with it go its key and its pin, if
    /// ``KeyBinding`` believes the change.
    ///
    /// - Parameter teller: the peer that passed the card on; others' cards are taken from it only when they are known here, and
    ///   by a server that serves a registry none that names an address which has not been proved: see ``unproven(_:)``.
    public mutating func register(
        _ compact: String, from teller: ServerID? = nil, at now: Now
    ) throws(Refusal) -> Registration {
        let card: ServerCard
        do {
            card = try ServerCard.verify(compact, at: now.timestamp)
        } catch {
            throw Refusal(
                .invalid, code: "card.refused", reason: "the server card \(error.reason)",
                remedy: "fetch the card anew from the server's /.well-known/aether-federation")
        }
        guard card.id != id else {
            throw Refusal(
                .conflict, code: "server.self", reason: "\(id) is this server's own id",
                remedy: "give the other server another id")
        }
        if let known = registry.server(card.id), cards[card.id] == compact {
            return Registration(server: known, effects: [], contradiction: nil)
        }
        guard teller == nil || teller == card.id || registry.server(card.id) != nil else {
            throw ServerRegistry.Failure.notFound(card.id).refusal
        }
        let bound = try bound(card, at: now)
        if let contradiction = contradiction(of: card, compact, bound, at: now) { return contradiction }
        let server = FederatedServer(
            id: card.id, name: card.name, endpoint: card.endpoint, alternatives: card.alternatives,
            publicKey: card.publicKey, registeredAt: now.timestamp, recordSequence: card.sequence, worlds: card.worlds)
        let kind = logKind(of: bound)
        let proof = keyProof(in: card, of: bound)
        let effects: [Effect]
        do {
            try registry.check(registering: server, isRebound: bound.isRebound)
            if teller != nil, !unproven(card).isEmpty {
                return Registration(
                    server: registry.server(card.id) ?? server, effects: askForProof(of: card, bound, at: now),
                    contradiction: nil)
            }
            // From here on nothing throws: the key changes together with the record.
            effects = adopt(bound, at: now)
            try registry.register(server)
        } catch {
            throw error.refusal
        }
        cards[card.id] = compact
        let registration = registered(
            server, effects, logged(kind, card.id, proof: proof, at: now))
        return Registration(
            server: registration.server, effects: registration.effects + reviewTrust(in: card.id, at: now),
            contradiction: nil)
    }

    /// How the log calls what a card does. Whoever is not listed registers, whatever has become of its key.
    func logKind(of bound: Bound) -> RegistryLogEntry.Kind {
        guard registry.server(bound.binding.server) != nil else { return .registered }
        return switch bound.change {
        case .rotated: .rotated
        case .revoked: .revoked
        case .none, .committed: .updated
        }
    }

    private mutating func registered(
        _ server: FederatedServer, _ before: [Effect], _ logged: [StoreChange]
    ) -> Registration {
        var effects = before
        let entry = registry.server(server.id) ?? server
        effects.append(
            .persist([.putServer(entry, card: cards[server.id]), .removeTombstone(server.id)] + logged))
        if peers[server.id] != nil { effects += dialEffects(for: server.id) }
        return Registration(server: entry, effects: effects, contradiction: nil)
    }

    /// A server says that it is alive, by a signed statement; when it then falls silent, that counts. Whether a peer is alive
    /// is for its channel to show: the statement of one is checked and brings about one dial at most.
    public mutating func heartbeat(
        _ server: ServerID, statement compact: String, at now: Now
    ) throws(Refusal) -> (FederatedServer, [Effect]) {
        guard let entry = registry.server(server) else { throw ServerRegistry.Failure.notFound(server).refusal }
        let statement: HeartbeatStatement
        do {
            statement = try HeartbeatStatement.verify(
                compact, server: server, key: entry.publicKey, by: id, at: now.timestamp)
        } catch {
            throw Refusal(
                .forbidden, code: "heartbeat.refused", reason: "the heartbeat \(error.reason)",
                remedy: "sign it with the key that is registered for \(server), and set its clock right")
        }
        let mark = HeartbeatMark(issuedAt: statement.issuedAt, sequence: statement.sequence)
        if let newest = heartbeatMarks[server], mark.issuedAt == newest.issuedAt, mark.sequence <= newest.sequence {
            throw Refusal(
                .conflict, code: "heartbeat.repeated",
                reason: "the heartbeat of \(server) is not newer than the last one",
                remedy: "number heartbeats upwards and sign each anew")
        }
        guard peers[server] == nil else { return (entry, comeBack(statement, at: now)) }
        var effects: [Effect] = []
        do {
            if let changed = try registry.recordHeartbeat(server, at: statement.issuedAt) {
                effects.append(.persist([.putServer(changed, card: cards[server])]))
            }
        } catch {
            throw error.refusal
        }
        heartbeatMarks[server] = mark
        health.watch(server, at: now.instant)
        if let change = health.recordSuccess(server, at: now.instant) { effects += apply(change, at: now) }
        return (registry.server(server) ?? entry, effects)
    }

    /// Removes a server from the registry. Its id stays bound to its key.
    public mutating func deregister(_ server: ServerID, at now: Now) throws(Refusal) -> [Effect] {
        try deregister(server, sequence: 0, at: now)
    }

    /// - Parameter sequence: under the same key only a card with a higher number brings the server back.
    mutating func deregister(_ server: ServerID, sequence: UInt64, at now: Now) throws(Refusal) -> [Effect] {
        guard peers[server] == nil else {
            throw Refusal(
                .conflict, code: "server.isPeer", reason: "\(server) is a peer of this server",
                remedy: "remove the peer first: aether peers remove \(server)")
        }
        let removed: FederatedServer
        do {
            removed = try registry.deregister(server, sequence: sequence)
        } catch {
            throw error.refusal
        }
        cards[server] = nil
        heartbeatMarks[server] = nil
        health.forget(server)
        let tombstone = ServerTombstone(
            server: server, publicKey: removed.publicKey, isSuspended: removed.status == .suspended,
            suspensionReason: removed.suspensionReason, sequence: sequence)
        return [
            .persist([.removeServer(server), .putTombstone(tombstone)] + logged(.deregistered, server, at: now))
        ]
    }

    // MARK: Peers

    /// Trusts a server from now on: registers its card, pins its key and where it is, and dials it. A peer that the policy had
    /// trusted is pinned; one that is pinned already is pinned where its card says that it is now, and stays what else it was.
    ///
    /// - Throws: as ``register(_:from:at:)``; `policy.denied` for one that the deny list names.
    public mutating func addPeer(_ compact: String, at now: Now) throws(Refusal) -> Registration {
        if !policy.deny.isEmpty, let card = try? ServerCard.verify(compact, at: now.timestamp),
            policy.denies(
                card.id, key: card.publicKey,
                formerKeys: (try? bound(card, at: now))?.binding.retired.map(\.key) ?? [],
                endpoints: [card.endpoint] + card.alternatives)
        {
            throw TrustPolicy.denied(card.id)
        }
        let registration = try register(compact, at: now)
        let entry = registration.server
        if registration.contradiction != nil { return registration }
        // A peer that moves is dialled when the pin that covers its new place stands, and once.
        var effects = registration.effects.filter { effect in
            if case .dial(entry.id, _) = effect { false } else { true }
        }
        let endpoints = [entry.endpoint] + entry.alternatives
        let record: PeerRecord
        if var pinned = peers[entry.id], pinned.trust == .pinned {
            guard pinned.pinnedEndpoints != endpoints else { return registration }
            pinned.pinnedEndpoints = endpoints
            record = pinned
        } else {
            record = PeerRecord(
                server: entry.id, publicKey: entry.publicKey, addedAt: now.timestamp, pinnedEndpoints: endpoints)
            health.watch(entry.id, at: now.instant)
        }
        peers[entry.id] = record
        effects.append(.persist([.putPeer(record)]))
        effects += dialEffects(for: entry.id)
        return Registration(server: registry.server(entry.id) ?? entry, effects: effects, contradiction: nil)
    }

    /// Stops trusting a server, at once: the channel closes, no dial goes out, and players who were offered to it and not
    /// yet handed over go on here. What is decided stays decided, and goes on when the server is a peer again.
    public mutating func removePeer(_ server: ServerID, at now: Now) throws(Refusal) -> [Effect] {
        guard peers[server] != nil else { throw Self.unknownPeer(server) }
        let removed = remove(server, at: now)
        return removed.effects + reviewTrust(in: removed.concerned, at: now)
    }

    /// Stops trusting a server, without looking yet at those whom it had introduced.
    mutating func remove(_ server: ServerID, at now: Now) -> Review {
        peers[server] = nil
        forgetProbes(of: server)
        health.forget(server)
        denied.remove(server)
        ownIntroductions[server] = nil
        var changes: [StoreChange] = [.removePeer(server)]
        // Nobody looks after it any more, so nothing that was seen of it holds.
        if let entry = registry.server(server), entry.status != .offline,
            let offline = try? registry.updateStatus(server, to: .offline)
        {
            changes.append(.putServer(offline, card: cards[server]))
        }
        var removed = Review(
            effects: [.persist(changes)] + cutOff(server, at: now) { .destinationUntrusted($0, server) })
        removed += forgetIntroductions(by: server)
        return removed
    }

    /// Excludes a server until it is reinstated: the channel closes, routes to it refuse, and players who were offered to it
    /// and not yet handed over go on here. The reason is kept with the registry entry, or with what is remembered of a peer
    /// that has never shown a card.
    public mutating func suspend(_ server: ServerID, reason: String, at now: Now) throws(Refusal) -> [Effect] {
        if registry.server(server) == nil, let record = peers[server],
            let tombstone = registry.remember(
                server, key: bindings[server]?.key ?? record.publicKey, isSuspended: true, reason: reason)
        {
            return [.persist([.putTombstone(tombstone)])]
                + cutOff(server, at: now) { .destinationSuspended($0, server) }
                + reviewIntroduced(by: server, at: now)
        }
        let entry: FederatedServer
        do {
            entry = try registry.suspend(server, reason: reason)
        } catch {
            throw error.refusal
        }
        let logged = self.logged(.suspended, server, reason: reason, at: now)
        return [.persist([.putServer(entry, card: cards[server])] + logged)]
            + cutOff(server, at: now) { .destinationSuspended($0, server) }
            + reviewIntroduced(by: server, at: now)
    }

    /// Ends a suspension: the server is Offline until it answers.
    ///
    /// - Throws: `key.revoked` for a server whose owner has revoked it for good.
    public mutating func reinstate(_ server: ServerID, at now: Now) throws(Refusal) -> [Effect] {
        guard bindings[server]?.isDead != true else { throw KeyBinding.Failure.revoked(server).refusal }
        if registry.server(server) == nil, let tombstone = registry.tombstone(server), tombstone.isSuspended,
            let changed = registry.remember(server, key: tombstone.publicKey, isSuspended: false)
        {
            return [.persist([.putTombstone(changed)])] + reviewIntroduced(by: server, at: now)
        }
        let wasSuspended = registry.status(of: server) == .suspended
        let entry: FederatedServer
        do {
            entry = try registry.reinstate(server)
        } catch {
            throw error.refusal
        }
        let logged = wasSuspended ? self.logged(.reinstated, server, at: now) : []
        return [.persist([.putServer(entry, card: cards[server])] + logged)] + dialEffects(for: server)
            + reviewIntroduced(by: server, at: now)
    }

    mutating func cutOff(
        _ server: ServerID, at now: Now, because reason: (PortalID) -> RoutingTable.Failure
    ) -> [Effect] {
        var effects: [Effect] = []
        for record in ledger.openHandoffs(with: server) where record.state == .prepared {
            effects += abort(record.id, because: reason(record.portal).refusal, at: now)
        }
        effects.append(.hangUp(server))
        if plantedBug == .trustKeptAfterSuspension { return effects }
        var closing = Set<ChannelID>()
        if let channel = channels[server] { closing.insert(channel) }
        if let channel = handshakes.revoke(server) { closing.insert(channel) }
        for channel in closing.sorted() { effects += drop(channel, .suspended) }
        return effects
    }

    static func unknownPeer(_ server: ServerID) -> Refusal {
        Refusal(
            .notFound, code: "peer.unknown", reason: "\(server) is not a peer of this server",
            remedy: "see aether peers list")
    }

    // MARK: Routes

    public mutating func addRoute(_ route: PortalRoute) throws(Refusal) -> [Effect] {
        guard route.source == id else {
            throw Refusal(
                .invalid, code: "route.foreign", reason: "the portal would stand on \(route.source), not on \(id)",
                remedy: "add the route on \(route.source)")
        }
        do {
            _ = try routing.add(route)
        } catch {
            throw error.refusal
        }
        return [.persist([.putRoute(route)])]
    }

    public mutating func removeRoute(_ portal: PortalID) throws(Refusal) -> [Effect] {
        do {
            _ = try routing.remove(portal)
        } catch {
            throw error.refusal
        }
        return [.persist([.removeRoute(portal)])]
    }

    public mutating func setRoute(_ portal: PortalID, active: Bool) throws(Refusal) -> (PortalRoute, [Effect]) {
        do {
            let route = active ? try routing.activate(portal) : try routing.deactivate(portal)
            return (route, [.persist([.putRoute(route)])])
        } catch {
            throw error.refusal
        }
    }

    // MARK: Worlds and players

    /// Offers a world, or replaces what it consists of. Its assets must be in the store already.
    public mutating func addWorld(_ world: WorldRecord, at now: Now) -> [Effect] {
        let isNew = worlds[world.world] == nil
        worlds[world.world] = world
        var effects: [Effect] = [.persist([.putWorld(world)])]
        if isNew { effects += refreshCard(at: now) }
        return effects
    }

    /// Offers a world no longer. Routes of others that lead there refuse from then on, as soon as they are used.
    ///
    /// - Throws: `world.unknown`; `world.occupied` while players are in it, or a place is kept there for one.
    public mutating func removeWorld(_ world: WorldID, at now: Now) throws(Refusal) -> [Effect] {
        guard worlds[world] != nil else { throw Self.unknownWorld(world) }
        let here = players.players(in: world).count
        guard here == 0 else {
            throw Refusal(
                .conflict, code: "world.occupied", reason: "\(here) players are in \(world)",
                remedy: "let them leave or travel first: GET /v1/worlds/\(world)/players")
        }
        let places = ledger.list(.reserved, limit: .max).filter { $0.world == world }.map {
            ($0.id, $0.player, $0.peer)
        }
        let waiting = arrivals.filter { $0.value.world == world }.map { ($0.key, $0.value.player, $0.value.peer) }
        if let (handoff, player, peer) = (places + waiting).first {
            throw Refusal(
                .conflict, code: "world.occupied",
                reason:
                    "\(places.count + waiting.count) players are on their way to \(world), as \(player) in \(handoff)",
                remedy: "it is over once \(peer) has said what it decided: aether doctor \(peer)")
        }
        worlds[world] = nil
        guardedWorlds.remove(world)
        return [.persist([.removeWorld(world)])] + refreshCard(at: now)
    }

    /// A world server enters a player or saves their state; see ``PlayerTable/enter(_:world:state:clientKey:epoch:home:)``.
    public mutating func enter(
        _ player: PlayerID, world: WorldID, state: [UInt8], clientKey: PublicKey?, epoch: Epoch?
    ) throws(Refusal) -> (PlayerRecord, [Effect]) {
        guard worlds[world] != nil else { throw Self.unknownWorld(world) }
        do {
            let record = try players.enter(
                player, world: world, state: state, clientKey: clientKey, epoch: epoch, home: id)
            return (record, [.persist([.putPlayer(record)])])
        } catch {
            throw error.refusal
        }
    }

    /// The player stops playing here; see ``PlayerTable/leave(_:world:epoch:)``.
    public mutating func leave(
        _ player: PlayerID, world: WorldID, epoch: Epoch?
    ) throws(Refusal) -> (PlayerRecord, [Effect]) {
        do {
            let record = try players.leave(player, world: world, epoch: epoch)
            return (record, [.persist([.putPlayer(record)])])
        } catch {
            throw error.refusal
        }
    }

    public static func unknownWorld(_ world: WorldID) -> Refusal {
        Refusal(
            .notFound, code: "world.unknown", reason: "there is no world \(world) on this server",
            remedy: "see aether worlds list")
    }
}
