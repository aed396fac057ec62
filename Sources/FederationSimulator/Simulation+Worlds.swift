import FederationCore
import FederationCrypto
import FederationModel

/// World servers and clients: they save, walk through portals, call off, and show tokens.
extension Simulation {
    /// Simulated time after which a rest begins, however few have crossed.
    private static let longestRound = 3_600 * Span.second

    /// The server at which a world may play the player now, if it can be reached.
    private func host(of number: Int) -> SimulatedServer? {
        let player = players[number]
        let home = servers[player.home]
        // The player was taken back, and another copy may not have heard of it: both are tried.
        if player.lastSeen != player.home, answers(home), case .left? = home.node.players[player.id]?.presence,
            worlds.oneIn(2)
        {
            players[number].lastSeen = player.home
            return nil
        }
        let last = servers[player.lastSeen]
        if answers(last), last.node.players[player.id]?.presence == .playable { return last }
        for server in servers where answers(server) && server.node.players[player.id]?.presence == .playable {
            players[number].lastSeen = server.index
            return server
        }
        return nil
    }

    /// A player does the next thing.
    func act(_ number: Int) throws {
        let pause = 20 * Span.millisecond + worlds.below(160 * Span.millisecond)
        events.schedule(.act(player: number), at: time + pause)
        guard restingSince == nil else { return }
        // A restored backup can leave nobody who could cross: only at rest the homes take back whom it has lost.
        if time - roundBegan > Self.longestRound { return try beginRest() }
        guard let server = host(of: number) else { return try enterAgain(number) }
        switch worlds.below(100) {
        case ..<24: try save(number, at: server)
        case ..<28: try saveStale(number, hostedBy: server)
        case ..<31: try leave(number, at: server)
        case ..<38: try look(from: server)
        default: if isReleased(server) { try depart(number, from: server) }
        }
    }

    private func save(_ number: Int, at server: SimulatedServer) throws {
        guard !server.hasFailed else { return }
        let player = players[number].id
        let counter = players[number].written + 1
        let epoch = server.node.players[player]?.epoch
        let effects: [Effect]
        do {
            effects = try server.node.enter(
                player, world: server.world, state: SimulatedPlayer.state(counter), clientKey: nil, epoch: epoch
            ).1
        } catch {
            return note(.refused, number, counter) {
                "\(server.id): save \(counter) of \(player) refused: \(error.code)"
            }
        }
        players[number].written = counter
        note(.act, number, counter) { "\(server.id): \(player) saves \(counter)" }
        try commit(effects, for: save(of: number, counter, at: server), at: server)
    }

    private func save(of number: Int, _ counter: UInt64, at server: SimulatedServer) -> SimulatedCall {
        let epoch = server.node.players[players[number].id]?.epoch ?? .first
        return .save(
            player: number, counter: counter, epoch: epoch, isGhost: isGhost(number, epoch, at: server))
    }

    /// A world that has missed that the player is frozen, gone, or back: it writes what it remembers.
    private func saveStale(_ number: Int, hostedBy host: SimulatedServer) throws {
        let player = players[number].id
        let server = servers[worlds.below(servers.count)]
        guard answers(server), !server.hasFailed, let known = server.node.players[player] else { return }
        let age = UInt64(1 + worlds.below(2))
        let old = Epoch(known.epoch.number > age ? known.epoch.number - age : 1)
        guard old < known.epoch || server !== host else { return }
        let counter = players[number].acknowledged / 2
        guard
            let effects = try? server.node.enter(
                player, world: server.world, state: SimulatedPlayer.state(counter), clientKey: nil, epoch: old
            ).1
        else { return }
        note(.act, number, counter) { "\(server.id): \(player) is saved stale: \(counter) in epoch \(old)" }
        try commit(effects, for: .other, at: server)
    }

    /// A world that writes although the player is frozen.
    private func saveFrozen(_ number: Int, at server: SimulatedServer) throws {
        guard answers(server), !server.hasFailed, let known = server.node.players[players[number].id] else { return }
        let counter = players[number].written + 1
        guard
            let effects = try? server.node.enter(
                known.player, world: server.world, state: SimulatedPlayer.state(counter), clientKey: nil,
                epoch: known.epoch
            ).1
        else { return }
        players[number].written = counter
        note(.act, number, counter) { "\(server.id): frozen \(known.player) saves \(counter)" }
        try commit(effects, for: save(of: number, counter, at: server), at: server)
    }

    private func leave(_ number: Int, at server: SimulatedServer) throws {
        guard !server.hasFailed else { return }
        guard
            let (_, effects) = try? server.node.leave(
                players[number].id, world: server.world, epoch: server.node.players[players[number].id]?.epoch)
        else { return }
        note(.act, number, 0) { "\(server.id): \(players[number].id) leaves" }
        try commit(effects, for: .other, at: server)
    }

    /// The player plays nowhere: one who has left, or has never been here, enters.
    private func enterAgain(_ number: Int) throws {
        let player = players[number]
        let server = servers[player.lastSeen]
        guard answers(server), !server.hasFailed else { return }
        let known = server.node.players[player.id]
        switch known?.presence {
        case .left?: break
        case nil: guard server.index == player.home else { return }
        case .departing?:
            if worlds.percent(30) { try saveFrozen(number, at: server) }
            return
        case .playable?, .departed?, .recalled?: return
        }
        let counter = player.written + 1
        guard
            let effects = try? server.node.enter(
                player.id, world: server.world, state: SimulatedPlayer.state(counter), clientKey: nil,
                epoch: known?.epoch
            ).1
        else { return }
        players[number].written = counter
        note(.act, number, counter) { "\(server.id): \(player.id) enters with \(counter)" }
        try commit(effects, for: save(of: number, counter, at: server), at: server)
    }

    // MARK: Crossings

    private func depart(_ number: Int, from server: SimulatedServer) throws {
        guard !server.hasFailed else { return }
        var peer = worlds.below(servers.count - 1)
        if peer >= server.index { peer += 1 }
        // Now and then to the hostile peer, which keeps to the protocol as far as players' whereabouts go.
        if worlds.oneIn(40) { peer = servers.count }
        let player = players[number].id
        var bytes = entropy.bytes(8)
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: report.crossings >> shift))
        }
        guard let id = HandoffID(bytes: bytes), let record = server.node.players[player] else { return }
        let effects: [Effect]
        do {
            effects = try server.node.depart(
                player, epoch: record.epoch, through: Self.portal(to: serverID(peer)), to: serverID(peer), as: id,
                assets: manifests[peer], at: now(of: server))
        } catch {
            return note(.refused, number, UInt64(peer)) { "\(server.id): \(player) may not depart: \(error.code)" }
        }
        try checkRoute(from: server, to: peer)
        begin(
            SimulatedCrossing(
                number: report.crossings, round: round, id: id, player: number, source: .server(server.index),
                destination: peer == servers.count ? .hostile : .server(peer), epoch: record.epoch.next ?? .last,
                revision: record.revision, state: record.state))
        beginWait(id, at: server)
        note(.act, number, UInt64(peer)) {
            "\(server.id): \(player) departs to \(serverID(peer)) #\(report.crossings - 1)"
        }
        try commit(effects, for: .other, at: server)
        if worlds.percent(6) {
            events.schedule(
                .callOff(server: server.index, id), at: time + worlds.below(12 * Span.millisecond))
        }
        if roundCrossings >= options.crossingsPerRound || report.crossings >= options.crossings { try beginRest() }
    }

    /// Somebody asks where a portal leads.
    private func look(from server: SimulatedServer) throws {
        var peer = worlds.below(servers.count)
        if peer >= server.index { peer += 1 }
        guard (try? server.node.resolve(Self.portal(to: serverID(peer)), at: now(of: server))) != nil else { return }
        try checkRoute(from: server, to: peer)
    }

    /// A handoff is on its way.
    func begin(_ crossing: SimulatedCrossing) {
        crossings[crossing.id] = crossing
        recent.append(crossing.id)
        if recent.count > 64 { recent.removeFirst(32) }
        report.crossings += 1
        roundCrossings += 1
    }

    func callOff(_ handoff: HandoffID, at server: SimulatedServer) throws {
        guard answers(server), !server.hasFailed else { return }
        guard let effects = try? server.node.callOff(handoff, at: now(of: server)) else { return }
        note(.act, server.index, number(of: handoff)) { "\(server.id): #\(number(of: handoff)) is called off" }
        try commit(effects, for: .other, at: server)
    }

    // MARK: Clients

    /// What the server tells the player and the worlds.
    func tell(_ event: CrossingEvent, at server: SimulatedServer) throws {
        guard let handoff = event.handoff else { return }
        note(.told, server.index, number(of: handoff)) {
            "\(server.id) tells #\(number(of: handoff)): \(event.kind.label)"
        }
        if case .arriving = event.kind { return arriving(handoff, at: server) }
        guard case .committed(_, let token) = event.kind, let crossing = crossings[handoff],
            case .server(let destination) = crossing.destination, worlds.percent(50)
        else { return }
        let late = worlds.oneIn(40) ? worlds.below(150 * Span.second) : worlds.below(40 * Span.millisecond)
        events.schedule(
            .redeem(
                Redemption(handoff: handoff, token: token, source: server.index, destination: destination)),
            at: time + late)
    }

    func redeem(_ redemption: Redemption) throws {
        var next = redemption
        next.attempt += 1
        let server = servers[redemption.destination]
        guard answers(server), !server.hasFailed else {
            if next.attempt < 8 { events.schedule(.redeem(next), at: time + Span.second) }
            return
        }
        let effects: [Effect]
        do {
            effects = try server.node.redeem(
                redemption.token, proof: nil, challenge: [], at: now(of: server)
            ).1
        } catch {
            note(.refused, server.index, number(of: redemption.handoff)) {
                "\(server.id): token #\(number(of: redemption.handoff)) refused: \(error.code)"
            }
            guard next.attempt < 4 else { return }
            // The client comes back for a fresh token.
            let source = servers[redemption.source]
            if answers(source), let fresh = source.node.redirectToken(for: redemption.handoff, at: now(of: source)) {
                next.token = fresh.token
            }
            let pause = next.attempt == 1 ? 10 * Span.millisecond : Span.second
            return events.schedule(.redeem(next), at: time + pause)
        }
        note(.act, server.index, number(of: redemption.handoff)) {
            "\(server.id): token #\(number(of: redemption.handoff))"
        }
        try commit(effects, for: .redeem(redemption.handoff), at: server)
        // Another client, or the same one again, shows it once more; that must never work.
        if worlds.percent(50) {
            next.attempt = 4
            events.schedule(.redeem(next), at: time + worlds.below(6 * Span.second))
        }
    }

    /// A client was told that its token was taken.
    func redeemed(_ handoff: HandoffID, at server: SimulatedServer) throws {
        note(.told, server.index, number(of: handoff)) { "\(server.id): token #\(number(of: handoff)) is taken" }
        report.redeemed += 1
        guard let crossing = crossings[handoff] else { return }
        crossing.redemptions += 1
        guard crossing.redemptions == 1 else {
            throw violated(.oneRedemption, "the token of #\(crossing.number) was taken \(crossing.redemptions) times")
        }
    }
}
