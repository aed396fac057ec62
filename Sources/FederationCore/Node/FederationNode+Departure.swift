import FederationCrypto
public import FederationModel
import FederationWire

/// The source's side of a handoff.
extension FederationNode {
    /// What a crossing would go through now, once the first four steps have let it pass.
    public struct CrossingPlan: Sendable {
        public let portal: PortalID
        public let route: ResolvedRoute
        public let destination: FederatedServer
        public let peer: VerifiedPeer
        public let player: PlayerRecord
    }

    /// The destination of a portal, if nothing refuses it now: registry, handshake, health and routing are checked, and
    /// the refusal names the one that refused.
    public func resolve(_ portal: PortalID, at now: Now) throws(Refusal) -> ResolvedRoute {
        do {
            return try routing.resolve(
                portal,
                isTrusted: { self.verifiedPeer($0, at: now) != nil },
                registryStatus: { registry.status(of: $0) },
                health: { plantedBug == .staleHealthUsed ? .healthy : health.status(of: $0) })
        } catch {
            throw error.refusal
        }
    }

    /// Steps 1 to 4 of a crossing, and that the player may leave; changes nothing.
    ///
    /// - Parameter epoch: which stay of the player is meant, as for ``PlayerTable/playing(_:epoch:)``.
    public func plan(
        _ player: PlayerID, epoch: Epoch?, through portal: PortalID, at now: Now
    ) throws(Refusal) -> CrossingPlan {
        if isWindingDown { throw windingDown }
        let resolved = try resolve(portal, at: now)
        let record: PlayerRecord
        do {
            record = try players.playing(player, epoch: epoch)
        } catch {
            throw error.refusal
        }
        guard let destination = registry.server(resolved.destination),
            let peer = verifiedPeer(destination.id, at: now), channels[destination.id] != nil
        else {
            throw Refusal(
                .conflict, code: "destination.disconnected",
                reason: "there is no open channel to \(resolved.destination) at this moment",
                remedy: "try again shortly; this server keeps dialling", step: .health)
        }
        return CrossingPlan(portal: portal, route: resolved, destination: destination, peer: peer, player: record)
    }

    /// Step 6 begins: freezes the player, records the handoff as prepared and offers it. The first four steps are checked
    /// again, because time has passed since.
    ///
    /// - Parameters:
    ///   - epoch: which stay of the player is meant, as for ``plan(_:epoch:through:at:)``.
    ///   - destination: the server whose world was verified: the portal must still lead there.
    ///   - id: from entropy.
    ///   - manifest: the proof of step 5 for the destination's world.
    public mutating func depart(
        _ player: PlayerID, epoch claimed: Epoch?, through portal: PortalID, to destination: ServerID, as id: HandoffID,
        assets manifest: VerifiedManifest, at now: Now
    ) throws(Refusal) -> [Effect] {
        let plan = try plan(player, epoch: claimed, through: portal, at: now)
        guard plan.destination.id == destination, manifest.manifest.world == plan.route.world else {
            throw Refusal(
                .conflict, code: "route.changed",
                reason: "the portal \(portal) leads elsewhere since the crossing began",
                remedy: "walk through the portal again", step: .routing)
        }
        let epoch = try nextEpoch(of: plan.player)
        let record = HandoffRecord(
            id: id, role: .source, player: player, peer: plan.destination.id, portal: portal, world: plan.route.world,
            spawn: plan.route.spawn, epoch: plantedBug == .epochNotRaised ? plan.player.epoch : epoch,
            revision: plan.player.revision,
            snapshotHash: ContentHash.of(plan.player.state), snapshot: plan.player.state,
            clientKey: plan.player.clientKey, state: .prepared, openedAt: now.timestamp, changedAt: now.timestamp)
        let prepared: HandoffRecord
        let frozen: PlayerRecord
        do {
            prepared = try ledger.prepare(record, timeout: acceptTimeout(of: plan.destination.id), at: now)
        } catch {
            throw error.refusal
        }
        do {
            frozen = try players.freeze(player, for: id)
        } catch {
            throw error.refusal
        }
        var effects: [Effect] = [
            .persist([.putHandoff(prepared), .putPlayer(frozen)]),
            .report(.handoffMoved(id, .source, .prepared)),
            .notify(CrossingEvent(handoff: id, player: player, kind: .offered)),
        ]
        effects += sendOffer(prepared, at: now)
        if plantedBug == .commitBeforeReservation {
            effects += accepted(id, by: plan.peer, on: plan.peer.channel, at: now)
        }
        return effects
    }

    /// What a handoff of this player would begin. Only the player's home can go on once all hops of a term are used up.
    private func nextEpoch(of player: PlayerRecord) throws(Refusal) -> Epoch {
        if let next = player.epoch.next { return next }
        if player.player.home == id, let next = player.epoch.nextTerm { return next }
        throw Refusal(
            .conflict, code: "player.epochExhausted",
            reason: "\(player.player) has travelled as often as can be counted away from home",
            remedy: "ask the operator of \(player.player.home) to reclaim the player", step: .handoff)
    }

    /// How long the answer to an offer may take.
    private func acceptTimeout(of destination: ServerID) -> Duration {
        if plantedBug == .acceptTimeoutIgnored { return Limits.handoffRetention }
        let roundTrip = min(smoothedRoundTrip(to: destination) ?? .zero, Limits.acceptRoundTrip)
        return configuration.acceptTimeout + roundTrip * Limits.acceptRoundTrips
    }

    /// The world or the player calls off a handoff that is not decided.
    public mutating func callOff(_ id: HandoffID, at now: Now) throws(Refusal) -> [Effect] {
        guard let record = ledger.record(id), record.role == .source else {
            throw HandoffLedger.Failure.notFound(id).refusal
        }
        guard record.state == .prepared || plantedBug == .callOffAfterCommit else {
            throw HandoffLedger.Failure.invalidState(id, record.state).refusal
        }
        return abort(
            id,
            because: Refusal(
                .conflict, code: "handoff.calledOff", reason: "the crossing was called off",
                remedy: "walk through the portal again when ready", step: .handoff),
            at: now)
    }

    /// A fresh token for a decided handoff, for a client that comes back for one. nil when it is not decided, and when the player
    /// has come back here since.
    public func redirectToken(for id: HandoffID, at now: Now) -> (endpoint: Endpoint, token: String)? {
        guard let record = ledger.record(id), record.role == .source,
            record.state == .committed || record.state == .completed, !hasComeAgain(id),
            let server = registry.server(record.peer)
        else { return nil }
        return (server.endpoint, token(for: record, at: now))
    }

    // MARK: Answers of the destination

    mutating func accepted(_ id: HandoffID, by peer: VerifiedPeer, on channel: ChannelID, at now: Now) -> [Effect] {
        guard let before = ledger.record(id), before.role == .source, before.peer == peer.serverID else {
            // Presumed abort: what is not in the ledger never happens.
            return [.send(.abort(id), on: channel)]
        }
        if before.state == .aborted { return [.send(.abort(id), on: channel)] }
        let record: HandoffRecord
        let decision = decisions[peer.serverID, default: 0] + 1
        do {
            record = try ledger.commit(id, from: peer.serverID, decision: decision, at: now)
        } catch {
            return [.report(.refusedFrame(peer.serverID, code: error.refusal.code))]
        }
        guard record.state == .committed else { return [] }
        let token = token(for: record, at: now)
        let commit = Effect.send(.commit(FederationFrame.HandoffCommit(handoff: id, token: token)), on: channel)
        guard before.state == .prepared else { return [commit] }
        decisions[peer.serverID] = decision
        var changes: [StoreChange] = [.putHandoff(record), .putDecisions(peer.serverID, decision)]
        if let departed = players.release(record.player, by: record, home: self.id) {
            changes.append(.putPlayer(departed))
        }
        var effects: [Effect] = [.persist(changes), .report(.handoffMoved(id, .source, .committed))]
        if let endpoint = registry.server(record.peer)?.endpoint {
            let event = CrossingEvent.Kind.committed(endpoint: endpoint, token: token)
            effects.append(.notify(CrossingEvent(handoff: id, player: record.player, kind: event)))
        }
        return effects + [commit]
    }

    mutating func rejected(
        _ rejection: FederationFrame.HandoffRejection, by peer: VerifiedPeer, on channel: ChannelID, at now: Now
    ) -> [Effect] {
        guard let record = ledger.record(rejection.handoff), record.role == .source, record.peer == peer.serverID else {
            return [.report(.refusedFrame(peer.serverID, code: "handoff.unknown"))]
        }
        switch record.state {
        case .prepared:
            return abort(
                record.id,
                because: Refusal(
                    .conflict, code: rejection.code, reason: "\(peer.serverID) refused the player: \(rejection.reason)",
                    remedy: "the player goes on here; ask the operator of \(peer.serverID) if it should be let in",
                    step: .handoff),
                at: now)
        case .committed:
            // Unless the player's home server has taken the player back: then it is void.
            if rejection.code == Self.recalledCode {
                return void(
                    record, Self.recalledCode,
                    because: "\(record.player.home) took the player back, says \(record.peer)",
                    at: now)
            }
            // The decision stands. A destination that has lost the reservation is offered the player again; one that refuses
            // for any other reason hears of it again at the next repetition, which has its pauses.
            guard rejection.code == Self.nothingReserved else {
                return [.report(.refusedFrame(peer.serverID, code: rejection.code))]
            }
            // Whom this server has again is not offered to who was restored from a backup, and knows nothing of it any more.
            if let known = players[record.player], known.epoch > record.epoch {
                let isRecalled = known.presence == .recalled || known.epoch.term > record.epoch.term
                return void(
                    record, isRecalled ? Self.recalledCode : Self.overtakenCode,
                    because: isRecalled
                        ? "\(record.player.home) has taken the player back"
                        : "\(record.player) has come again, and \(record.peer) knows nothing of the handoff", at: now)
            }
            return sendOffer(record, at: now)
        case .completed, .aborted, .reserved, .admitted:
            return []
        }
    }

    mutating func receive(
        _ admitted: FederationFrame.HandoffAdmitted, from peer: VerifiedPeer, at now: Now
    ) -> [Effect] {
        do {
            let receipt = try verifiedReceipt(admitted, of: peer, at: now)
            let wasOpen = ledger.record(admitted.handoff)?.state == .committed
            let record = try ledger.complete(
                admitted.handoff, receipt: receipt, compact: admitted.receipt, from: peer.serverID, at: now)
            guard wasOpen else { return [] }
            return [
                .persist([.putHandoff(record)]),
                .report(.handoffMoved(record.id, .source, .completed)),
                .notify(CrossingEvent(handoff: record.id, player: record.player, kind: .completed)),
            ]
        } catch {
            return [.report(.refusedFrame(peer.serverID, code: "receipt.invalid"))]
        }
    }

    private func verifiedReceipt(
        _ admitted: FederationFrame.HandoffAdmitted, of peer: VerifiedPeer, at now: Now
    ) throws -> AdmissionReceipt {
        if plantedBug == .receiptNotVerified, let record = ledger.record(admitted.handoff) {
            return AdmissionReceipt(
                issuer: record.peer, audience: id, handoff: record.id, player: record.player, epoch: record.epoch,
                issuedAt: record.changedAt)
        }
        return try AdmissionReceipt.verify(
            admitted.receipt, issuer: peer.serverID, key: key(of: peer, for: admitted.receipt, at: now), audience: id)
    }

    /// The source's answer to a destination that asks.
    func verdict(on id: HandoffID, for peer: VerifiedPeer, at now: Now) -> FederationFrame.HandoffVerdict {
        let decision: FederationFrame.HandoffVerdict.Decision
        switch ledger.query(id, from: peer.serverID) {
        case .prepared: decision = .undecided
        case .completed where hasComeAgain(id):
            // Only a restored destination can ask that. The player is not to be revived there.
            decision = .aborted
        case .committed, .completed:
            decision = ledger.record(id).map { .committed(token: token(for: $0, at: now)) } ?? .undecided
        case .aborted, .reserved, .admitted: decision = .aborted
        }
        return FederationFrame.HandoffVerdict(handoff: id, decision: decision)
    }

    /// Whether this server knows the player in a later epoch than the one with which they left by that handoff.
    private func hasComeAgain(_ id: HandoffID) -> Bool {
        guard let record = ledger.record(id), let known = players[record.player] else { return false }
        return known.epoch > record.epoch
    }

    // MARK: Time and reconnection

    mutating func carryOut(_ due: HandoffLedger.Due, at now: Now) -> [Effect] {
        switch due {
        case .timeout(let id):
            return abort(
                id,
                because: Refusal(
                    .unavailable, code: "handoff.timeout", reason: "the destination did not accept the player in time",
                    remedy: "the player goes on here; try again when the destination answers", step: .handoff),
                at: now)
        case .repeatCommit(let id):
            guard plantedBug != .decisionNotRepeated, let record = ledger.record(id),
                let channel = channels[record.peer]
            else { return [] }
            return sendCommit(record, on: channel, at: now)
        case .forget:
            return []
        case .ask(let id), .settle(let id):
            guard let record = ledger.record(id), let channel = channels[record.peer] else { return [] }
            return [.send(.query(id), on: channel)]
        }
    }

    /// A channel is (again) open: everything that is open with this peer is said or asked once more.
    mutating func resumeHandoffs(with peer: VerifiedPeer, on channel: ChannelID, at now: Now) -> [Effect] {
        var effects: [Effect] = []
        // The rest comes due by itself.
        for record in ledger.openHandoffs(with: peer.serverID).prefix(Self.resumedAtOnce) {
            switch record.state {
            case .prepared: effects += sendOffer(record, at: now)
            case .committed:
                if plantedBug != .decisionNotRepeated { effects += sendCommit(record, on: channel, at: now) }
            case .reserved: effects.append(.send(.query(record.id), on: channel))
            case .admitted, .completed, .aborted: break
            }
        }
        return effects
    }

    /// Well below what may wait in a channel.
    private static let resumedAtOnce = 1_024

    mutating func abort(_ id: HandoffID, because refusal: Refusal, at now: Now) -> [Effect] {
        let before = ledger.record(id)
        guard let record = try? ledger.abort(id, code: refusal.code, reason: refusal.reason, at: now) else { return [] }
        var changes: [StoreChange] = [.putHandoff(record)]
        if let before, before.state == .committed { changes.append(.putPlayer(players.plantRevival(before))) }
        if let back = players.unfreeze(record.player, from: id) { changes.append(.putPlayer(back)) }
        var effects: [Effect] = [
            .persist(changes), .report(.handoffMoved(id, .source, .aborted)),
            .notify(CrossingEvent(handoff: id, player: record.player, kind: .returned(refusal))),
        ]
        if let channel = channels[record.peer] { effects.append(.send(.abort(id), on: channel)) }
        return effects
    }

    private func sendOffer(_ record: HandoffRecord, at now: Now) -> [Effect] {
        guard let channel = channels[record.peer] else { return [] }
        let token = token(for: record, at: now)
        return [
            .send(
                .offer(FederationFrame.HandoffOffer(handoff: record.id, token: token, snapshot: record.snapshot)),
                on: channel)
        ]
    }

    private func sendCommit(_ record: HandoffRecord, on channel: ChannelID, at now: Now) -> [Effect] {
        let token = token(for: record, at: now)
        return [.send(.commit(FederationFrame.HandoffCommit(handoff: record.id, token: token)), on: channel)]
    }

    /// A fresh signed token for a handoff.
    private func token(for record: HandoffRecord, at now: Now) -> String {
        let token = SessionToken(
            issuer: id, player: record.player, audience: record.peer, handoff: record.id, issuedAt: now.timestamp,
            notBefore: now.timestamp, expiresAt: now.timestamp + Limits.tokenLifetime, world: record.world,
            portal: record.portal, spawn: record.spawn, epoch: record.epoch, snapshot: record.snapshotHash,
            size: record.snapshotSize, revision: record.revision, decision: record.decision, clientKey: record.clientKey
        )
        return token.issue(by: identity)
    }
}
