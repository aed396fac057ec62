import FederationCore
public import FederationModel

/// Crossings, as the world, the player and the operator use them.
extension FederationServer {
    /// Sends a player through a portal. The first four steps are checked now; the assets are verified and the player is
    /// handed over while the caller follows ``crossing(_:)`` or ``updates(of:)``.
    ///
    /// - Parameter epoch: which stay of the player the caller means; nil counts until the player has travelled, as for
    ///   ``enter(_:world:state:clientKey:epoch:)``.
    /// - Returns: the crossing, in phase `verifying`.
    /// - Throws: the refusal of the step that refused. The player then goes on here.
    public func travel(
        _ player: PlayerID, epoch: Epoch?, through portal: PortalID
    ) async throws(Refusal) -> Crossing {
        try checkReady()
        if let other = crossings.verifying(player) {
            throw HandoffLedger.Failure.alreadyOpen(player, other.id).refusal
        }
        let started = clock.now()
        let plan: FederationNode.CrossingPlan
        do {
            plan = try node.plan(player, epoch: epoch, through: portal, at: started)
        } catch {
            count(refused: error)
            tellRefused(player, error, since: started.instant)
            throw error
        }
        guard crossings.hasRoom else {
            throw Refusal(
                .overloaded, code: "crossing.overloaded", reason: "too many crossings are being verified",
                remedy: "try again in a moment", step: .verification)
        }
        guard let id = HandoffID(bytes: entropy.bytes(16)) else {
            throw Refusal(
                .unavailable, code: "entropy.short", reason: "no handoff id could be made", remedy: "try again")
        }
        let crossing = Crossing(
            id: id, role: .source, player: player, portal: portal, peer: plan.destination.id, world: plan.route.world,
            phase: .verifying, steps: steps(of: plan, since: started.instant), refusal: nil,
            openedAt: started.timestamp, changedAt: started.timestamp)
        crossings.insert(crossing)
        for step in crossing.steps { subscribers.tell(player, .progress(id, step)) }
        Task { await self.cross(id, player: player, through: portal, plan: plan) }
        return crossing
    }

    /// A crossing that was refused before it began. The player's client, which did not ask, must not wait for it either.
    private func tellRefused(_ player: PlayerID, _ refusal: Refusal, since start: Instant) {
        guard node.players[player]?.presence == .playable, let id = HandoffID(bytes: entropy.bytes(16)) else { return }
        subscribers.tell(player, .progress(id, failure(refusal, since: start)))
        subscribers.tell(player, .returned(id, refusal))
    }

    /// Calls off a crossing that is not decided; the player goes on here.
    public func callOff(_ id: HandoffID) async throws(Refusal) {
        try checkReady()
        if node.ledger.record(id) == nil, let crossing = crossings[id] {
            guard crossing.phase == .verifying else { throw HandoffLedger.Failure.invalidState(id, .aborted).refusal }
            // The ledger does not know of it yet; whoever verifies finds it over.
            fail(id, of: crossing.player, because: Self.calledOff, since: clock.now().instant)
            stopFollowing(id, because: Self.calledOff)
            return
        }
        try await commit(node.callOff(id, at: clock.now()))
    }

    static let calledOff = Refusal(
        .conflict, code: "handoff.calledOff", reason: "the crossing was called off",
        remedy: "walk through the portal again when ready", step: .verification)

    /// A crossing by its id, with a fresh redirect when it is decided.
    public func crossing(_ id: HandoffID) async throws(Refusal) -> Crossing {
        let seen = node.ledger.record(id)
        // What was read may not be durable yet; it is told only once it is, and once the log says so too.
        try await commit([])
        guard var crossing = crossings[id] ?? seen.map(Crossing.init) else {
            throw HandoffLedger.Failure.notFound(id).refusal
        }
        if let seen, seen.state == .aborted, crossing.phase != .aborted {
            // The player was taken back meanwhile, which nobody follows as a crossing.
            let ended = Crossing(seen)
            (crossing.phase, crossing.refusal, crossing.changedAt) = (ended.phase, ended.refusal, ended.changedAt)
        }
        guard let record = node.ledger.record(id) else { return crossing }
        crossing.epoch = record.epoch
        if crossing.phase == .completed { crossing.receipt = record.receipt }
        if crossing.phase == .committed || crossing.phase == .completed {
            crossing.redirect = node.redirectToken(for: id, at: clock.now()).map {
                Crossing.Redirect(endpoint: $0.endpoint, token: $0.token)
            }
        }
        return crossing
    }

    /// The newest crossings in a phase, or in all phases, at most `limit`.
    public func crossings(_ phase: Crossing.Phase?, limit: Int) async throws(Refusal) -> [Crossing] {
        let limit = max(0, limit)
        var found: [Crossing] = []
        let phases = phase.map { [$0] } ?? Crossing.Phase.allCases
        for phase in phases {
            if let state = phase.ledgerState {
                found += node.ledger.list(state, limit: limit).map { record in
                    var crossing = Crossing(record)
                    crossing.steps = crossings[record.id]?.steps ?? []
                    return crossing
                }
            }
            // Crossings that were refused before the ledger knew of them.
            found += crossings.all.lazy.filter { $0.phase == phase && self.node.ledger.record($0.id) == nil }
                .prefix(limit)
        }
        let answer = found.sorted { ($1.openedAt, $1.id) < ($0.openedAt, $0.id) }.prefix(limit)
        try await commit([])
        return Array(answer)
    }

    /// What happens to a player's crossings from now on.
    public func updates(of player: PlayerID) throws(Refusal) -> AsyncStream<PlayerUpdate> {
        guard !isStopping else { throw Self.stopping }
        return try subscribe(to: player)
    }

    /// As ``updates(of:)``, also while the server stops: ``stop()`` ends the stream when the queue is empty.
    ///
    /// - Parameter voucher: see ``Subscribers/subscribe(_:vouchedBy:onEnd:)``.
    func subscribe(
        to player: PlayerID, vouchedBy voucher: Subscribers.Voucher? = nil
    ) throws(Refusal) -> AsyncStream<PlayerUpdate> {
        if let voucher { try checkCounts(voucher) }
        let stream = subscribers.subscribe(player, vouchedBy: voucher) { token in
            Task { await self.unsubscribe(token, of: player) }
        }
        guard let stream else {
            throw Refusal(
                .overloaded, code: "player.followed", reason: "too many connections follow \(player)",
                remedy: "close some of them")
        }
        return stream
    }

    private func unsubscribe(_ token: UInt64, of player: PlayerID) {
        subscribers.remove(token, of: player)
    }

    // MARK: Steps

    /// Steps 5 and 6.
    private func cross(
        _ id: HandoffID, player: PlayerID, through portal: PortalID, plan: FederationNode.CrossingPlan
    ) async {
        let started = clock.now().instant
        do {
            let (manifest, fetched) = try await verifyWorld(
                plan.route.world, of: plan.peer.serverID, for: Follower(crossing: id, player: player))
            // One that is over may have been forgotten since; none that is being verified is.
            guard crossings[id]?.phase == .verifying else { return }
            let size = manifest.manifest.totalSize
            pass(
                .verification, of: id, since: started,
                "\(manifest.manifest.entries.count) files, \(size) bytes, every SHA-256 matches (\(fetched) bytes fetched)"
            )
            try checkReady()
            handoffStarted[id] = clock.now().instant
            let epoch = plan.player.epoch
            try await commit(
                node.depart(
                    player, epoch: epoch, through: portal, to: plan.destination.id, as: id, assets: manifest,
                    at: clock.now()))
        } catch {
            // A crossing that the ledger knows of ends by the ledger's rules; the store repeats until it is durable.
            guard node.ledger.record(id) == nil else { return }
            handoffStarted[id] = nil
            guard crossings[id]?.phase == .verifying else { return }
            fail(id, of: player, because: error, since: started)
        }
    }

    /// What the node says of a crossing, for its progress.
    func follow(_ event: CrossingEvent) {
        tellWorld(event)
        if case .withdrawnHere = event.kind { subscribers.tell(event.player, .gone) }
        guard let id = event.handoff else { return }
        switch event.kind {
        case .offered:
            update(id, .prepared)
            subscribers.tell(event.player, .offered(id))
        case .committed(let endpoint, let token):
            update(id, .committed)
            subscribers.tell(
                event.player, .redirect(id, Crossing.Redirect(endpoint: endpoint, token: token)))
        case .completed:
            update(id, .completed)
            let detail = node.ledger.record(id).map { "epoch \($0.epoch), receipt of \($0.peer) verified" } ?? "done"
            pass(.handoff, of: id, since: handoffStarted.removeValue(forKey: id) ?? clock.now().instant, detail)
            // The receipt may be late, and the player here again: who follows them now is not sent away.
            if node.players[event.player]?.isHere != true { subscribers.tell(event.player, .completed(id)) }
        case .returned(let refusal):
            let started = handoffStarted.removeValue(forKey: id) ?? clock.now().instant
            fail(id, of: event.player, because: refusal, since: started)
        case .voided(let refusal):
            let started = handoffStarted.removeValue(forKey: id) ?? clock.now().instant
            // Whoever follows a player who has gone on since is not concerned.
            let isTold =
                node.players[event.player]?.isHere != true && refusal.code != FederationNode.overtakenCode
            end(id, of: event.player, because: refusal, since: started, isTold: isTold)
            if isTold { subscribers.tell(event.player, .voided(id, refusal)) }
        case .admitted:
            subscribers.tell(event.player, .admitted(id))
        case .withdrawn:
            subscribers.tell(event.player, .withdrawn(id))
        case .reserved, .arriving, .turnedAway, .withdrawnHere:
            break
        }
    }

    private func update(_ id: HandoffID, _ phase: Crossing.Phase) {
        let now = clock.now().timestamp
        crossings.update(id) {
            $0.phase = phase
            $0.changedAt = now
        }
    }

    private func pass(_ step: CrossingStep, of id: HandoffID, since start: Instant, _ detail: String) {
        let done = Crossing.Step(step: step, ok: true, detail: detail, milliseconds: milliseconds(since: start))
        crossings.update(id) { $0.steps.append(done) }
        if let crossing = crossings[id] { subscribers.tell(crossing.player, .progress(id, done)) }
    }

    private func fail(_ id: HandoffID, of player: PlayerID, because refusal: Refusal, since start: Instant) {
        count(refused: refusal)
        end(id, of: player, because: refusal, since: start)
        subscribers.tell(player, .returned(id, refusal))
    }

    private func end(
        _ id: HandoffID, of player: PlayerID, because refusal: Refusal, since start: Instant, isTold: Bool = true
    ) {
        let failed = failure(refusal, since: start)
        update(id, .aborted)
        crossings.update(id) {
            $0.steps.append(failed)
            $0.refusal = refusal
        }
        if isTold { subscribers.tell(player, .progress(id, failed)) }
    }

    private func failure(_ refusal: Refusal, since start: Instant) -> Crossing.Step {
        Crossing.Step(
            step: refusal.step ?? .handoff, ok: false, detail: refusal.description,
            milliseconds: milliseconds(since: start))
    }

    private func steps(of plan: FederationNode.CrossingPlan, since start: Instant) -> [Crossing.Step] {
        let destination = plan.destination
        let health = node.health.status(of: destination.id)?.rawValue ?? "unknown"
        let roundTrip = node.roundTrip(to: destination.id).map { ", round trip \($0)" } ?? ""
        let details: [(CrossingStep, String)] = [
            (.registry, "\(id) and \(destination.id) are known, neither is suspended"),
            (.handshake, "\(destination.id) has proved its key \(destination.publicKey.fingerprint)"),
            (.health, "\(destination.id) is \(health)\(roundTrip)"),
            (.routing, "\(plan.portal) leads to \(plan.route.world) on \(destination.id), and is on"),
        ]
        let each = milliseconds(since: start) / Double(details.count)
        return details.map { Crossing.Step(step: $0.0, ok: true, detail: $0.1, milliseconds: each) }
    }

    private func milliseconds(since start: Instant) -> Double {
        Double((clock.now().instant - start).clampedNanoseconds) / 1_000_000
    }
}
