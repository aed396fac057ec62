import FederationCore
import FederationCrypto
import FederationModel
import FederationWire

/// What the hostile peer sends that no honest one would: well-formed and malformed, at any time, on a channel that is trusted.
extension Simulation {
    func hostileBurst(_ random: inout SplitMix64) throws {
        for _ in 0...random.below(4) {
            let server = random.below(servers.count)
            guard hostile.channels[server] != nil else { continue }
            for _ in 0...random.below(3) { try attack(server, &random) }
            hostile.ambushes = 1 + random.below(8)
        }
    }

    private func attack(_ server: Int, _ random: inout SplitMix64) throws {
        var server = server
        let stranger = try stranger(&random)
        // Mostly one who knows the handoff.
        if random.percent(60), let crossing = crossings[stranger],
            case .server(let end) = random.oneIn(2) ? crossing.source : crossing.destination,
            hostile.channels[end] != nil
        {
            server = end
        }
        // Frames about handoffs of its own that are genuine would give players away twice.
        let isOwn = crossings[stranger].map { $0.source == .hostile || $0.destination == .hostile } ?? false
        switch random.below(26) {
        case 0, 1: try offerKnown(to: server, &random)
        case 2, 3: try offerGhost(to: server, &random)
        case 4, 5: repeatGhost(&random)
        case 6: try replay(to: server, &random)
        case 7 where !isOwn: try hostileSends(.accept(stranger), to: server)
        case 8 where !isOwn: try hostileSends(.abort(stranger), to: server)
        case 9 where !isOwn:
            let rejection = FederationFrame.HandoffRejection(handoff: stranger, code: "handoff.unknown", reason: "no")
            try hostileSends(.reject(rejection), to: server)
        case 10: try hostileSends(.query(stranger), to: server)
        case 11 where !isOwn: try commitStranger(stranger, to: server, asVerdict: random.oneIn(2))
        case 12 where !isOwn:
            try hostileSends(
                .verdict(FederationFrame.HandoffVerdict(handoff: stranger, decision: .aborted)), to: server)
        case 13 where !isOwn: try receiptForStranger(stranger, to: server)
        case 14: garbage(to: server, &random)
        case 15: try hostileSends(.ready(FederationFrame.Ready(server: servers[server].id)), to: server)
        case 16:
            try hostileSends(
                .worldRequest(FederationFrame.WorldRequest(request: random.next() >> 1, world: servers[server].world)),
                to: server)
        case 17: try recallStranger(to: server, &random)
        case 18, 20: try oldEvidence(to: server, &random)
        case 19: try hostileSends(.position(random.next() >> UInt64(random.below(64))), to: server)
        case 21: try contradictGhost(to: server, &random)
        case 22: try contradictOwn(&random)
        case 23, 24: try makeUp(to: server, &random)
        default:
            try hostileSends(
                .acknowledgement(FederationFrame.Heartbeat(sequence: random.next() >> 1, sentAt: now.timestamp)),
                to: server)
        }
    }

    /// A place has just been kept for a stranger: the hostile peer speaks before the source can.
    func ambush(_ crossing: SimulatedCrossing) throws {
        guard hostile.ambushes > 0, case .server(let source) = crossing.source,
            case .server(let destination) = crossing.destination
        else { return }
        hostile.ambushes -= 1
        let id = crossing.id
        switch hostile.random.below(6) {
        case 0: try hostileSends(.abort(id), to: destination)
        case 1:
            try hostileSends(
                .verdict(FederationFrame.HandoffVerdict(handoff: id, decision: .aborted)), to: destination)
        case 2: try commitStranger(id, to: destination, asVerdict: hostile.random.oneIn(2))
        case 3: try hostileSends(.accept(id), to: source)
        case 4:
            let rejection = FederationFrame.HandoffRejection(handoff: id, code: "handoff.unknown", reason: "no")
            try hostileSends(.reject(rejection), to: source)
        default: try receiptForStranger(id, to: source)
        }
    }

    /// A handoff that somebody has begun, often one of the last.
    private func stranger(_ random: inout SplitMix64) throws -> HandoffID {
        guard let last = recent.last else { return try hostile.newHandoff() }
        switch random.below(3) {
        case 0: return random.pick(recent)
        case 1: return recent[recent.count - 1 - random.below(min(4, recent.count))]
        default: return last
        }
    }

    /// An offer of a player whom the server knows: it has them, or has seen that epoch. It must be refused.
    private func offerKnown(to server: Int, _ random: inout SplitMix64) throws {
        let number = random.below(players.count)
        let player = players[number].id
        guard hostile.wards[number] == nil, servers[server].isUp,
            let known = servers[server].node.players[player]
        else { return }
        let epoch: Epoch
        switch known.presence {
        case .playable, .departing, .left:
            let age = UInt64(random.below(1_000))
            epoch = Epoch(known.epoch.number > age ? known.epoch.number - age : 1)
        case .departed, .recalled: epoch = Epoch(1 + UInt64(random.below(Int(min(known.epoch.number, 1 << 40)))))
        }
        let state = SimulatedPlayer.state(0)
        let handoff = try hostile.newHandoff()
        forged.insert(handoff)
        let token = hostileToken(handoff, player, to: server, epoch: epoch, revision: 1 << 40, state: state)
        try hostileSends(
            .offer(FederationFrame.HandoffOffer(handoff: handoff, token: token, snapshot: state)), to: server)
    }

    /// An offer in its own name, often decided in the same breath; several servers may be offered the same.
    private func offerGhost(to server: Int, _ random: inout SplitMix64) throws {
        let player = Self.ghost(random.below(HostilePeer.ghosts), of: hostile)
        let state = SimulatedPlayer.state(UInt64(random.below(100)))
        let handoff = try hostile.newHandoff()
        let epoch = Epoch(UInt64(2 + random.below(1_000_000)))
        let token = hostileToken(handoff, player, to: server, epoch: epoch, revision: 1, state: state)
        let offer = FederationFrame.offer(
            FederationFrame.HandoffOffer(handoff: handoff, token: token, snapshot: state))
        hostile.decisions[server, default: 0] += 1
        let decided = hostileToken(
            handoff, player, to: server, epoch: epoch, revision: 1, state: state, decision: hostile.decisions[server])
        let commit = FederationFrame.commit(FederationFrame.HandoffCommit(handoff: handoff, token: decided))
        try hostileSends(offer, to: server)
        hostile.ghostFrames.append((server, try FrameCodec.encode(offer)))
        if random.percent(60) {
            try hostileSends(commit, to: server)
            hostile.ghostFrames.append((server, try FrameCodec.encode(commit)))
            if random.oneIn(2) { try hostileSends(offer, to: server) }
        }
        if hostile.ghostFrames.count > 24 { hostile.ghostFrames.removeFirst(8) }
    }

    private func repeatGhost(_ random: inout SplitMix64) {
        guard !hostile.ghostFrames.isEmpty else { return }
        let ghost = random.pick(hostile.ghostFrames)
        note(.hostile, ghost.server, 200) { "mallory repeats a ghost's frame to \(servers[ghost.server].id)" }
        hostileSends(ghost.bytes, to: ghost.server)
    }

    /// Something that it has sent or received before, to anybody.
    private func replay(to server: Int, _ random: inout SplitMix64) throws {
        guard !hostile.seen.isEmpty else { return }
        let bytes = random.pick(hostile.seen)
        guard let frame = try? FrameCodec.decode(bytes) else { return }
        // Its own word about its own players is its own to give: repeated late it would be a decision that it did not take.
        if let handoff = frame.handoff, let crossing = crossings[handoff],
            crossing.source == .hostile || crossing.destination == .hostile
        {
            return
        }
        note(.hostile, server, UInt64(100 + frame.kind)) { "mallory repeats \(frame.label) to \(servers[server].id)" }
        hostileSends(bytes, to: server)
    }

    /// Others' players, whom only their home servers may take back.
    private func recallStranger(to server: Int, _ random: inout SplitMix64) throws {
        let number = random.below(players.count)
        let epoch = Epoch(1 + random.next() >> UInt64(16 + random.below(48)))
        let recalled = FederationFrame.RecalledPlayer(player: players[number].id, epoch: min(epoch, .last))
        try hostileSends(.recall([recalled]), to: server)
    }

    /// Proofs that the server knows already, out of order, and those that other servers have signed.
    private func oldEvidence(to server: Int, _ random: inout SplitMix64) throws {
        let proofs = hostile.proofs[random.percent(80) ? server : random.below(servers.count), default: [:]]
        let tokens = proofs.keys.sorted().compactMap { proofs[$0]?.token }.prefix(Limits.evidenceTokens)
        guard !tokens.isEmpty else { return }
        let shown = random.oneIn(2) ? Array(tokens.reversed()) : [random.pick(Array(tokens))]
        try hostileSends(.evidence(shown), to: server)
    }

    private func commitStranger(_ handoff: HandoffID, to server: Int, asVerdict: Bool) throws {
        guard let crossing = crossings[handoff] else { return }
        let token = hostileToken(
            handoff, players[crossing.player].id, to: server, epoch: crossing.epoch, revision: crossing.revision,
            state: crossing.state, decision: 1 << 20)
        if asVerdict {
            try hostileSends(
                .verdict(FederationFrame.HandoffVerdict(handoff: handoff, decision: .committed(token: token))),
                to: server)
        } else {
            try hostileSends(.commit(FederationFrame.HandoffCommit(handoff: handoff, token: token)), to: server)
        }
    }

    private func receiptForStranger(_ handoff: HandoffID, to server: Int) throws {
        guard let crossing = crossings[handoff] else { return }
        let receipt = AdmissionReceipt(
            issuer: hostile.identity.id, audience: servers[server].id, handoff: handoff,
            player: players[crossing.player].id, epoch: crossing.epoch, issuedAt: now.timestamp
        ).issue(by: hostile.identity)
        try hostileSends(
            .admitted(FederationFrame.HandoffAdmitted(handoff: handoff, receipt: receipt)), to: server)
    }
}
