import FederationCrypto
public import FederationModel
import FederationWire

/// The destination's side of a handoff.
extension FederationNode {
    /// An offer: everything is checked before a place is kept. What is refused is answered with a code and forgotten.
    mutating func receive(
        _ offer: FederationFrame.HandoffOffer, from peer: VerifiedPeer, on channel: ChannelID, at now: Now
    ) -> [Effect] {
        reserve(offer, from: peer, on: channel, isApproved: false, at: now)
    }

    /// - Parameter isApproved: whether the world has been asked already.
    mutating func reserve(
        _ offer: FederationFrame.HandoffOffer, from peer: VerifiedPeer, on channel: ChannelID, isApproved: Bool,
        at now: Now
    ) -> [Effect] {
        let reserved: HandoffRecord
        let isNew: Bool
        do {
            switch try reservation(of: offer, from: peer, isApproved: isApproved, at: now) {
            case .record(let record, let new): (reserved, isNew) = (record, new)
            case .waits(let envelope): return putAside(offer, envelope, from: peer, on: channel, at: now)
            }
        } catch {
            return [.report(.refusedFrame(peer.serverID, code: error.code)), reject(offer.handoff, error, on: channel)]
        }
        switch reserved.state {
        case .reserved:
            let accept = Effect.send(.accept(offer.handoff), on: channel)
            guard isNew else { return [accept] }
            if plantedBug == .reservationPlayable {
                let player = players.admit(reserved, state: reserved.snapshot)
                return [.persist([.putHandoff(reserved), .putPlayer(player)]), accept]
            }
            return [
                .persist([.putHandoff(reserved)]), .report(.handoffMoved(reserved.id, .destination, .reserved)),
                .notify(CrossingEvent(handoff: reserved.id, player: reserved.player, kind: .reserved)), accept,
            ]
        case .admitted:
            return receipt(of: reserved, on: channel)
        case .aborted:
            let isRecalled = reserved.abortCode == Self.recalledCode
            let rejection = FederationFrame.HandoffRejection(
                handoff: offer.handoff, code: isRecalled ? Self.recalledCode : "handoff.aborted",
                reason: "the handoff was aborted before")
            return [.send(.reject(rejection), on: channel)]
        case .prepared, .committed, .completed:
            return []
        }
    }

    /// What becomes of an offer that is not refused.
    private enum Reservation {
        case record(HandoffRecord, isNew: Bool)
        /// The world has a say in it.
        case waits(SessionHandoffEnvelope)
    }

    private mutating func reservation(
        of offer: FederationFrame.HandoffOffer, from peer: VerifiedPeer, isApproved: Bool, at now: Now
    ) throws(Refusal) -> Reservation {
        do {
            let envelope = try SessionHandoffEnvelope(
                receiving: offer.token, snapshot: offer.snapshot, handoff: offer.handoff, from: peer,
                key: key(of: peer, for: offer.token, at: now), audience: id,
                at: now.timestamp + peer.clockOffset)
            if ledger.record(offer.handoff) != nil {
                if plantedBug == .duplicateOfferReservedTwice {
                    return .record(try ledger.reserve(envelope, known: nil, at: now), isNew: true)
                }
                return .record(try ledger.reserve(envelope, known: nil, at: now), isNew: false)
            }
            if isWindingDown { throw windingDown }
            // What was agreed before the scope was taken away goes on: the source may have decided it.
            if let refusal = missing(.handoff, of: peer.serverID) { throw refusal }
            guard !isRecalled(envelope.token.player, at: envelope.token.epoch) else {
                throw Self.recalled(envelope.token.player)
            }
            try checkArrival(envelope)
            let known = plantedBug == .staleOfferTaken ? nil : epoch(of: envelope.token.player)
            let past = pastPlace(of: envelope.token.player)
            if !isApproved, guardedWorlds.contains(envelope.token.world), plantedBug != .guardNotAsked {
                try ledger.checkReservation(envelope, known: known, past: past, at: now)
                return .waits(envelope)
            }
            return .record(try ledger.reserve(envelope, known: known, past: past, at: now), isNew: true)
        } catch let failure as HandoffLedger.Failure {
            throw failure.refusal
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw Refusal(
                .unavailable, code: "handoff.failed", reason: "the offer could not be handled", remedy: "try again")
        }
    }

    /// What only the destination knows: its worlds, and the players it keeps.
    private func checkArrival(_ envelope: SessionHandoffEnvelope) throws(Refusal) {
        let token = envelope.token
        let held = players.stateBytes + ledger.snapshotBytes + arrivalBytes
        guard held + envelope.snapshot.count <= Limits.allSnapshotsBytes else {
            throw PlayerTable.Failure.full.refusal
        }
        try checkRoom(for: token)
        guard worlds[token.world] != nil else {
            throw Refusal(
                .notFound, code: "world.unknown", reason: "there is no world \(token.world) on \(id)",
                remedy: "change the route", step: .handoff)
        }
        guard let known = players[token.player] else {
            guard token.player.home != id else {
                throw Refusal(
                    .forbidden, code: "player.unknown",
                    reason: "\(token.player) would be at home on \(id), which has never known them",
                    remedy: "enter the player at home first", step: .handoff)
            }
            return
        }
        // Only the home server begins a term; nobody can bring one of its players back with a later one.
        guard token.player.home != id || token.epoch.term == known.epoch.term else {
            throw Refusal(
                .forbidden, code: "player.foreignTerm",
                reason: "\(token.player) is at home on \(id), which has not begun the term of epoch \(token.epoch)",
                remedy: "report it to \(token.issuer)", step: .handoff)
        }
        switch known.presence {
        case .departed, .recalled: return
        case .playable, .departing, .left:
            throw Refusal(
                .conflict, code: "player.present", reason: "\(token.player) is kept by \(id) already",
                remedy: "a player can be in one place only", step: .handoff)
        }
    }

    /// Who came from a peer is remembered for good, with the token, so that a peer may bring so many and no more. Whoever has
    /// come from there before may always come again, and so may this server's own players, of whom there are so many.
    ///
    /// What its source has decided already is let in up to twice the bounds: this server, restored from a backup, may have
    /// lost its place while others took the last ones, and the player is nowhere else.
    private func checkRoom(for token: SessionToken) throws(Refusal) {
        guard plantedBug != .passageLimitIgnored, passages[token.player, from: token.issuer] == nil,
            token.player.home != id
        else { return }
        let shares = token.decision == nil ? 1 : 2
        guard
            passages.count(from: token.issuer) + ledger.openCount(with: token.issuer)
                < shares * configuration.passagesPerPeer,
            passages.count + ledger.openCount < shares * configuration.passages
        else {
            throw Refusal(
                .overloaded, code: "player.full",
                reason: "\(id) remembers as many players who came from other servers as it may",
                remedy: "send players who have been there before, or send them to another server", step: .handoff)
        }
    }

    /// The decision has arrived: the player is admitted, once.
    mutating func receive(
        _ commit: FederationFrame.HandoffCommit, from peer: VerifiedPeer, on channel: ChannelID, at now: Now
    ) -> [Effect] {
        guard let before = ledger.record(commit.handoff), before.role == .destination, before.peer == peer.serverID,
            before.state != .aborted
        else {
            return [answer(toUnknown: commit, from: peer, on: channel, at: now) ?? refuse(commit, on: channel)]
        }
        if before.state == .admitted { return receipt(of: before, on: channel) }
        // Since the offer the player's home server may have taken the player back.
        let hasGoneOn = hasGoneOn(before.player, since: before.epoch)
        if let known = epoch(of: before.player), known >= before.epoch, !hasGoneOn {
            return voidReservation(before, on: channel, at: now)
        }
        do {
            // Decided is decided, whatever time it is: the channel proves who says so and that nobody repeats it, and a clock
            // that was set wrong since the offer must not keep the player out.
            let token = try SessionToken.verify(
                commit.token, issuer: peer.serverID, key: key(of: peer, for: commit.token, at: now), audience: id,
                at: now.timestamp, leeway: Self.anyTime)
            return try admit(
                token, commit.token, before: before, hasGoneOn: hasGoneOn, on: channel, at: now)
        } catch let failure as HandoffLedger.Failure {
            return [.report(.refusedFrame(peer.serverID, code: failure.refusal.code))]
        } catch {
            return [.report(.refusedFrame(peer.serverID, code: "token.refused"))]
        }
    }

    /// The code of a rejection by which the destination says that it keeps no place: the offer was never seen, or is lost.
    static let nothingReserved = "handoff.unknown"

    /// Longer than any clock is wrong.
    static let anyTime = Duration.seconds(100 * 365 * 24 * 3_600)

    /// What an offer must exceed: the player's epoch here, or the one below which their home server wants nobody let in.
    private func epoch(of player: PlayerID) -> Epoch? {
        guard let known = players[player]?.epoch else { return recalls[player].map { Epoch($0.number - 1) } }
        return known
    }

    /// Whether the player's home server has taken the player back from this epoch. Who knows the player in a later term knows
    /// that, wherever the player is now.
    private func isRecalled(_ player: PlayerID, at epoch: Epoch) -> Bool {
        if let record = players[player] {
            return epoch.term < record.epoch.term || record.presence == .recalled && epoch < record.epoch
        }
        return recalls[player].map { epoch < $0 } ?? false
    }

    private static func recalled(_ player: PlayerID) -> Refusal {
        Refusal(
            .conflict, code: recalledCode, reason: "\(player) was taken back by \(player.home)",
            remedy: "the player is at home", step: .handoff)
    }

    /// The answer to a decision about a handoff for which no place is kept.
    private func refuse(_ commit: FederationFrame.HandoffCommit, on channel: ChannelID) -> Effect {
        let isRecalled = ledger.record(commit.handoff)?.abortCode == Self.recalledCode
        let rejection = FederationFrame.HandoffRejection(
            handoff: commit.handoff, code: isRecalled ? Self.recalledCode : Self.nothingReserved,
            reason: "no place is kept for this handoff")
        return .send(.reject(rejection), on: channel)
    }

    /// The answer to a decision about a handoff that is over here and not known any more: both ends had done with it and a backup
    /// has made the source forget that, or a backup has made this server forget it and others have proved since that the player
    /// went on. It is the receipt, unless the player was taken back since: then nobody can tell any more whether they came by
    /// this decision, and it is void either way.
    private func answer(
        toUnknown commit: FederationFrame.HandoffCommit, from peer: VerifiedPeer, on channel: ChannelID, at now: Now
    ) -> Effect? {
        guard plantedBug != .ledgerCompactedEarly, ledger.record(commit.handoff) == nil,
            let token = try? SessionToken.verify(
                commit.token, issuer: peer.serverID, key: key(of: peer, for: commit.token, at: now), audience: id,
                at: now.timestamp, leeway: Self.anyTime),
            token.handoff == commit.handoff, let decision = token.decision
        else { return nil }
        guard !isRecalled(token.player, at: token.epoch) else {
            return reject(commit.handoff, Self.recalled(token.player), on: channel)
        }
        guard hasPassed(token, decision, from: peer) else { return nil }
        let receipt = AdmissionReceipt(
            issuer: id, audience: peer.serverID, handoff: token.handoff, player: token.player, epoch: token.epoch,
            issuedAt: now.timestamp)
        return .send(
            .admitted(FederationFrame.HandoffAdmitted(handoff: token.handoff, receipt: receipt.issue(by: identity))),
            on: channel)
    }

    /// Whether the player has been here by that decision of the peer. Within a term each epoch has one holder: a player whose
    /// epoch here is a later one of the same term was here in this one.
    private func hasPassed(_ token: SessionToken, _ decision: UInt64, from peer: VerifiedPeer) -> Bool {
        if let passage = passages[token.player, from: peer.serverID], decision <= passage.decision { return true }
        return hasGoneOn(token.player, since: token.epoch)
    }

    /// Whether a player who was decided to come here with that epoch has come and left again. That an open handoff knows nothing
    /// of it can only be when it was restored from a backup and this server was then shown its own later decision.
    private func hasGoneOn(_ player: PlayerID, since epoch: Epoch) -> Bool {
        guard let known = players[player]?.epoch else { return false }
        return known.term == epoch.term && known > epoch
    }

    /// The place that is kept for a player who has come by it and gone on, before a restore. Its source may be away, for long or
    /// for good, and must not keep the player from coming again; nor is the place dropped, because its source still has to hear
    /// that it is over.
    private func pastPlace(of player: PlayerID) -> HandoffID? {
        guard let open = ledger.openHandoff(of: player), open.state == .reserved,
            hasGoneOn(player, since: open.epoch)
        else { return nil }
        return open.id
    }

    private mutating func voidReservation(
        _ reserved: HandoffRecord, on channel: ChannelID, at now: Now
    ) -> [Effect] {
        let refusal = Refusal(
            .conflict, code: Self.recalledCode,
            reason: "\(reserved.player) was taken back by \(reserved.player.home) since the offer",
            remedy: "the player is at home", step: .handoff)
        guard let record = try? ledger.abort(reserved.id, code: refusal.code, reason: refusal.reason, at: now) else {
            return []
        }
        return [
            .persist([.putHandoff(record)]), .report(.handoffMoved(record.id, .destination, .aborted)),
            .notify(CrossingEvent(handoff: record.id, player: record.player, kind: .withdrawn)),
            reject(record.id, refusal, on: channel),
        ]
    }

    /// - Parameter hasGoneOn: the player was here by this decision and went on before a restore: only the handoff ends.
    private mutating func admit(
        _ token: SessionToken, _ compact: String, before: HandoffRecord, hasGoneOn: Bool, on channel: ChannelID,
        at now: Now
    ) throws -> [Effect] {
        let statement = AdmissionReceipt(
            issuer: id, audience: before.peer, handoff: before.id, player: before.player, epoch: before.epoch,
            issuedAt: now.timestamp)
        let record = try ledger.admit(before.id, token: token, receipt: statement.issue(by: identity), at: now)
        var changes: [StoreChange] = [.putHandoff(record)]
        if !hasGoneOn {
            changes.append(.putPlayer(players.admit(record, state: before.snapshot)))
            changes += ledger.lighten(record.player, handedOnBy: record.peer, in: record.epoch).map { .putHandoff($0) }
        }
        let passage = Passage(
            origin: record.peer, player: record.player, decision: record.decision ?? 0, token: compact)
        if passages.put(passage) { changes.append(.putPassage(passage)) }
        changes += plantedForgetting(of: record.id)
        return [
            .persist(changes),
            .report(.handoffMoved(record.id, .destination, .admitted)),
            .notify(
                CrossingEvent(
                    handoff: record.id, player: record.player, kind: hasGoneOn ? .withdrawn : .admitted)),
        ] + receipt(of: record, on: channel)
    }

    private mutating func plantedForgetting(of id: HandoffID) -> [StoreChange] {
        plantedBug == .ledgerCompactedEarly && ledger.forget(id) ? [.removeHandoff(id)] : []
    }

    private func receipt(of record: HandoffRecord, on channel: ChannelID) -> [Effect] {
        guard var receipt = record.receipt else { return [] }
        // After a change of keys the source may believe the present one only; after a revocation no other.
        if CompactJWS.unverifiedKey(receipt) != identity.publicKey {
            receipt =
                AdmissionReceipt(
                    issuer: id, audience: record.peer, handoff: record.id, player: record.player, epoch: record.epoch,
                    issuedAt: record.changedAt
                ).issue(by: identity)
        }
        return [
            .send(.admitted(FederationFrame.HandoffAdmitted(handoff: record.id, receipt: receipt)), on: channel)
        ]
    }

    /// The source says that a handoff is over without a crossing.
    mutating func calledOff(_ handoff: HandoffID, by peer: VerifiedPeer, at now: Now) -> [Effect] {
        if let waiting = arrivals[handoff], waiting.peer == peer.serverID {
            removeArrival(handoff)
            return [.notify(CrossingEvent(handoff: handoff, player: waiting.player, kind: .withdrawn))]
        }
        guard let before = ledger.record(handoff), before.role == .destination,
            before.peer == peer.serverID || plantedBug == .strangerCallsOff, before.state == .reserved
        else { return [] }
        if plantedBug == .presumedCommit {
            let record = ledger.plantAdmission(before, at: now)
            return [.persist([.putHandoff(record), .putPlayer(players.admit(record, state: before.snapshot))])]
        }
        guard
            let record = try? ledger.abort(
                handoff, code: "handoff.withdrawn", reason: "\(peer.serverID) called the handoff off", at: now)
        else { return [] }
        return [
            .persist([.putHandoff(record)]), .report(.handoffMoved(handoff, .destination, .aborted)),
            .notify(CrossingEvent(handoff: handoff, player: record.player, kind: .withdrawn)),
        ]
    }

    /// The source has answered a query.
    mutating func receive(
        _ verdict: FederationFrame.HandoffVerdict, from peer: VerifiedPeer, on channel: ChannelID, at now: Now
    ) -> [Effect] {
        switch verdict.decision {
        case .undecided:
            return []
        case .committed(let token):
            let commit = FederationFrame.HandoffCommit(handoff: verdict.handoff, token: token)
            guard ledger.record(verdict.handoff) != nil else { return [] }
            return receive(commit, from: peer, on: channel, at: now)
        case .aborted:
            // Of an admitted handoff this says that the source has its receipt and has forgotten the rest.
            if let record = ledger.record(verdict.handoff), record.role == .destination, record.state == .admitted,
                record.peer == peer.serverID, ledger.settle(record.id)
            {
                return [.persist([.removeHandoff(record.id)])]
            }
            return calledOff(verdict.handoff, by: peer, at: now)
        }
    }

    // MARK: The player's client

    /// A client that came through a portal shows its token: once, after admission. One that proves to hold the client key to
    /// which the token is bound may show it again as long as it is valid: the first answer may have been lost, and the proof is
    /// over a challenge of its own each time.
    ///
    /// - Parameters:
    ///   - compact: the token as the source gave it to the client.
    ///   - proof: the client's signature over the socket's challenge, required when the token names a client key.
    ///   - challenge: what this server sent on the socket.
    public mutating func redeem(
        _ compact: String, proof: [UInt8]?, challenge: [UInt8], at now: Now
    ) throws(Refusal) -> (PlayerRecord, [Effect]) {
        do {
            let token = try verified(compact, at: now)
            if let key = token.clientKey {
                guard let proof,
                    ClientProof.isValid(proof, challenge: challenge, handoff: token.handoff, key: key)
                else {
                    throw Refusal(
                        .forbidden, code: "token.unproven",
                        reason: "the token is bound to a client key and the proof of it is missing or wrong",
                        remedy: "sign this connection's challenge with the client's key", step: .handoff)
                }
            }
            let admitted = try ledger.redeemable(token, again: token.clientKey != nil)
            guard let player = players[admitted.player], player.isHere, player.epoch == admitted.epoch else {
                throw Refusal(
                    .conflict, code: "player.gone", reason: "\(admitted.player) has moved on since",
                    remedy: "connect to the server where the player is", step: .handoff)
            }
            guard admitted.redeemedAt == nil else { return (player, []) }
            return (player, [.persist([.putHandoff(try ledger.redeem(token, at: now))])])
        } catch let failure as HandoffLedger.Failure {
            throw failure.refusal
        } catch let refusal as Refusal {
            throw refusal
        } catch let failure as SessionToken.Failure {
            throw HandoffLedger.Failure.token(failure).refusal
        } catch {
            throw HandoffLedger.Failure.token(.malformed("unreadable")).refusal
        }
    }

    /// The undecided handoff towards this server that a genuine token speaks of; nil for anything else.
    public func reservation(for compact: String, at now: Now) -> HandoffRecord? {
        guard let token = try? verified(compact, at: now), let record = ledger.record(token.handoff),
            record.role == .destination, record.peer == token.issuer, record.state == .reserved
        else { return nil }
        return record
    }

    /// Takes back a redemption that the client was not told of, because it could not be made durable.
    public mutating func takeBackRedemption(of handoff: HandoffID) -> [Effect] {
        ledger.takeBackRedemption(of: handoff).map { [.persist([.putHandoff($0)])] } ?? []
    }

    /// The token, checked with the pinned key of the server that it names as its issuer.
    private func verified(_ compact: String, at now: Now) throws -> SessionToken {
        let issuer = try SessionToken.unverifiedIssuer(compact)
        guard let peer = verifiedPeer(issuer, at: now) else {
            let refusal = Refusal(
                .forbidden, code: "token.untrustedIssuer",
                reason: "the token comes from \(issuer), which is not trusted now",
                remedy: "the operator adds the peer, or waits until its handshake is completed", step: .handshake)
            // Whom this server has admitted already it lets in, also after a start of its own and while the source is away. By how
            // much the clocks differ is forgotten; no handshake would have borne more.
            guard isWanted(issuer), let pin = peers[issuer]?.publicKey else { throw refusal }
            let token = try SessionToken.verify(
                compact, issuer: issuer, key: key(of: issuer, provedBy: pin, for: compact, at: now), audience: id,
                at: now.timestamp, leeway: Limits.clockSkew + Limits.tokenLeeway)
            guard let record = ledger.record(token.handoff), record.state == .admitted, record.peer == issuer else {
                throw refusal
            }
            return token
        }
        return try SessionToken.verify(
            compact, issuer: issuer, key: key(of: peer, for: compact, at: now), audience: id,
            at: now.timestamp + peer.clockOffset, leeway: Limits.tokenLeeway)
    }

    /// What fits into a rejection's reason.
    static func short(_ text: String) -> String {
        var short = ""
        for character in text {
            guard short.utf8.count + character.utf8.count <= Limits.nameBytes else { break }
            short.append(character)
        }
        return short
    }
}
