import FederationCore
import FederationCrypto
public import FederationModel
import FederationWire
import Logging
import Metrics

/// Effects that were made together, and who waits for them.
struct EffectBatch {
    enum Waiter {
        /// Is told at the first failure of the store.
        case caller(CheckedContinuation<Refusal?, Never>)
        /// Waits until the effects are carried out, however long the store fails.
        case patient(CheckedContinuation<Void, Never>)
        /// As a caller; follows the player from this place in the queue on.
        case follower(
            CheckedContinuation<Result<AsyncStream<PlayerUpdate>, Refusal>, Never>, of: PlayerID,
            vouchedBy: Subscribers.Voucher)
    }

    let effects: [Effect]
    var waiter: Waiter?

    /// Lets who waits go on, although the effects are not carried out.
    func refuse(_ refusal: Refusal) {
        switch waiter {
        case .caller(let continuation): continuation.resume(returning: refusal)
        case .patient(let continuation): continuation.resume()
        case .follower(let continuation, of: _, vouchedBy: _): continuation.resume(returning: .failure(refusal))
        case nil: break
        }
    }
}

extension FederationServer {
    /// Queues effects and waits until they are carried out, so that what the caller answers is durable. Throws when the
    /// store fails; the effects stay queued and are carried out once it works again.
    func commit(_ effects: [Effect]) async throws(Refusal) {
        keepTime()
        if effects.isEmpty, queue.isEmpty, !isDraining { return }
        if let storageFailure {
            enqueue(effects)
            throw storageFailure
        }
        let refusal = await withCheckedContinuation { waiter in
            queue.append(EffectBatch(effects: effects, waiter: .caller(waiter)))
            drain()
        }
        if let refusal { throw refusal }
    }

    /// As ``commit(_:)``, and follows a player from there on: their updates bring everything that the state at the time of the
    /// call does not contain, and nothing that waits in the queue and is contained in it.
    ///
    /// - Parameter voucher: whose signature has let the client in.
    func commit(
        _ effects: [Effect], following player: PlayerID, vouchedBy voucher: Subscribers.Voucher
    ) async throws(Refusal) -> AsyncStream<PlayerUpdate> {
        keepTime()
        if let storageFailure {
            enqueue(effects)
            throw storageFailure
        }
        let outcome = await withCheckedContinuation { waiter in
            queue.append(EffectBatch(effects: effects, waiter: .follower(waiter, of: player, vouchedBy: voucher)))
            drain()
        }
        return try outcome.get()
    }

    /// Waits until what has been done so far is durable.
    ///
    /// - Throws: why it is not, while the store fails.
    public func settle() async throws(Refusal) { try await commit([]) }

    /// Queues effects of an input that nobody waits for.
    func enqueue(_ effects: [Effect]) {
        keepTime()
        guard !effects.isEmpty, !hasGivenUp else { return }
        queue.append(EffectBatch(effects: effects, waiter: nil))
        drain()
    }

    /// Queues effects and waits until they are carried out, or given up because the server stops.
    func carryOut(_ effects: [Effect]) async {
        keepTime()
        if hasGivenUp || effects.isEmpty && queue.isEmpty && !isDraining { return }
        await withCheckedContinuation { waiter in
            queue.append(EffectBatch(effects: effects, waiter: .patient(waiter)))
            drain()
        }
    }

    /// Refuses a command while the store fails: its result could not be promised.
    func checkReady() throws(Refusal) {
        if let storageFailure { throw storageFailure }
        guard !isStopping else { throw Self.stopping }
    }

    static let stopping = Refusal(
        .unavailable, code: "server.stopping", reason: "this server is stopping", remedy: "try again when it is back")

    private func drain() {
        guard !isDraining else { return }
        // Without a change to persist nothing has to wait, and order is kept because the queue was empty.
        if queue.count == 1, !queue[0].effects.contains(where: \.needsSuspension) {
            let batch = queue.removeFirst()
            for effect in batch.effects { perform(effect) }
            release(batch)
            return
        }
        isDraining = true
        Task { await self.drainQueue() }
    }

    private func drainQueue() async {
        while !queue.isEmpty {
            var batches = queue
            queue = []
            let changes = batches.flatMap { $0.effects.flatMap(\.changes) }
            if !changes.isEmpty {
                guard await persist(changes, of: &batches) else { return giveUp(batches) }
                publish(changes)
            }
            for batch in batches {
                for effect in batch.effects {
                    switch effect {
                    // It has waited for the store, and the server is to stop since.
                    case .dial where node.isWindingDown, .dialNow where node.isWindingDown: break
                    case .dial(let server, let endpoints): await transport?.dial(server, at: endpoints)
                    case .dialNow(let server):
                        logger.info("\(server) says that it is back")
                        Counter(label: "aether_comebacks_total").increment()
                        await transport?.dialNow(server)
                    case .hangUp(let server):
                        returnNotices.forget(server)
                        await transport?.hangUp(server)
                    case .persist, .send, .close, .serveAsset, .assetAnswered, .worldAnswered, .notify, .report,
                        .fetchCard:
                        perform(effect)
                    }
                }
                release(batch)
            }
        }
        isDraining = false
    }

    /// Lets who waits for a batch go on: its effects are carried out.
    private func release(_ batch: EffectBatch) {
        switch batch.waiter {
        case .caller(let continuation): continuation.resume(returning: nil)
        case .patient(let continuation): continuation.resume()
        case .follower(let continuation, of: let player, vouchedBy: let voucher):
            do throws(Refusal) {
                continuation.resume(returning: .success(try subscribe(to: player, vouchedBy: voucher)))
            } catch {
                continuation.resume(returning: .failure(error))
            }
        case nil: break
        }
    }

    /// The store fails while the server stops: what is not durable never happened, so nothing that follows from it is done.
    private func giveUp(_ batches: [EffectBatch]) {
        hasGivenUp = true
        for batch in batches + queue { batch.refuse(storageFailure ?? Self.stopping) }
        queue = []
        isDraining = false
    }

    /// Shows this server's card once its sequence number cannot be used again for another one.
    private func publish(_ changes: [StoreChange]) {
        for case .putCardSequence(let sequence) in changes where node.card?.card.sequence == sequence {
            publishedCard = node.card
        }
        for case .putOwnKeys(let keys) in changes where keys.isDead { subscribers.revokeAll(because: id) }
        for case .registry(.appendLog(let record)) in changes { durableLog = max(durableLog, record.index + 1) }
    }

    /// Makes changes durable, however often it takes. Callers who wait are told at the first failure; nothing is sent before
    /// the changes are in. False when the server stops while the store fails.
    private func persist(_ changes: [StoreChange], of batches: inout [EffectBatch]) async -> Bool {
        var pause = Duration.milliseconds(100)
        while true {
            do {
                try await store.apply(changes)
                if storageFailure != nil { logger.notice("the store works again") }
                storageFailure = nil
                return true
            } catch {
                let refusal = Refusal(
                    .unavailable, code: "store.failed",
                    reason: "the store refused to save (\(error)), so nothing can be promised now",
                    remedy: "see to the disk of the data directory; the server repeats by itself")
                if storageFailure == nil { logger.error("\(refusal)") }
                storageFailure = refusal
                Counter(label: "aether_store_failures_total").increment()
                Self.tellCallers(of: &batches, refusal)
                Self.tellCallers(of: &queue, refusal)
                if isStopping { return false }
                await rest(for: pause)
                pause = min(pause * 2, .seconds(5))
            }
        }
    }

    private static func tellCallers(of batches: inout [EffectBatch], _ refusal: Refusal) {
        for index in batches.indices {
            switch batches[index].waiter {
            case .caller, .follower:
                batches[index].refuse(refusal)
                batches[index].waiter = nil
            case .patient, nil: break
            }
        }
    }

    /// Waits before the store is tried again; stopping cuts it short.
    private func rest(for pause: Duration) async {
        let clock = clock
        let rest = Task {
            do { try await clock.sleep(until: clock.now().instant + pause) } catch { return }
        }
        storeRest = rest
        await rest.value
        storeRest = nil
    }

    private func perform(_ effect: Effect) {
        switch effect {
        case .persist, .dial, .dialNow, .hangUp:
            break
        case .fetchCard(let server, let endpoints):
            fetchCard(of: server, at: endpoints)
        case .send(let frame, let channel):
            channels[channel]?.sink.send(frame)
        case .close(let channel, let code):
            channels[channel]?.sink.close(code)
        case .serveAsset(let request, let channel):
            serve(request, on: channel)
        case .assetAnswered(let response, let server):
            endRequest(requests.take(response.request, from: server), .success(.asset(response.answer)))
        case .worldAnswered(let response, let server):
            endRequest(requests.take(response.request, from: server), .success(.world(response.answer)))
        case .notify(let event):
            follow(event)
        case .report(let event):
            report(event)
        }
    }

    /// Hands the answers of peers to those who asked, ahead of the queue: nothing durable justifies them, and behind a store
    /// that is late they would count as late themselves, against the peer.
    ///
    /// - Returns: the other effects.
    func tellAnswers(in effects: [Effect]) -> [Effect] {
        guard effects.contains(where: \.isAnswer) else { return effects }
        for effect in effects where effect.isAnswer { perform(effect) }
        return effects.filter { !$0.isAnswer }
    }

    private func report(_ event: NodeEvent) {
        switch event {
        case .channelEstablished(let server, let direction):
            logger.info("channel to \(server) established", metadata: ["direction": "\(direction.rawValue)"])
            Counter(label: "aether_channels_established_total").increment()
            returnNotices.forget(server)
        case .channelClosed(let server):
            logger.info("channel to \(server) closed")
            Counter(label: "aether_channels_closed_total").increment()
            endRequests(requests.takeAll(of: server), .failure(.disconnected))
        case .healthChanged(let server, let from, let to, let failures):
            logger.notice(
                "\(server) is \(to.rawValue)", metadata: ["was": "\(from.rawValue)", "failures": "\(failures)"])
            Counter(label: "aether_health_changes_total", dimensions: [("to", to.rawValue)]).increment()
        case .roundTrip(_, let duration):
            Metrics.Timer(label: "aether_heartbeat_round_trip").recordNanoseconds(duration.clampedNanoseconds)
        case .handoffMoved(let id, let role, let state):
            logger.info("handoff \(id) is \(state.rawValue)", metadata: ["role": "\(role.rawValue)"])
            Counter(
                label: "aether_handoffs_total", dimensions: [("role", role.rawValue), ("state", state.rawValue)]
            ).increment()
        case .refusedFrame(let server, let code):
            logger.warning("refused a frame of \(server)", metadata: ["code": "\(code)"])
            Counter(label: "aether_refused_frames_total", dimensions: [("code", code)]).increment()
        case .lateObservation:
            Counter(label: "aether_late_observations_total").increment()
        case .rolledBack(let server, let decisions):
            logger.warning(
                "\(server) was restored from a backup: it is told what it has decided since",
                metadata: ["decisions": "\(decisions)"])
            Counter(label: "aether_peer_rollbacks_total").increment()
        case .relearned(let player, let server, let epoch):
            logger.warning(
                "this server was restored from a backup: \(player) had left before",
                metadata: ["to": "\(server)", "epoch": "\(epoch)"])
            Counter(label: "aether_players_relearned_total").increment()
        case .reclaimed(let player, let epoch):
            logger.notice("\(player) was taken back", metadata: ["epoch": "\(epoch)"])
            Counter(label: "aether_players_reclaimed_total").increment()
        case .vouched(let server, let helper):
            logger.info("\(helper) reaches \(server), which does not answer this server")
            Counter(label: "aether_peers_vouched_total").increment()
        case .keyRotated(let server, let key):
            logger.notice("\(server) has gone over to its next key", metadata: ["fingerprint": "\(key.fingerprint)"])
            Counter(label: "aether_key_rotations_total").increment()
        case .keyRevoked(let server, let replacement):
            subscribers.revoke(vouchedBy: server)
            logger.warning(
                "the owner of \(server) has revoked its keys",
                metadata: ["replacement": "\(replacement?.fingerprint ?? "none")"])
            Counter(label: "aether_key_revocations_total").increment()
        case .noticeRefused(let server, let code):
            logger.warning("refused what \(server) says of keys", metadata: ["code": "\(code)"])
            Counter(label: "aether_notices_refused_total", dimensions: [("code", code)]).increment()
        case .equivocated(let server):
            logger.error("\(server) has signed two cards that contradict each other; both are kept")
            Counter(label: "aether_equivocations_total").increment()
        case .trustGiven(let server, let source):
            logger.notice("\(server) is trusted by the policy", metadata: ["source": "\(source)"])
            Counter(label: "aether_trust_given_total", dimensions: [("source", source.kind)]).increment()
        case .trustEnded(let server, let code):
            logger.warning("\(server) is trusted no more", metadata: ["code": "\(code)"])
            Counter(label: "aether_trust_ended_total", dimensions: [("code", code)]).increment()
        case .introductionsContradict(let server):
            logger.error("trusted peers name different keys for \(server); nobody's word of it counts")
            Counter(label: "aether_introductions_contradicted_total").increment()
        case .reclaimForgotten(let player, let server):
            logger.error(
                """
                \(player) is nowhere: this server was restored from a backup and has forgotten that it took the player \
                back; take the player back again: aether players reclaim \(player)
                """, metadata: ["refusedBy": "\(server)"])
            Counter(label: "aether_reclaims_forgotten_total").increment()
        case .recalled(let player, let epoch):
            logger.notice("the home server of \(player) took the player back", metadata: ["epoch": "\(epoch)"])
            Counter(label: "aether_players_recalled_total").increment()
        }
    }

    // MARK: Time

    /// Sets the timer to the node's next deadline. While too much waits for the store, what time brings waits as well.
    func keepTime() {
        guard !isStopping, var deadline = node.nextDeadline else { return }
        if queue.count >= Self.queuedBatches { deadline = max(deadline, clock.now().instant + .seconds(1)) }
        if let timer, timer.deadline <= deadline { return }
        timer?.task.cancel()
        let clock = clock
        timer = (
            deadline,
            Task { [weak self] in
                guard (try? await clock.sleep(until: deadline)) != nil else { return }
                await self?.deadlinePassed(deadline)
            }
        )
    }

    private func deadlinePassed(_ deadline: Instant) {
        guard timer?.deadline == deadline else { return }
        timer = nil
        if queue.count < Self.queuedBatches { enqueue(node.tick(at: clock.now())) }
        lookForFailing()
        keepTime()
    }
}

extension Effect {
    /// The changes that must be durable before what follows.
    var changes: [StoreChange] {
        if case .persist(let changes) = self { changes } else { [] }
    }

    /// Whether it is a peer's answer to a question of this server.
    var isAnswer: Bool {
        switch self {
        case .assetAnswered, .worldAnswered: true
        case .persist, .send, .close, .dial, .dialNow, .hangUp, .serveAsset, .notify, .report, .fetchCard: false
        }
    }

    /// Whether carrying it out takes an `await`.
    var needsSuspension: Bool {
        switch self {
        case .persist, .dial, .dialNow, .hangUp: true
        case .send, .close, .serveAsset, .assetAnswered, .worldAnswered, .notify, .report, .fetchCard: false
        }
    }
}

extension FederationServer {
    /// A crossing was refused, at this step.
    func count(refused refusal: Refusal) {
        Counter(
            label: "aether_crossings_refused_total",
            dimensions: [("step", refusal.step?.rawValue ?? "none"), ("code", refusal.code)]
        ).increment()
    }
}
