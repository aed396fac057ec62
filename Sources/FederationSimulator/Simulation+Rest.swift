import FederationCore
import FederationModel

/// The second phase: faults stop, everything works again, and within a bounded time everything must have come to rest.
extension Simulation {
    /// Simulated time in which everything must come to rest.
    private static let patience = 600 * Span.second

    /// Faults, departures and saves stop; what is broken is repaired.
    func beginRest() throws {
        guard restingSince == nil else { return }
        restingSince = time
        note(.rest, 0, 0) { "the faults stop" }
        for one in blockedUntil.indices {
            for other in blockedUntil.indices {
                blockedUntil[one][other] = .min
                slowed[one][other] = (.min, 0)
                disturbances[one][other] = Disturbance()
            }
        }
        for server in servers {
            server.effectsToLive = nil
            server.diesAtWrite = nil
            server.wallOffset = 0
            server.diskSlowUntil = .min
            server.diskFailsUntil = .min
            server.queuesFullUntil = .min
            if server.isUp { endGuard(server, server.boot, server.guardNumber) }
        }
        events.schedule(.restCheck, at: time + Span.second)
    }

    /// Once a simulated second: repairs what operators repair, and looks whether everything is still.
    func checkRest() throws {
        guard let since = restingSince else { return }
        for server in servers {
            server.wallOffset = 0
            guard answers(server), !server.hasFailed else { continue }
            for peer in 0...servers.count where peer != server.index {
                if !server.truth[peer].isPeer { try addPeer(peer, at: server) }
                if server.truth[peer].isSuspended { try reinstate(peer, at: server) }
                if server.node.routing.route(for: Self.portal(to: serverID(peer)))?.isActive == false {
                    try setRoute(to: peer, active: true, at: server)
                }
            }
        }
        if isStill, try takeBackTheLost() {
            try checkStillness()
            return endRest(since)
        }
        guard time - since < Self.patience else { throw unrest() }
        events.schedule(.restCheck, at: time + Span.second)
    }

    private var isStill: Bool {
        guard !hostile.isBusy, lateFrames == 0 else { return false }
        return servers.allSatisfy { server in
            answers(server) && server.queue.isEmpty && !server.isDraining && server.node.ledger.openCount == 0
                && isReleased(server) && (0...servers.count).allSatisfy { isConnected(server, to: $0) }
        }
    }

    /// Whether everything that is to be said between two has been said.
    private func isConnected(_ server: SimulatedServer, to peer: Int) -> Bool {
        guard peer != server.index else { return true }
        guard let channel = server.node.channel(to: serverID(peer)) else { return false }
        let (number, first) = SimulatedWire.end(of: channel)
        guard let wire = wires[number], wire.isOpen, wire.toFirst.isEmpty, wire.toSecond.isEmpty else { return false }
        guard peer < servers.count else { return hostile.channels[server.index] == number }
        return servers[peer].node.channel(to: server.id) == wire.channel(first: !first)
    }

    /// Players whose only copy went with what a backup did not hold: their homes take them back. Whether there were none.
    private func takeBackTheLost() throws -> Bool {
        var isNobodyLost = true
        for number in players.indices where model.players[number].mayBeLost && places(of: number).isEmpty {
            let home = servers[players[number].home]
            guard home.node.players[players[number].id] != nil else { continue }
            guard try takeBack(number, at: home) else {
                throw violated(.everyoneSomewhere, "\(players[number].id) is nowhere and cannot be taken back")
            }
            isNobodyLost = false
        }
        return isNobodyLost
    }

    /// Why there is no rest.
    private func unrest() -> Violation {
        for server in servers {
            guard answers(server) else { return violated(.everyoneSomewhere, "\(server.id) does not come back") }
            for state in [HandoffState.committed, .prepared, .reserved] {
                guard let record = server.node.ledger.list(state, limit: 1).first else { continue }
                return violated(
                    .nothingOpen,
                    "\(server.id) keeps #\(number(of: record.id)) of \(record.player) with \(record.peer) \(state.rawValue)"
                )
            }
        }
        for server in servers {
            for peer in 0...servers.count where !isConnected(server, to: peer) {
                return violated(.nothingOpen, "\(server.id) and \(serverID(peer)) do not come together")
            }
        }
        return violated(.nothingOpen, hostile.isBusy ? "mallory is busy" : "queues do not empty")
    }

    private func checkStillness() throws {
        report.rests += 1
        note(.rest, 1, UInt64(report.crossings)) { "everything rests" }
        for number in players.indices {
            try check(number)
            try checkSomewhere(number)
        }
        for server in servers { try checkMemory(server) }
        // In the order in which they were begun: which of two differences is told must not depend on the process.
        for crossing in crossings.values.sorted(by: { $0.number < $1.number }) { try checkEnds(of: crossing) }
    }

    private func checkSomewhere(_ number: Int) throws {
        let player = players[number]
        let places = places(of: number)
        let known = model.players[number]
        // Who has never entered is nowhere; so is one of whom only the restored home server had heard.
        if places.isEmpty, known.newest.counter == 0, !known.isUnsettled, known.term == 0 { return }
        if places.isEmpty, known.mayBeLost, servers[player.home].node.players[player.id] == nil {
            players[number].acknowledged = 0
            players[number].lastSeen = player.home
            return model.forget(number, home: .server(player.home))
        }
        guard places.count == 1 else {
            throw violated(.everyoneSomewhere, "at rest \(player.id) is in \(places.count) places: \(places)")
        }
        if known.isUnsettled { try settle(number, at: places[0]) }
        switch model.players[number].newest.owner {
        case .crossing(let handoff):
            throw violated(.modelAgrees, "at rest \(player.id) is still crossing in #\(self.number(of: handoff))")
        case .at(let party):
            guard party == places[0] else {
                throw violated(.modelAgrees, "\(player.id) is at \(places[0]), but \(party) should have it")
            }
        }
        model.rest(number)
        let rested = model.players[number].restedEpoch
        guard rested >= known.restedEpoch else {
            throw violated(
                .epochsRise, "\(player.id) rests in epoch \(rested), and was in \(known.restedEpoch) at the last rest")
        }
    }

    /// Who has the player, in whatever way.
    private func places(of number: Int) -> [SimulatedWire.Party] {
        var places: [SimulatedWire.Party] = []
        for server in servers {
            switch server.node.players[players[number].id]?.presence {
            case .playable?, .left?, .departing?: places.append(.server(server.index))
            case .departed?, .recalled?, nil: break
            }
        }
        if hostile.wards[number] != nil { places.append(.hostile) }
        return places
    }

    /// The model takes over what has become of a player whom only a restored server knew.
    private func settle(_ number: Int, at party: SimulatedWire.Party) throws {
        let copy: ReferenceModel.Copy
        if case .server(let index) = party, let record = servers[index].node.players[players[number].id] {
            // A restored home that knows the player by evidence alone knows no state, and goes on with none.
            let known = record.state.isEmpty && record.presence == .left ? 0 : SimulatedPlayer.counter(of: record.state)
            guard let counter = known else {
                throw violated(.savesAreKept, "the state of \(record.player) is one that nobody has written")
            }
            copy = ReferenceModel.Copy(
                owner: .at(party), epoch: record.epoch, revision: record.revision, counter: counter)
        } else if let ward = hostile.wards[number] {
            copy = ReferenceModel.Copy(
                owner: .at(party), epoch: ward.epoch, revision: ward.revision,
                counter: SimulatedPlayer.counter(of: ward.state) ?? 0)
        } else {
            return
        }
        players[number].acknowledged = copy.counter
        model.settle(number, as: copy)
    }

    /// Both ends must tell the same end of a handoff.
    private func checkEnds(of crossing: SimulatedCrossing) throws {
        guard case .server = crossing.source, case .server = crossing.destination, !crossing.isTouched else { return }
        // Taken back between the admission and the receipt.
        let isVoid = model.players[crossing.player].restedEpoch.term > crossing.epoch.term
        let agree =
            switch (crossing.sourceState, crossing.destinationState) {
            case (.completed, .admitted), (.aborted, .aborted), (.aborted, nil), (nil, nil), (nil, .aborted): true
            case (.aborted, .admitted): isVoid
            default: false
            }
        guard agree else {
            throw violated(
                .ledgersAgree,
                "#\(crossing.number) is \(crossing.sourceState?.rawValue ?? "nothing") at its source and "
                    + "\(crossing.destinationState?.rawValue ?? "nothing") at its destination")
        }
    }

    /// What a node remembers is what its disk holds.
    func checkMemory(_ server: SimulatedServer) throws {
        let store = server.disk.durable
        for player in players where server.node.players[player.id] != store.players[player.id] {
            throw violated(.memoryMatchesDisk, "\(server.id) remembers \(player.id) otherwise than its disk")
        }
        report.peaks.records = max(report.peaks.records, store.handoffs.count)
        guard store.handoffs.values.allSatisfy({ server.node.ledger.record($0.id) == $0 }) else {
            throw violated(.memoryMatchesDisk, "the ledger of \(server.id) is not the one on its disk")
        }
    }

    private func endRest(_ since: Int64) {
        timeAtRest += time - since
        restingSince = nil
        guard report.crossings < options.crossings else {
            isOver = true
            return
        }
        roundCrossings = 0
        roundBegan = time
        round += 1
        // A backup may be as old as the round before.
        crossings = crossings.filter { $0.value.round + 1 >= round }
        for server in servers {
            server.isRestored = false
            if let backup = server.backup, backup.round + 1 < round { server.backup = nil }
        }
        recent = []
        forged = []
        undecided = []
        hostile.seen = []
        hostile.ambushes = 0
        hostile.ghostFrames = []
        awaitFault()
    }
}
