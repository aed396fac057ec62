import FederationCore
public import FederationModel

/// What world servers are told, and what they have a say in.
extension FederationServer {
    /// What happens in a world from now on. A follower that falls ``WorldFeeds/buffered`` events behind is ended: it
    /// follows again and asks who is there.
    ///
    /// - Parameter guarding: whether newcomers wait for ``answerArrival(_:in:refusal:)`` as long as this follower is there.
    /// - Throws: `world.unknown`, `world.followed`, `server.stopping`.
    public func worldEvents(of world: WorldID, guarding: Bool) throws(Refusal) -> AsyncStream<WorldEvent> {
        guard !isStopping else { throw Self.stopping }
        guard node.worlds[world] != nil else { throw FederationNode.unknownWorld(world) }
        let stream = worldFeeds.follow(world, guarding: guarding) { token in
            Task { await self.unfollow(token, of: world) }
        }
        guard let stream else {
            throw Refusal(
                .overloaded, code: "world.followed",
                reason: "\(WorldFeeds.perWorld) connections follow \(world) already", remedy: "close some of them")
        }
        node.setGuarded(world, worldFeeds.isGuarded(world))
        return stream
    }

    private func unfollow(_ token: UInt64, of world: WorldID) {
        worldFeeds.remove(token, of: world)
        node.setGuarded(world, worldFeeds.isGuarded(world))
    }

    /// Whether newcomers to a world wait for its world server's word.
    public func isGuarded(_ world: WorldID) -> Bool { node.guardedWorlds.contains(world) }

    /// The world server's answer to ``WorldEvent/arriving(_:_:_:)``.
    ///
    /// - Parameter refusal: why the player may not enter, for the player to read: at most ``Limits/nameBytes`` printable
    ///   bytes. nil lets the player in.
    /// - Throws: `arrival.unknown` when nobody waits; `arrival.withdrawn` when the player can no longer be let in.
    public func answerArrival(_ handoff: HandoffID, in world: WorldID, refusal: String?) async throws(Refusal) {
        try checkReady()
        guard node.worlds[world] != nil else { throw FederationNode.unknownWorld(world) }
        guard let announced = worldFeeds.announced(handoff), announced.world == world else {
            throw Refusal(
                .notFound, code: "arrival.unknown",
                reason: "nobody waits at the door of \(world) in handoff \(handoff)",
                remedy: "answer within \(node.configuration.arrivalTimeout) of the arriving event")
        }
        let effects = try node.answerArrival(handoff, refusal: refusal, at: clock.now())
        // The source may be out of reach by now, or something else may have changed since the offer.
        let isLost = refusal == nil && node.ledger.record(handoff) == nil
        if isLost { worldFeeds.endArrival(handoff) }
        try await commit(effects)
        guard isLost else { return }
        tell(world, .withdrawn(handoff, announced.player))
        throw Refusal(
            .conflict, code: "arrival.withdrawn",
            reason: "\(announced.player) cannot be let in any more: the source is gone, or its offer no longer holds",
            remedy: "forget the arrival; the player stays where they are")
    }

    // MARK: Telling

    private func tell(_ world: WorldID, _ event: WorldEvent) {
        if worldFeeds.tell(world, event) {
            logger.warning("a follower of \(world) fell behind and was ended")
            node.setGuarded(world, worldFeeds.isGuarded(world))
        }
    }

    /// Tells the world that an event of the node is about. What it follows from is durable.
    func tellWorld(_ event: CrossingEvent) {
        let player = event.player
        guard let id = event.handoff, event.kind != .withdrawnHere else {
            if let departure = worldFeeds.endDeparture(of: player) { handoffStarted[departure.handoff] = nil }
            if let world = node.players[player]?.world { tell(world, .gone(player)) }
            return
        }
        switch event.kind {
        case .offered:
            guard let record = node.ledger.record(id), let world = node.players[player]?.world else { return }
            worldFeeds.depart(player, in: id, from: world)
            tell(world, .departing(id, player, record.epoch))
        case .committed:
            guard let record = node.ledger.record(id), let world = departed(player, in: id) else { return }
            tell(world, .departed(id, player, record.epoch, to: record.peer))
        case .returned(let refusal):
            guard let world = departed(player, in: id), let epoch = node.players[player]?.epoch else { return }
            tell(world, .returned(id, player, epoch, refusal))
        case .arriving(let arrival):
            worldFeeds.announce(id, of: player, to: arrival.world)
            tell(arrival.world, .arriving(id, player, arrival))
        case .turnedAway(let refusal):
            guard let announced = worldFeeds.endArrival(id) else { return }
            tell(announced.world, .turnedAway(id, player, refusal))
        case .withdrawn:
            let world = worldFeeds.endArrival(id)?.world ?? node.ledger.record(id)?.world
            if let world { tell(world, .withdrawn(id, player)) }
        case .reserved:
            worldFeeds.endArrival(id)
        case .admitted:
            guard let record = node.ledger.record(id), let admitted = self.admitted(player, in: record) else { return }
            tell(record.world, .admitted(id, admitted))
        case .completed, .voided, .withdrawnHere:
            break
        }
    }

    /// The world that a frozen player was in. After a restart it is the one in the player's record.
    private func departed(_ player: PlayerID, in handoff: HandoffID) -> WorldID? {
        let known = worldFeeds.endDeparture(of: player)
        return known?.handoff == handoff ? known?.world : node.players[player]?.world
    }

    /// The player as they were admitted; the node may be ahead of what is durable, and the player on the way out again.
    private func admitted(_ player: PlayerID, in handoff: HandoffRecord) -> PlayerRecord? {
        guard var record = node.players[player], record.epoch == handoff.epoch else { return nil }
        record.presence = .playable
        return record
    }
}
