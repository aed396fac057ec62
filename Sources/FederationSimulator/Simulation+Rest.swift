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
            }
        }
        for server in servers {
            server.effectsToLive = nil
            server.diesAtWrite = nil
            server.wallOffset = 0
            server.diskSlowUntil = .min
            server.diskFailsUntil = .min
            server.queuesFullUntil = .min
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
        if isStill {
            try checkStillness()
            return endRest(since)
        }
        guard time - since < Self.patience else { throw unrest() }
        events.schedule(.restCheck, at: time + Span.second)
    }

    private var isStill: Bool {
        guard !hostile.isBusy else { return false }
        return servers.allSatisfy { server in
            answers(server) && server.queue.isEmpty && !server.isDraining && server.node.ledger.openCount == 0
        }
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
        return violated(.nothingOpen, "queues do not empty")
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
        var places: [String] = []
        for server in servers {
            switch server.node.players[player.id]?.presence {
            case .playable?, .left?: places.append(server.id.rawValue)
            case .departing?: places.append("\(server.id), frozen")
            case .departed?, .recalled?, nil: break
            }
        }
        if hostile.wards[number] != nil { places.append(hostile.identity.id.rawValue) }
        // Who has never entered is nowhere.
        if places.isEmpty, model.players[number].counter == 0 { return }
        guard places.count == 1 else {
            throw violated(.everyoneSomewhere, "at rest \(player.id) is in \(places.count) places: \(places)")
        }
        switch model.players[number].owner {
        case .crossing(let handoff):
            throw violated(.modelAgrees, "at rest \(player.id) is still crossing in #\(self.number(of: handoff))")
        case .at(let party):
            let owner = peerNumber(of: party).map(serverID)?.rawValue
            guard owner == places[0] else {
                throw violated(.modelAgrees, "\(player.id) is at \(places[0]), but \(owner ?? "nobody") should have it")
            }
        }
    }

    /// Both ends must tell the same end of a handoff.
    private func checkEnds(of crossing: SimulatedCrossing) throws {
        guard case .server = crossing.source, case .server = crossing.destination else { return }
        let agree =
            switch (crossing.sourceState, crossing.destinationState) {
            case (.completed, .admitted), (.aborted, .aborted), (.aborted, nil), (nil, nil), (nil, .aborted): true
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
        crossings = [:]
        recent = []
        forged = []
        hostile.seen = []
        hostile.ambushes = 0
        hostile.ghostFrames = []
        awaitFault()
    }
}
