import FederationCrypto
import FederationModel
import FederationWire

/// What one server proves to another that was restored from a backup: decisions that the other has made and lost.
///
/// The source counts its decisions towards each peer and puts the number into the token. When a channel opens each side
/// says how far it has counted; a peer that holds a token with a higher number answers with it. The token bears the source's
/// own signature, so nobody else can make it believe that it has decided anything.
extension FederationNode {
    /// The first frame about handoffs on a channel that has just opened.
    func position(for peer: VerifiedPeer, on channel: ChannelID) -> Effect {
        .send(.position(decisions[peer.serverID, default: 0]), on: channel)
    }

    /// A peer says how many of its decisions towards this server it remembers.
    func answer(position: UInt64, of peer: VerifiedPeer, on channel: ChannelID) -> [Effect] {
        let lost = passages.passages(from: peer.serverID, after: position, limit: Limits.evidencePassages)
        guard !lost.isEmpty else { return [] }
        var effects: [Effect] = [.report(.rolledBack(peer.serverID, decisions: lost.count))]
        for start in stride(from: 0, to: lost.count, by: Limits.evidenceTokens) {
            let tokens = lost[start...].prefix(Limits.evidenceTokens).map(\.token)
            effects.append(.send(.evidence(Array(tokens)), on: channel))
        }
        return effects
    }

    /// Tokens by which this server is said to have handed players over. Each counts only when this server signed it for
    /// that peer as a decision, and only when it is newer than what this server knows.
    mutating func receive(
        evidence tokens: [String], from peer: VerifiedPeer, on channel: ChannelID, at now: Now
    ) -> [Effect] {
        if plantedBug == .evidenceNotBelieved { return [] }
        let before = decisions[peer.serverID]
        var effects: [Effect] = []
        for compact in tokens {
            guard
                let token = try? SessionToken.verify(
                    compact, issuer: id, key: ownKey(for: compact), audience: peer.serverID, at: now.timestamp,
                    leeway: Self.anyTime),
                let decision = token.decision
            else {
                effects.append(.report(.refusedFrame(peer.serverID, code: "evidence.invalid")))
                continue
            }
            guard decision > decisions[peer.serverID, default: 0] || plantedBug == .evidenceLowersCount else {
                continue
            }
            effects += relearn(token, decision, of: peer, at: now)
        }
        // There may be more.
        if decisions[peer.serverID] != before { effects.append(position(for: peer, on: channel)) }
        return effects
    }

    private mutating func relearn(
        _ token: SessionToken, _ decision: UInt64, of peer: VerifiedPeer, at now: Now
    ) -> [Effect] {
        decisions[peer.serverID] = decision
        var changes: [StoreChange] = [.putDecisions(peer.serverID, decision)]
        var aborting: [Effect] = []
        var telling: [Effect] = []
        // A handoff that began after the backup would decide about the player a second time. It ends first: what follows must
        // be the last word about the player, in memory and on the disk.
        for open in ledger.openHandoffs(of: token.player) where open.id != token.handoff && open.state == .prepared {
            aborting += abort(open.id, because: Self.restored(token.player), at: now)
        }
        let isNewer = players[token.player].map { $0.epoch < token.epoch } ?? true
        if isNewer, let record = ledger.recommit(token.handoff, to: peer.serverID, decision: decision, at: now) {
            changes.append(.putHandoff(record))
        }
        let reclaim = forgottenReclaim(token, at: now)
        if let player = players.departed(
            token.player, to: peer.serverID, by: token.handoff, epoch: token.epoch, from: token.world, home: id)
        {
            // The home server may have said already that such copies are void.
            let player = recalls[player.player].flatMap { players.recall(player.player, epoch: $0) } ?? player
            changes.append(.putPlayer(player))
            telling.append(.report(.relearned(player.player, on: peer.serverID, player.epoch)))
            telling.append(
                .notify(CrossingEvent(handoff: token.handoff, player: player.player, kind: .withdrawnHere)))
        }
        if let reclaim {
            changes.append(.putReclaim(reclaim))
            telling.append(.report(.reclaimed(reclaim.player, reclaim.epoch)))
            telling += announce(reclaim)
        }
        return aborting + [.persist(changes)] + telling
    }

    /// Only this server begins a term of one of its players. A decision of its own in a term that it does not know means that it
    /// has taken the player back since the backup: whoever has not heard of that must hear it all the same.
    private mutating func forgottenReclaim(_ token: SessionToken, at now: Now) -> ReclaimRecord? {
        let before = players[token.player]
        guard token.player.home == id, token.epoch.term > before?.epoch.term ?? 0 else { return nil }
        let host: ServerID =
            if case .departed(let server, _)? = before?.presence { server } else { id }
        let reclaim = ReclaimRecord(
            player: token.player, server: host, voided: before?.epoch ?? .first, epoch: token.epoch.beginningOfTerm,
            reason: "learned again after a restore", at: now.timestamp)
        reclaims[token.player] = reclaim
        return reclaim
    }

    private static func restored(_ player: PlayerID) -> Refusal {
        Refusal(
            .conflict, code: "handoff.restored",
            reason: "this server was restored from a backup, and \(player) had left before",
            remedy: "go on where the player is now", step: .handoff)
    }
}
