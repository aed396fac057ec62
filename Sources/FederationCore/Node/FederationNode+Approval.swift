import FederationCrypto
public import FederationModel
import FederationWire

/// A world that has a say in who enters it: an offer waits, for a bounded time, until the world server answers.
extension FederationNode {
    /// An offer that has passed every check of this server's own and waits for its world.
    struct WaitingArrival: Sendable {
        let offer: FederationFrame.HandoffOffer
        let peer: ServerID
        var channel: ChannelID
        let player: PlayerID
        let world: WorldID
    }

    struct ArrivalDeadline: Comparable, Sendable {
        let at: Instant
        let handoff: HandoffID

        static func < (left: Self, right: Self) -> Bool { (left.at, left.handoff) < (right.at, right.handoff) }
    }

    /// Whether newcomers to a world wait for its world server's word. While nobody guards a world everybody is let in.
    public mutating func setGuarded(_ world: WorldID, _ isGuarded: Bool) {
        if isGuarded { guardedWorlds.insert(world) } else { guardedWorlds.remove(world) }
    }

    /// Puts an offer aside until its world has answered.
    mutating func putAside(
        _ offer: FederationFrame.HandoffOffer, _ envelope: SessionHandoffEnvelope, from peer: VerifiedPeer,
        on channel: ChannelID, at now: Now
    ) -> [Effect] {
        let token = envelope.token
        if let waiting = arrivals[offer.handoff] {
            // Offered again on a new channel: that is where the answer goes.
            if waiting.peer == peer.serverID { arrivals[offer.handoff]?.channel = channel }
            return []
        }
        guard arrivals.count < Limits.waitingArrivals else {
            return [reject(offer.handoff, HandoffLedger.Failure.full.refusal, on: channel)]
        }
        arrivalBytes += offer.snapshot.count
        arrivals[offer.handoff] = WaitingArrival(
            offer: offer, peer: peer.serverID, channel: channel, player: token.player, world: token.world)
        arrivalDeadlines.insert(
            ArrivalDeadline(at: now.instant + configuration.arrivalTimeout, handoff: offer.handoff))
        let arrival = Arrival(
            source: token.issuer, world: token.world, spawn: token.spawn, epoch: token.epoch,
            revision: token.revision, stateBytes: envelope.snapshot.count)
        return [.notify(CrossingEvent(handoff: offer.handoff, player: token.player, kind: .arriving(arrival)))]
    }

    /// The world server's answer to an arrival.
    ///
    /// - Parameter refusal: why the player may not enter, for the player to read; nil lets the player in.
    /// - Throws: `arrival.unknown` when nobody with this id waits (any more).
    public mutating func answerArrival(
        _ handoff: HandoffID, refusal: String?, at now: Now
    ) throws(Refusal) -> [Effect] {
        guard let waiting = removeArrival(handoff) else {
            if plantedBug == .lateRefusalCounts, refusal != nil, ledger.record(handoff)?.state == .reserved,
                let record = try? ledger.abort(handoff, code: "world.refused", reason: refusal ?? "", at: now)
            {
                return [.persist([.putHandoff(record)])]
            }
            throw Refusal(
                .notFound, code: "arrival.unknown", reason: "nobody waits at the door in handoff \(handoff)",
                remedy: "answer within \(configuration.arrivalTimeout) of the arriving event")
        }
        if let refusal { return turnAway(waiting, code: "world.refused", reason: refusal) }
        // The channel it came on may be gone, and with it the source's wait.
        guard let peer = peer(on: waiting.channel), verifiedPeer(peer.serverID, at: now) != nil else { return [] }
        return reserve(waiting.offer, from: peer, on: waiting.channel, isApproved: true, at: now)
    }

    /// Arrivals whose world did not answer: better to stay than to stand before a closed door.
    mutating func expireArrivals(at now: Now) -> [Effect] {
        var effects: [Effect] = []
        while let due = arrivalDeadlines.min, due.at <= now.instant {
            arrivalDeadlines.removeMin()
            guard let waiting = removeArrival(due.handoff) else { continue }
            effects += turnAway(waiting, code: "world.silent", reason: "the world did not answer in time")
        }
        return effects
    }

    /// Nobody waits in this handoff any more.
    @discardableResult
    mutating func removeArrival(_ handoff: HandoffID) -> WaitingArrival? {
        guard let waiting = arrivals.removeValue(forKey: handoff) else { return nil }
        arrivalBytes -= waiting.offer.snapshot.count
        return waiting
    }

    func turnAway(_ waiting: WaitingArrival, code: String, reason: String) -> [Effect] {
        let refusal = Refusal(
            .conflict, code: code, reason: reason, remedy: "the player stays where they are", step: .handoff)
        return [
            .report(.refusedFrame(waiting.peer, code: code)),
            .notify(
                CrossingEvent(handoff: waiting.offer.handoff, player: waiting.player, kind: .turnedAway(refusal))),
            reject(waiting.offer.handoff, refusal, on: waiting.channel),
        ]
    }

    func reject(_ handoff: HandoffID, _ refusal: Refusal, on channel: ChannelID) -> Effect {
        let rejection = FederationFrame.HandoffRejection(
            handoff: handoff, code: refusal.code, reason: Self.short(refusal.reason))
        return .send(.reject(rejection), on: channel)
    }
}
