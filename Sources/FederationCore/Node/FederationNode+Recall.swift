public import FederationModel
import FederationWire

/// Taking a player back from a server that is gone for good.
///
/// Only the player's home server can, and it says so aloud: it goes on with the last state that it knows, under an epoch of
/// the next term, above everything that others may have counted to. That voids every other copy. A server that has one
/// gives it up as soon as it hears of it; until then, and only then, the player could be in two places, which is why an
/// operator must decide it.
extension FederationNode {
    /// Takes back a player of this server who is away.
    ///
    /// - Parameter reason: for the audit, in the operator's words.
    /// - Throws: `player.unknown`, `player.notHome`, `player.notAway`, `player.frozen`, `reclaim.reasonInvalid`.
    public mutating func reclaim(
        _ player: PlayerID, reason: String, at now: Now
    ) throws(Refusal) -> (ReclaimRecord, [Effect]) {
        guard !reason.isEmpty, reason.utf8.count <= Limits.nameBytes, reason.unicodeScalars.allSatisfy(\.isPrintable)
        else {
            throw Refusal(
                .invalid, code: "reclaim.reasonInvalid",
                reason: "the reason is empty, over \(Limits.nameBytes) bytes or not printable",
                remedy: "say in a few words why the player's server is given up")
        }
        let before: PlayerRecord
        let record: PlayerRecord
        do {
            (before, record) = try players.reclaim(player, home: id, terms: termsToReclaim(player))
        } catch {
            throw error.refusal
        }
        guard case .departed(let server, _) = before.presence else {
            throw PlayerTable.Failure.notAway(player).refusal
        }
        let reclaim = ReclaimRecord(
            player: player, server: server, voided: before.epoch, epoch: record.epoch, reason: reason,
            at: now.timestamp)
        reclaims[player] = reclaim
        var changes: [StoreChange] = [.putPlayer(record), .putReclaim(reclaim)]
        // What was decided before in the term that ends may wait for its receipt as well.
        let voided = ledger.openHandoffs(of: player).compactMap {
            ledger.void($0.id, code: Self.recalledCode, reason: "the player was taken back: \(reason)", at: now)
        }
        changes += voided.map { .putHandoff($0) }
        // A way home that its source will never decide about.
        let reserved = ledger.openHandoffs(of: player).filter { $0.state == .reserved }.compactMap { open in
            try? ledger.abort(open.id, code: Self.recalledCode, reason: "the player was taken back", at: now)
        }
        changes += reserved.map { .putHandoff($0) }
        var effects: [Effect] = [.persist(changes), .report(.reclaimed(player, record.epoch))]
        for reserved in reserved {
            effects += [
                .report(.handoffMoved(reserved.id, .destination, .aborted)),
                .notify(CrossingEvent(handoff: reserved.id, player: player, kind: .withdrawn)),
            ]
        }
        for voided in voided {
            effects.append(.report(.handoffMoved(voided.id, .source, .aborted)))
            effects.append(Self.notice(ofVoid: voided))
            if let channel = channels[voided.peer] { effects.append(.send(.abort(voided.id), on: channel)) }
        }
        return (reclaim, effects + announce(reclaim))
    }

    /// Every peer that can be reached is told at once.
    func announce(_ reclaim: ReclaimRecord) -> [Effect] {
        let recalled = FederationFrame.RecalledPlayer(player: reclaim.player, epoch: reclaim.epoch)
        return channels.values.sorted().map { .send(.recall([recalled]), on: $0) }
    }

    /// The code with which a decided handoff ends whose player was taken back meanwhile.
    static let recalledCode = "player.recalled"

    /// The code with which a decided handoff ends of which its destination knows nothing, while the source has the player again.
    public static let overtakenCode = "handoff.overtaken"

    /// A decision will never be carried out: the player's home server has taken the player back, says the peer that refuses it, or
    /// the peer was restored and knows nothing of it while the player has come again.
    ///
    /// When this server is the home that is said to have taken the player back and knows of no such act, a backup has made it
    /// forget one. The handoff is over all the same, since nobody will ever admit the player by it. But the player stays
    /// `departed`: under the forgotten term they may have gone on anywhere, so that only the operator can take them back again.
    mutating func void(_ decided: HandoffRecord, _ code: String, because reason: String, at now: Now) -> [Effect] {
        guard let ended = ledger.void(decided.id, code: code, reason: reason, at: now) else { return [] }
        var effects: [Effect] = [.persist([.putHandoff(ended)]), .report(.handoffMoved(ended.id, .source, .aborted))]
        if provesForgottenReclaim(ended.id) {
            effects.append(.report(.reclaimForgotten(ended.player, ended.peer)))
        }
        return effects + [Self.notice(ofVoid: ended)]
    }

    /// Whether a player of this server is thought to have departed in a handoff that came to nothing: that can only be when
    /// this server has taken the player back since and has forgotten it. The ledger keeps such a handoff until the player is
    /// somewhere again.
    func provesForgottenReclaim(_ id: HandoffID) -> Bool {
        guard ledger.state(of: id) == .aborted, let record = ledger.record(id), record.role == .source,
            record.player.home == self.id, case .departed(_, id)? = players[record.player]?.presence
        else { return false }
        return true
    }

    /// How many terms further a player of this server goes who is taken back: beyond all that were begun and forgotten.
    private func termsToReclaim(_ player: PlayerID) -> UInt64 {
        guard case .departed(_, let handoff)? = players[player]?.presence, provesForgottenReclaim(handoff) else {
            return 1
        }
        return Limits.forgottenTerms
    }

    /// The player's client was sent away and must not wait for an arrival that will never be.
    private static func notice(ofVoid record: HandoffRecord) -> Effect {
        let code = record.abortCode ?? recalledCode
        let refusal = Refusal(
            .conflict, code: code, reason: record.abortReason ?? "\(record.player) was taken back",
            remedy: code == overtakenCode
                ? "nothing: the player has gone on since"
                : "ask \(record.player.home), the player's home, where the player goes on", step: .handoff)
        return .notify(CrossingEvent(handoff: record.id, player: record.player, kind: .voided(refusal)))
    }

    /// What a peer must know of the players that this server has taken back.
    func recalls(on channel: ChannelID) -> [Effect] {
        if plantedBug == .recallNotRepeated { return [] }
        let recalled = reclaims.values.sorted { $0.player < $1.player }
            .map { FederationFrame.RecalledPlayer(player: $0.player, epoch: $0.epoch) }
        return stride(from: 0, to: recalled.count, by: Limits.recalledPlayers).map { start in
            .send(.recall(Array(recalled[start...].prefix(Limits.recalledPlayers))), on: channel)
        }
    }

    /// A peer has taken players back. It may say so of its own players only.
    mutating func receive(
        recall players: [FederationFrame.RecalledPlayer], from peer: VerifiedPeer, at now: Now
    ) -> [Effect] {
        var effects: [Effect] = []
        let own = players.filter { $0.player.home == peer.serverID }
        if own.count < players.count { effects.append(.report(.refusedFrame(peer.serverID, code: "recall.foreign"))) }
        var room = min(
            Limits.rememberedRecallsPerHome - recalls.keys.count { $0.home == peer.serverID },
            Limits.rememberedRecalls - recalls.count)
        let isFull = room <= 0
        for recalled in own { effects += recall(recalled, &room, at: now) }
        if isFull { effects.append(.report(.refusedFrame(peer.serverID, code: "recall.tooMany"))) }
        return effects
    }

    /// - Parameter room: how many more players may be remembered who were never here.
    private mutating func recall(
        _ recalled: FederationFrame.RecalledPlayer, _ room: inout Int, at now: Now
    ) -> [Effect] {
        if plantedBug == .recallIgnored { return [] }
        var effects: [Effect] = []
        // What is decided stays open until the other end has heard of the recall as well.
        for open in ledger.openHandoffs(of: recalled.player)
        where open.epoch < recalled.epoch && open.state != .committed {
            guard
                let record = try? ledger.abort(
                    open.id, code: Self.recalledCode, reason: "the player's home server took the player back", at: now)
            else { continue }
            effects += [.persist([.putHandoff(record)]), .report(.handoffMoved(record.id, record.role, .aborted))]
            if record.role == .destination {
                effects.append(
                    .notify(CrossingEvent(handoff: record.id, player: record.player, kind: .withdrawn)))
            }
            if record.role == .source, let channel = channels[record.peer] {
                effects.append(.send(.abort(record.id), on: channel))
            }
        }
        if let player = players.recall(recalled.player, epoch: recalled.epoch) {
            effects += [
                .persist([.putPlayer(player)]), .report(.recalled(player.player, player.epoch)),
                .notify(CrossingEvent(handoff: nil, player: player.player, kind: .withdrawnHere)),
            ]
        } else if plantedBug != .recallForgotten, self.players[recalled.player] == nil,
            recalls[recalled.player].map({ $0 < recalled.epoch }) ?? true
        {
            if recalls[recalled.player] == nil {
                guard room > 0 else { return effects }
                room -= 1
            }
            recalls[recalled.player] = recalled.epoch
            effects.append(.persist([.putRecall(recalled.player, recalled.epoch)]))
        }
        return effects
    }
}
