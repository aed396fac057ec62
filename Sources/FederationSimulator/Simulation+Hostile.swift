import FederationCore
import FederationCrypto
import FederationModel
import FederationWire

/// What the hostile peer receives, and how it deals with the players whom it really has.
extension Simulation {
    func hostileReceives(_ message: SimulatedWire.Message, over wire: SimulatedWire, first: Bool) throws {
        guard wire.party(first: first) == .hostile else { return try impostorReceives(message, over: wire) }
        guard case .server(let server) = wire.party(first: !first) else { return }
        let channel = wire.channel(first: first)
        switch message {
        case .opened:
            guard wire.isOpen else { return }
            // Frames before any handshake, now and then.
            if hostile.random.oneIn(16), !hostile.seen.isEmpty {
                send(.frame(hostile.random.pick(hostile.seen)), over: wire, toFirst: !first)
            }
            let hello = try? hostile.handshakes.initiate(
                channel, direction: .incoming, expecting: nil, entropy: HandshakeEntropy(using: &hostile.random),
                at: now)
            if let hello { send(.handshake(hello), over: wire, toFirst: !first) }
        case .handshake(let bytes):
            let known = servers[server].identity
            let step = try? hostile.handshakes.receive(bytes, on: channel, at: now) { id in
                id == known.id ? .bound(known.publicKey) : .unknown
            }
            switch step {
            case .send(let message)?: send(.handshake(message), over: wire, toFirst: !first)
            case .sendAll(let messages)?:
                for message in messages { send(.handshake(message), over: wire, toFirst: !first) }
            case .completed?:
                _ = hostile.handshakes.takeRecords(for: channel)
                wire.isEstablished.1 = true
                hostile.channels[server] = wire.number
                try goOn(with: server)
            case nil: close(wire, first: first)
            }
        case .frame(let bytes):
            hostile.remember(bytes)
            if let frame = try? FrameCodec.decode(bytes) { try hostileReceives(frame, of: server) }
        case .closed:
            hostile.handshakes.close(channel)
            if hostile.channels[server] == wire.number { hostile.channels[server] = nil }
            if wire.isOpen { close(wire, first: first) }
            wire.update(toFirst: first) { $0.keep(0) }
            if wire.toFirst.isEmpty, wire.toSecond.isEmpty { wires[wire.number] = nil }
        }
    }

    private func impostorReceives(_ message: SimulatedWire.Message, over wire: SimulatedWire) throws {
        guard let imposture = hostile.impostures[wire.number], case .server(let server) = wire.ends.1 else { return }
        let victim = servers[server].identity
        switch message {
        case .opened:
            let hello = try? imposture.handshakes.initiate(
                wire.channel(first: true), direction: .outgoing, expecting: victim.id,
                entropy: HandshakeEntropy(using: &hostile.random), at: now)
            if let hello { send(.handshake(hello), over: wire, toFirst: false) }
        case .handshake(let bytes):
            let step = try? imposture.handshakes.receive(bytes, on: wire.channel(first: true), at: now) { _ in
                .bound(victim.publicKey)
            }
            switch step {
            case .send(let message)?: send(.handshake(message), over: wire, toFirst: false)
            case .sendAll(let messages)?:
                for message in messages { send(.handshake(message), over: wire, toFirst: false) }
            case .completed?, nil: close(wire, first: true)
            }
        case .frame: break
        case .closed:
            hostile.impostures[wire.number] = nil
            if wire.isOpen { close(wire, first: true) }
            wire.update(toFirst: true) { $0.keep(0) }
            if wire.toSecond.isEmpty { wires[wire.number] = nil }
        }
    }

    /// Sends bytes to a server in the hostile peer's name; lost when there is no channel.
    func hostileSends(_ bytes: [UInt8], to server: Int) {
        guard let number = hostile.channels[server], let wire = wires[number], wire.isOpen else { return }
        send(.frame(bytes), over: wire, toFirst: wire.ends.0 != .hostile)
    }

    func hostileSends(_ frame: FederationFrame, to server: Int) throws {
        note(.hostile, server, UInt64(frame.kind)) {
            "mallory sends \(servers[server].id) \(frame.label) \(frame.handoff.map { "#\(number(of: $0))" } ?? "")"
        }
        let bytes = try FrameCodec.encode(frame)
        hostile.remember(bytes)
        hostileSends(bytes, to: server)
    }

    // MARK: Frames

    private func hostileReceives(_ frame: FederationFrame, of server: Int) throws {
        switch frame {
        case .heartbeat(let heartbeat):
            if !hostile.random.oneIn(20) { try hostileSends(.acknowledgement(heartbeat), to: server) }
        case .offer(let offer): try hostileReceives(offer: offer.handoff, of: server)
        case .commit(let commit): try hostileReceives(decision: commit.handoff, commit.token, of: server)
        case .verdict(let verdict):
            switch verdict.decision {
            case .undecided: break
            case .committed(let token): try hostileReceives(decision: verdict.handoff, token, of: server)
            case .aborted: hostileForgets(verdict.handoff, byWordOf: server)
            }
        case .abort(let handoff): hostileForgets(handoff, byWordOf: server)
        case .query(let handoff): try hostileAnswers(query: handoff, of: server)
        case .accept(let handoff): try hostileDecides(handoff, for: server)
        case .reject(let rejection): try hostileReceives(rejection, of: server)
        case .admitted(let admitted): try hostileCompletes(admitted.handoff, receipt: admitted.receipt, of: server)
        case .ready, .acknowledgement, .worldRequest, .worldResponse, .assetRequest, .assetResponse: break
        case .position(let position): try hostileProves(after: position, to: server)
        case .recall(let recalled):
            for one in recalled where one.player.home == servers[server].id { try hostileGivesUp(one) }
        case .probe(let probe):
            // A witness that says what it likes, or nothing.
            guard hostile.random.percent(75) else { return }
            let result = FederationFrame.ProbeResult(request: probe.request, reached: hostile.random.oneIn(2))
            try hostileSends(.probeResult(result), to: server)
        case .evidence, .notice, .introductions, .probeResult: break
        }
    }

    /// A player is offered: taken, refused, or left waiting.
    private func hostileReceives(offer handoff: HandoffID, of server: Int) throws {
        guard let crossing = crossings[handoff], crossing.destination == .hostile, crossing.source == .server(server)
        else { return }
        switch crossing.destinationState {
        case .reserved?: return try hostileSends(.accept(handoff), to: server)
        case .admitted?: return try hostileReceives(decision: handoff, nil, of: server)
        case .aborted?: return try hostileRefuses(crossing, of: server)
        case .prepared?, .committed?, .completed?: return
        case nil: break
        }
        if isRecalled(crossing) { return try hostileRefuses(crossing, of: server) }
        switch restingSince == nil ? hostile.random.below(10) : 9 {
        case ..<6:
            crossing.destinationState = .reserved
            hostile.accepted[handoff] = (
                crossing.player,
                HostilePeer.Ward(epoch: crossing.epoch, revision: crossing.revision, state: crossing.state)
            )
            try hostileSends(.accept(handoff), to: server)
        case ..<8: break
        default:
            try hostileSends(
                .reject(FederationFrame.HandoffRejection(handoff: handoff, code: "world.full", reason: "no")),
                to: server)
        }
    }

    /// A player is the hostile peer's now. It says so, after one or two receipts that are not worth anything.
    private func hostileReceives(decision handoff: HandoffID, _ token: String?, of server: Int) throws {
        guard let crossing = crossings[handoff], crossing.destination == .hostile, crossing.source == .server(server)
        else { return }
        if let (player, ward) = hostile.accepted.removeValue(forKey: handoff) {
            crossing.destinationState = .admitted
            crossing.wasAdmitted = true
            let wrong = model.admit(player, as: handoff, at: .hostile, epoch: crossing.epoch)
            if let wrong { throw violated(.modelAgrees, wrong) }
            // An older copy is void beside a newer one, whichever comes last.
            if hostile.wards[player].map({ $0.epoch < ward.epoch }) ?? true { hostile.wards[player] = ward }
            hostileKeeps(token, of: player, from: server)
            for _ in 0..<hostile.random.below(3) { try hostileForges(crossing, to: server) }
            guard restingSince != nil || hostile.random.percent(60) else { return }
        }
        guard crossing.destinationState == .admitted else { return try hostileRefuses(crossing, of: server) }
        let receipt = receipt(of: crossing, epoch: crossing.epoch, audience: server)
        crossing.receipts.append(receipt)
        try hostileSends(
            .admitted(FederationFrame.HandoffAdmitted(handoff: handoff, receipt: receipt)), to: server)
    }

    private func receipt(of crossing: SimulatedCrossing, epoch: Epoch, audience: Int) -> String {
        AdmissionReceipt(
            issuer: hostile.identity.id, audience: serverID(audience), handoff: crossing.id,
            player: players[crossing.player].id, epoch: epoch, issuedAt: now.timestamp
        ).issue(by: hostile.identity)
    }

    /// A receipt that proves nothing.
    private func hostileForges(_ crossing: SimulatedCrossing, to server: Int) throws {
        let receipt: String
        switch hostile.random.below(4) {
        case 0: receipt = self.receipt(of: crossing, epoch: crossing.epoch.next ?? .first, audience: server)
        case 1: receipt = self.receipt(of: crossing, epoch: crossing.epoch, audience: (server + 1) % servers.count)
        case 2:
            let genuine = self.receipt(of: crossing, epoch: crossing.epoch, audience: server)
            receipt = String(genuine.dropLast(8)) + "AAAAAAAA"
        default: receipt = "none"
        }
        try hostileSends(
            .admitted(FederationFrame.HandoffAdmitted(handoff: crossing.id, receipt: receipt)), to: server)
    }

    /// Only the source's word counts: another server knows nothing of the handoff, and presumes that it was aborted.
    private func hostileForgets(_ handoff: HandoffID, byWordOf server: Int) {
        guard crossings[handoff]?.source == .server(server), hostile.accepted.removeValue(forKey: handoff) != nil else {
            return
        }
        crossings[handoff]?.destinationState = .aborted
    }

    // MARK: Giving players back

    // MARK: Recalls and backups

    private func isRecalled(_ crossing: SimulatedCrossing) -> Bool {
        hostile.recalls[crossing.player].map { crossing.epoch < $0 } ?? false
    }

    /// No place is kept: the player was taken back, or the offer is to be made again.
    private func hostileRefuses(_ crossing: SimulatedCrossing, of server: Int) throws {
        let code = isRecalled(crossing) ? "player.recalled" : "handoff.unknown"
        if code == "handoff.unknown", crossing.destinationState == .aborted { crossing.destinationState = nil }
        try hostileSends(
            .reject(FederationFrame.HandoffRejection(handoff: crossing.id, code: code, reason: "no")), to: server)
    }

    private func hostileKeeps(_ token: String?, of player: Int, from server: Int) {
        guard let token,
            let decision = try? SessionToken.verify(
                token, issuer: servers[server].id, key: servers[server].identity.publicKey,
                audience: hostile.identity.id, at: now.timestamp, leeway: .seconds(1 << 30)
            ).decision
        else { return }
        let proof = HostilePeer.Proof(decision: decision, player: player, token: token)
        hostile.proofs[server, default: [:]][player] = proof
    }

    /// A server says how many handoffs towards the hostile peer it remembers: as an honest one would, it shows the others.
    private func hostileProves(after position: UInt64, to server: Int) throws {
        let lost = hostile.proofs[server, default: [:]].values.filter { $0.decision > position }
            .sorted { $0.decision < $1.decision }
        for start in stride(from: 0, to: lost.count, by: Limits.evidenceTokens) {
            let tokens = lost[start...].prefix(Limits.evidenceTokens).map(\.token)
            try hostileSends(.evidence(Array(tokens)), to: server)
        }
    }

    /// A home server has taken a player back: as an honest one would, the hostile peer gives its copy up.
    private func hostileGivesUp(_ recalled: FederationFrame.RecalledPlayer) throws {
        guard let player = playerNumbers[recalled.player],
            hostile.recalls[player].map({ $0 < recalled.epoch }) ?? true
        else { return }
        hostile.recalls[player] = recalled.epoch
        for handoff in hostile.accepted.keys.sorted() {
            guard let crossing = crossings[handoff], crossing.player == player, isRecalled(crossing) else { continue }
            hostile.accepted[handoff] = nil
            crossing.destinationState = .aborted
        }
        guard let ward = hostile.wards[player], ward.epoch < recalled.epoch else { return }
        guard let leaving = ward.leaving, let crossing = crossings[leaving.handoff] else {
            hostile.wards[player] = nil
            return
        }
        if leaving.isCommitted {
            hostile.wards[player]?.isVoid = true
        } else {
            crossing.sourceState = .aborted
            report.aborted += 1
            hostile.wards[player] = nil
            try hostileSends(.abort(crossing.id), to: leaving.destination)
        }
    }

    /// Once in a while: players whom it has are offered to somebody, and what is open is said again.
    func hostileTurn() throws {
        events.schedule(.hostile, at: time + 300 * Span.millisecond + hostile.random.below(700 * Span.millisecond))
        for player in hostile.wards.keys.sorted() {
            guard let ward = hostile.wards[player] else { continue }
            if let leaving = ward.leaving {
                try hostileRepeats(leaving, of: player, ward)
            } else if restingSince == nil, hostile.random.percent(40) {
                try hostileOffers(player, ward)
            }
        }
        for handoff in hostile.accepted.keys.sorted() {
            guard case .server(let source)? = crossings[handoff]?.source else { continue }
            try hostileSends(.query(handoff), to: source)
        }
    }

    private func hostileOffers(_ player: Int, _ ward: HostilePeer.Ward) throws {
        let server = hostile.random.below(servers.count)
        guard hostile.channels[server] != nil else { return }
        let handoff = try hostile.newHandoff()
        hostile.wards[player]?.leaving = HostilePeer.Leaving(handoff: handoff, destination: server)
        let crossing = SimulatedCrossing(
            number: report.crossings, round: round, id: handoff, player: player, source: .hostile,
            destination: .server(server),
            epoch: ward.epoch.next ?? .last, revision: ward.revision, state: ward.state)
        crossing.sourceState = .prepared
        begin(crossing)
        try hostileSends(try offer(crossing), to: server)
    }

    /// Says again what is open with a server.
    private func goOn(with server: Int) throws {
        for player in hostile.wards.keys.sorted() {
            guard let ward = hostile.wards[player], let leaving = ward.leaving, leaving.destination == server else {
                continue
            }
            try hostileRepeats(leaving, of: player, ward)
        }
    }

    private func hostileRepeats(_ leaving: HostilePeer.Leaving, of player: Int, _ ward: HostilePeer.Ward) throws {
        guard let crossing = crossings[leaving.handoff] else { return }
        try hostileSends(leaving.isCommitted ? commit(crossing) : try offer(crossing), to: leaving.destination)
    }

    private func hostileDecides(_ handoff: HandoffID, for server: Int) throws {
        guard let crossing = crossings[handoff], crossing.source == .hostile, crossing.destination == .server(server),
            let leaving = hostile.wards[crossing.player]?.leaving, leaving.handoff == handoff
        else { return }
        if !leaving.isCommitted {
            guard crossing.destinationState == .reserved else {
                // A server restored since may have accepted before; and a recall may have ended what was accepted.
                if crossing.isTouched || model.players[crossing.player].term > crossing.epoch.term { return }
                throw violated(
                    .decisionFollowsReservation, "\(serverID(server)) accepts #\(crossing.number) before it is durable")
            }
            hostile.wards[crossing.player]?.leaving?.isCommitted = true
            hostile.decisions[server, default: 0] += 1
            crossing.decision = hostile.decisions[server]
            crossing.sourceState = .committed
            report.committed += 1
            crossing.wasDecided = true
            if let wrong = model.commit(crossing.player, as: handoff, from: .hostile, epoch: crossing.epoch) {
                throw violated(.modelAgrees, wrong)
            }
        }
        try hostileSends(commit(crossing), to: server)
    }

    private func hostileReceives(_ rejection: FederationFrame.HandoffRejection, of server: Int) throws {
        guard let crossing = crossings[rejection.handoff], crossing.source == .hostile,
            crossing.destination == .server(server), let leaving = hostile.wards[crossing.player]?.leaving,
            leaving.handoff == rejection.handoff
        else { return }
        if leaving.isCommitted {
            if rejection.code == "handoff.unknown" { try hostileSends(try offer(crossing), to: server) }
            guard rejection.code == "player.recalled", isRecalled(crossing) else { return }
            crossing.sourceState = .aborted
            hostile.wards[crossing.player] = nil
            return
        }
        hostile.wards[crossing.player]?.leaving = nil
        crossing.sourceState = .aborted
        report.aborted += 1
        try hostileSends(.abort(crossing.id), to: server)
    }

    private func hostileCompletes(_ handoff: HandoffID, receipt: String, of server: Int) throws {
        guard let crossing = crossings[handoff], crossing.source == .hostile, crossing.destination == .server(server),
            let leaving = hostile.wards[crossing.player]?.leaving, leaving.handoff == handoff, leaving.isCommitted
        else { return }
        crossing.sourceState = .completed
        hostile.wards[crossing.player] = nil
        // A late duplicate, as if the offer had been on its way all the time.
        if hostile.random.oneIn(2) { try hostileSends(try offer(crossing), to: server) }
    }

    private func hostileAnswers(query handoff: HandoffID, of server: Int) throws {
        let decision: FederationFrame.HandoffVerdict.Decision
        if let crossing = crossings[handoff], crossing.source == .hostile {
            switch crossing.sourceState {
            case .committed?, .completed?: decision = .committed(token: token(of: crossing))
            case .prepared?: decision = .undecided
            case .aborted?, .reserved?, .admitted?, nil: decision = .aborted
            }
        } else {
            decision = .aborted
        }
        try hostileSends(
            .verdict(FederationFrame.HandoffVerdict(handoff: handoff, decision: decision)), to: server)
    }

    // MARK: Frames that are as they should be

    private func offer(_ crossing: SimulatedCrossing) throws -> FederationFrame {
        .offer(
            FederationFrame.HandoffOffer(handoff: crossing.id, token: token(of: crossing), snapshot: crossing.state))
    }

    private func commit(_ crossing: SimulatedCrossing) -> FederationFrame {
        .commit(FederationFrame.HandoffCommit(handoff: crossing.id, token: token(of: crossing)))
    }

    private func token(of crossing: SimulatedCrossing) -> String {
        let destination = peerNumber(of: crossing.destination).map { $0 < servers.count ? $0 : 0 } ?? 0
        return hostileToken(
            crossing.id, players[crossing.player].id, to: destination, epoch: crossing.epoch,
            revision: crossing.revision,
            state: crossing.state, decision: crossing.decision)
    }

    func hostileToken(
        _ handoff: HandoffID, _ player: PlayerID, to server: Int, epoch: Epoch, revision: UInt64, state: [UInt8],
        decision: UInt64? = nil, world: Int? = nil
    ) -> String {
        SessionToken(
            issuer: hostile.identity.id, player: player, audience: servers[server].id, handoff: handoff,
            issuedAt: now.timestamp, notBefore: now.timestamp, expiresAt: now.timestamp + Limits.tokenLifetime,
            world: servers[world ?? server].world, portal: Self.portal(to: servers[server].id), epoch: epoch,
            snapshot: ContentHash.of(state), size: state.count, revision: revision, decision: decision
        ).issue(by: hostile.identity)
    }
}
