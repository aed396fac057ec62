import FederationCore
import FederationModel

/// Disks that are replaced by older copies of themselves.
///
/// One server at a time is restored between two rests, and a restore makes the copies of the other servers' disks worthless:
/// what only the restored server could have proved to them is gone (PROTOCOL.md, "After a restore").
extension Simulation {
    /// Takes a copy, or loses the power and starts from the last one.
    func backUpOrRestore(_ server: SimulatedServer, _ random: inout SplitMix64) {
        guard server.backup != nil, random.percent(60),
            !servers.contains(where: { $0 !== server && ($0.isRestored || $0.isRestoring) })
        else {
            guard !server.isRestoring else { return }
            note(.backup, server.index, 0) { "\(server.id): a copy of the disk is taken" }
            server.backup = SimulatedServer.Backup(
                tables: server.disk.durable, round: round, decisions: server.decisions, recalls: server.durableRecalls)
            return
        }
        note(.backup, server.index, 1) { "\(server.id) is to be restored from its backup" }
        server.isRestoring = true
        for other in servers where other !== server { other.backup = nil }
        crash(server, losingPower: true)
    }

    /// The disk is the copy from now on. What the copy does not hold was known to the restored server alone, or to others.
    func restore(_ server: SimulatedServer) {
        guard server.isRestoring, let backup = server.backup else { return }
        server.isRestoring = false
        server.isRestored = true
        note(.backup, server.index, 2) { "\(server.id) has its backup's disk" }
        let before = server.disk.durable
        server.disk = SimulatedDisk(restoring: backup.tables)
        server.decisions = backup.decisions
        server.durableRecalls = backup.recalls
        let party = SimulatedWire.Party.server(server.index)
        for crossing in crossings.values where crossing.source == party || crossing.destination == party {
            let record = backup.tables.handoffs[crossing.id]
            crossing.isTouched = true
            if crossing.source == party {
                crossing.sourceState = record?.state
            } else {
                crossing.destinationState = record?.state
                crossing.redemptions = record?.redeemedAt == nil ? 0 : 1
            }
        }
        model.forgetVoided()
        for player in players.indices {
            forget(player, of: server, before.players[players[player].id], backup.tables.players[players[player].id])
        }
    }

    /// What a restore makes of one player.
    private func forget(
        _ player: Int, of server: SimulatedServer, _ before: PlayerRecord?, _ after: PlayerRecord?
    ) {
        let known = model.players[player].newest
        let party = SimulatedWire.Party.server(server.index)
        if model.players[player].isUnsettled {
            // Where the player is now nobody knows who only watches; what this server had of the player may have been all.
            if let before, before.epoch != after?.epoch || before.presence != after?.presence {
                model.unsettle(player, mayBeLost: true)
            }
            return
        }
        switch known.owner {
        case .at(party):
            guard let before else { return }
            if let after, after.epoch == before.epoch, after.isHere || after.presence == .left {
                // The same stay: what was saved since is lost, and nothing else.
                let counter = SimulatedPlayer.counter(of: after.state) ?? 0
                model.rollBack(player, revision: after.revision, counter: counter)
                players[player].acknowledged = min(players[player].acknowledged, counter)
            } else {
                model.unsettle(player, mayBeLost: true)
            }
        case .crossing(let handoff):
            guard let crossing = crossings[handoff], crossing.source == party else { return }
            // Forgotten, the decision counts only if the destination has it already.
            let isKept = after.map { $0.epoch.next == crossing.epoch && ($0.isHere || $0.presence == .left) } ?? false
            if backupHolds(crossing, at: server) { return }
            model.unsettle(player, mayBeLost: !isKept)
        case .at:
            // It was handed on, and whoever was handed the player can prove it.
            break
        }
    }

    private func backupHolds(_ crossing: SimulatedCrossing, at server: SimulatedServer) -> Bool {
        server.disk.durable.handoffs[crossing.id]?.state == .committed
    }

    /// Whether the server's copy of the player is one that a restored backup has brought back.
    func isGhost(_ player: Int, _ epoch: Epoch, at server: SimulatedServer) -> Bool {
        let known = model.players[player]
        guard server.isRestored, !known.isUnsettled else { return false }
        guard let copy = known.copies[epoch.term] else { return epoch < known.newest.epoch }
        return epoch < copy.epoch
    }

    /// A peer has answered on a channel that was opened after the restore: everything it can prove has come before.
    func heard(_ peer: Int, by server: SimulatedServer) {
        guard server.awaited.remove(peer) != nil, server.awaited.isEmpty else { return }
        note(.backup, server.index, 3) { "\(server.id) has heard all its peers" }
        for player in players.indices { touchedPlayers.append(player) }
    }

    /// Whether the operator lets players travel and takes players back: not before the peers of a restored server have connected.
    func isReleased(_ server: SimulatedServer) -> Bool { server.awaited.isEmpty && !server.isRestoring }

    // MARK: Taking back

    /// The operator of a home takes one of its players back.
    func takeBack(_ server: SimulatedServer, _ random: inout SplitMix64) throws {
        guard answers(server), !server.hasFailed, isReleased(server) else { return }
        let away = players.indices.filter { number in
            guard players[number].home == server.index,
                case .departed? = server.node.players[players[number].id]?.presence
            else { return false }
            return true
        }
        guard !away.isEmpty else { return }
        // Mostly one whose host cannot be reached.
        let lost = away.filter { number in
            guard case .at(.server(let host)) = model.players[number].newest.owner else { return false }
            return server.node.channel(to: servers[host].id) == nil
        }
        let number = !lost.isEmpty && random.percent(70) ? random.pick(lost) : random.pick(away)
        try takeBack(number, at: server)
    }

    /// Whether there was somebody to take back.
    @discardableResult
    func takeBack(_ number: Int, at home: SimulatedServer) throws -> Bool {
        guard answers(home), !home.hasFailed,
            let (_, effects) = try? home.node.reclaim(players[number].id, reason: "a fault", at: now(of: home))
        else { return false }
        note(.act, number, 1 << 32) { "\(home.id) takes \(players[number].id) back" }
        report.takenBack += 1
        try commit(effects, for: .other, at: home)
        return true
    }
}
