import FederationCore
import FederationCrypto
import FederationModel
import FederationWire

/// The invariants, checked for what an event has touched.
extension Simulation {
    // MARK: Players

    func checkTouched() throws {
        guard !touchedPlayers.isEmpty else { return }
        let touched = touchedPlayers
        touchedPlayers.removeAll(keepingCapacity: true)
        var last = -1
        for player in touched where player != last {
            last = player
            try check(player)
        }
    }

    /// One player, in the memory of every server and on every disk.
    func check(_ number: Int) throws {
        let player = players[number]
        let known = model.players[number]
        // Mostly there is one.
        var places: [(term: UInt64, server: Int)] = []
        for server in servers {
            var term: UInt64?
            if server.isUp, let record = server.node.players[player.id] {
                if let recall = server.recalls[number], record.epoch < recall, record.presence != .recalled {
                    throw violated(
                        .recallsHold,
                        "\(server.id) keeps \(player.id) in epoch \(record.epoch), but has been told of \(recall)")
                }
                switch record.presence {
                case .playable:
                    try checkGhost(record, number, at: server)
                    if known.copy(record.epoch.term) != nil, !isGhost(number, record.epoch, at: server) {
                        term = record.epoch.term
                    }
                    try checkSaved(record, player, known, at: server)
                case .departing(let handoff):
                    guard let crossing = crossings[handoff] else { break }
                    guard crossing.state == record.state else {
                        throw violated(
                            .frozenStateStands,
                            "\(player.id) changed at \(server.id) while frozen for #\(crossing.number)")
                    }
                case .departed, .recalled, .left:
                    break
                }
            }
            if !server.isRestoring, let record = server.disk.durable.players[player.id], record.presence == .playable {
                if known.copy(record.epoch.term) != nil, !isGhost(number, record.epoch, at: server) {
                    term = record.epoch.term
                    if !server.isUp { try checkSaved(record, player, known, at: server) }
                }
            }
            guard let term else { continue }
            if let place = places.first(where: { $0.term == term })?.server {
                throw violated(
                    .onePlace,
                    "\(player.id) is playable on \(servers[place].id) and on \(server.id) in term \(term)")
            }
            places.append((term, server.index))
        }
    }

    /// A copy that a backup has brought back, and that its peers have had their chance to prove wrong.
    private func checkGhost(_ record: PlayerRecord, _ number: Int, at server: SimulatedServer) throws {
        guard server.isRestored, server.awaited.isEmpty, isGhost(number, record.epoch, at: server) else { return }
        throw violated(
            .onePlace,
            "\(record.player) is playable on \(server.id) in epoch \(record.epoch), a copy out of its backup, "
                + "although every peer has answered; it is in \(model.players[number].newest.epoch)")
    }

    private func checkSaved(
        _ record: PlayerRecord, _ player: SimulatedPlayer, _ known: ReferenceModel.Player, at server: SimulatedServer
    ) throws {
        guard !known.isUnsettled, record.epoch.term == known.term,
            record.epoch >= known.newest.epoch || !server.isRestored
        else { return }
        guard let counter = SimulatedPlayer.counter(of: record.state) else {
            throw violated(.savesAreKept, "the state of \(player.id) at \(server.id) is one that nobody has written")
        }
        guard counter >= player.acknowledged else {
            throw violated(
                .savesAreKept,
                "\(player.id) has state \(counter) at \(server.id), but \(player.acknowledged) was acknowledged")
        }
    }

    // MARK: Disks

    /// Makes what was written durable and lets the model follow.
    func becomeDurable(
        _ server: SimulatedServer,
        _ change: (inout SimulatedDisk, (StoreChange, StoreTables) -> Void) -> Void
    ) throws {
        var found: Violation?
        let simulation = self
        change(&server.disk) { change, store in
            guard found == nil else { return }
            do {
                try simulation.observe(change, on: store, of: server)
            } catch let violation as Violation {
                found = violation
            } catch {
                found = simulation.violated(.modelAgrees, "\(error)")
            }
        }
        if let found { throw found }
    }

    /// A change is about to be durable.
    private func observe(_ change: StoreChange, on store: StoreTables, of server: SimulatedServer) throws {
        switch change {
        case .putHandoff(let record): try observe(record, on: store, of: server)
        case .putPlayer(let record): try observe(record, old: store.players[record.player], of: server)
        case .putReclaim(let reclaim): try observe(reclaim, on: store, of: server)
        case .putRecall(let player, let epoch):
            if let number = playerNumbers[player] { server.durableRecalls[number] = epoch }
        case .putDecisions(let peer, let count):
            let old = server.decisions[peer, default: 0]
            guard count >= old else {
                throw violated(.decisionsRise, "\(server.id) has decided \(count) times for \(peer), after \(old)")
            }
            server.decisions[peer] = count
        case .putServer, .removeServer, .putTombstone, .removeTombstone, .putPeer, .removePeer, .putRoute, .removeRoute,
            .putWorld, .removeWorld, .removePlayer, .removeHandoff, .putPassage, .putCardSequence, .putBinding,
            .putEquivocation, .putOwnKeys, .registry, .trust:
            break
        }
    }

    private func observe(_ reclaim: ReclaimRecord, on store: StoreTables, of server: SimulatedServer) throws {
        guard let number = playerNumbers[reclaim.player] else { return }
        let known = model.players[number]
        // What a restored home has learned again is nothing new.
        if server.isRestored, !known.isUnsettled, reclaim.epoch.term <= known.term { return }
        let record = store.players[reclaim.player]
        let counter = record.flatMap { SimulatedPlayer.counter(of: $0.state) } ?? 0
        let wrong = model.reclaim(
            number, at: .server(server.index), epoch: reclaim.epoch, revision: record?.revision ?? 0, counter: counter)
        if let wrong { throw violated(.modelAgrees, "\(reclaim.player): \(wrong)") }
        players[number].acknowledged = counter
    }

    private func observe(_ record: HandoffRecord, on store: StoreTables, of server: SimulatedServer) throws {
        guard !forged.contains(record.id) else {
            throw violated(
                .modelAgrees,
                "\(server.id) reserves \(record.player) in epoch \(record.epoch) for a peer that has no such player")
        }
        guard record.state != .admitted || !undecided.contains(record.id) else {
            throw violated(
                .modelAgrees, "\(server.id) admits \(record.player) by a decision that contradicts the offer")
        }
        let crossing = crossings[record.id]
        let party = SimulatedWire.Party.server(server.index)
        let old = crossing?.durable(at: party) ?? store.handoffs[record.id]?.state
        guard Self.allows(old, to: record.state, as: record.role) || allows(old, to: record, in: crossing, at: server)
        else {
            throw violated(
                .statesAdvance,
                "\(server.id) moves #\(number(of: record.id)) from \(old?.rawValue ?? "nothing") to \(record.state.rawValue)"
            )
        }
        guard let crossing, old != record.state else { return }
        if let player = playerNumbers[record.player] { touchedPlayers.append(player) }
        switch record.role {
        case .source:
            try observeSource(record, crossing, party)
            crossing.sourceState = record.state
        case .destination:
            try observeDestination(record, crossing, party)
            crossing.destinationState = record.state
        }
    }

    private func observeSource(
        _ record: HandoffRecord, _ crossing: SimulatedCrossing, _ party: SimulatedWire.Party
    ) throws {
        switch record.state {
        case .prepared:
            break
        case .committed:
            // Proved to a restored source, it is what it was.
            if crossing.wasAdmitted, crossing.isTouched { return }
            report.committed += 1
            crossing.wasDecided = true
            let isRecalled = model.players[crossing.player].term > crossing.epoch.term
            guard crossing.destinationState == .reserved || crossing.isTouched || isRecalled else {
                throw violated(
                    .decisionFollowsReservation,
                    "#\(crossing.number) is decided while its destination has "
                        + "\(crossing.destinationState?.rawValue ?? "nothing") on disk")
            }
            let wrong = model.commit(crossing.player, as: record.id, from: party, epoch: record.epoch)
            if let wrong { throw violated(.modelAgrees, "\(record.player): \(wrong)") }
        case .completed:
            guard let receipt = record.receipt, crossing.receipts.contains(receipt) else {
                throw violated(
                    .receiptsAreGenuine,
                    "#\(crossing.number) is completed without a receipt that its destination issued")
            }
        case .aborted:
            report.aborted += 1
        case .reserved, .admitted:
            break
        }
    }

    private func observeDestination(
        _ record: HandoffRecord, _ crossing: SimulatedCrossing, _ party: SimulatedWire.Party
    ) throws {
        switch record.state {
        case .reserved:
            guard record.snapshot == crossing.state, record.revision == crossing.revision else {
                throw violated(.frozenStateStands, "#\(crossing.number) is reserved with another state than was frozen")
            }
            try ambush(crossing)
        case .admitted:
            if let receipt = record.receipt { crossing.receipts.append(receipt) }
            let isAgain = crossing.wasAdmitted && crossing.isTouched
            crossing.wasAdmitted = true
            if isAgain, isPast(crossing) { return }
            if let wrong = model.admit(crossing.player, as: record.id, at: party, epoch: record.epoch) {
                throw violated(.modelAgrees, "\(record.player): \(wrong)")
            }
        case .aborted:
            guard
                crossing.sourceState == nil || crossing.sourceState == .aborted || crossing.isTouched
                    || isVoid(crossing, record)
            else {
                throw violated(
                    .reservationsWait,
                    "\(party) drops #\(crossing.number), which is \(crossing.sourceState?.rawValue ?? "") at its source"
                )
            }
        case .prepared, .committed, .completed:
            break
        }
    }

    /// Whether the restored end of a crossing goes once more through what is long over.
    private func isPast(_ crossing: SimulatedCrossing) -> Bool {
        guard let copy = model.players[crossing.player].copy(crossing.epoch.term) else { return true }
        return copy.owner != .crossing(crossing.id)
    }

    /// Whether the player was taken back since.
    private func isVoid(_ crossing: SimulatedCrossing, _ record: HandoffRecord) -> Bool {
        record.abortCode == "player.recalled" && model.players[crossing.player].term > crossing.epoch.term
    }

    /// What becomes of a handoff whose player was taken back, or whose source was restored and has been shown its decision.
    private func allows(
        _ old: HandoffState?, to record: HandoffRecord, in crossing: SimulatedCrossing?, at server: SimulatedServer
    ) -> Bool {
        guard let crossing else { return old == nil && server.isRestored }
        switch (record.role, old, record.state) {
        case (.source, .committed?, .aborted): return isVoid(crossing, record) || crossing.isTouched
        case (.source, .aborted?, .committed): return server.isRestored && crossing.wasAdmitted
        default: return false
        }
    }

    private static func allows(_ old: HandoffState?, to new: HandoffState, as role: HandoffRole) -> Bool {
        switch (role, old, new) {
        case (_, let old?, new) where old == new: true
        case (.source, nil, .prepared), (.source, .prepared, .committed), (.source, .prepared, .aborted),
            (.source, .committed, .completed):
            true
        case (.destination, nil, .reserved), (.destination, .reserved, .admitted), (.destination, .reserved, .aborted):
            true
        default: false
        }
    }

    private func observe(_ record: PlayerRecord, old: PlayerRecord?, of server: SimulatedServer) throws {
        guard let number = playerNumbers[record.player] else { return }
        touchedPlayers.append(number)
        if let old {
            guard record.epoch >= old.epoch else {
                throw violated(
                    .epochsRise, "\(record.player) falls from epoch \(old.epoch) to \(record.epoch) on \(server.id)")
            }
            guard record.revision >= old.revision || record.epoch > old.epoch || old.presence == .recalled else {
                throw violated(
                    .revisionsRise,
                    "\(record.player) falls from revision \(old.revision) to \(record.revision) on \(server.id)")
            }
        }
        switch record.presence {
        case .playable:
            guard let counter = SimulatedPlayer.counter(of: record.state) else {
                throw violated(.savesAreKept, "\(record.player) has a state on \(server.id) that nobody has written")
            }
            if isGhost(number, record.epoch, at: server) { return }
            if let copy = model.players[number].copy(record.epoch.term), record.revision < copy.revision {
                throw violated(
                    .revisionsRise,
                    "\(record.player) falls from revision \(copy.revision) to \(record.revision) on \(server.id)")
            }
            let wrong = model.save(
                number, at: .server(server.index), epoch: record.epoch, revision: record.revision, counter: counter)
            if let wrong { throw violated(.modelAgrees, "\(record.player) on \(server.id): \(wrong)") }
        case .departing(let handoff):
            if let crossing = crossings[handoff], crossing.state != record.state {
                throw violated(.frozenStateStands, "#\(crossing.number) is frozen with another state on disk")
            }
        case .departed(_, let handoff):
            if let crossing = crossings[handoff], crossing.epoch != record.epoch {
                throw violated(.epochsRise, "\(record.player) departs in epoch \(record.epoch), not \(crossing.epoch)")
            }
        case .recalled: server.durableRecalls[number] = record.epoch
        case .left: break
        }
    }

    // MARK: What is said

    /// What a frame says must be durable.
    func justify(_ frame: FederationFrame, on channel: ChannelID, at server: SimulatedServer) throws {
        guard let handoff = frame.handoff, let allowed = Self.states(of: frame) else { return }
        if let crossing = crossings[handoff] {
            // What a stranger is told of a handoff that is not theirs decides nothing.
            let (number, first) = SimulatedWire.end(of: channel)
            let other = wires[number]?.party(first: !first)
            guard other == crossing.source || other == crossing.destination else { return }
            // A destination repeats its receipt when it has done with the handoff and forgotten it, but not before it has admitted.
            if case .admitted(let admitted) = frame, crossing.wasAdmitted, crossing.destination == .server(server.index)
            {
                crossing.receipts.append(admitted.receipt)
                return
            }
        } else if case .abort = frame {
            // Said to a source, it decides nothing.
            guard server.disk.durable.handoffs[handoff]?.role != .destination else { return }
        }
        try justify(frame.label, handoff, allowed, at: server)
    }

    func justify(_ event: CrossingEvent, of batch: SimulatedServer.Batch, at server: SimulatedServer) throws {
        let allowed: [HandoffState?] =
            switch event.kind {
            case .offered: [.prepared, .committed, .completed, .aborted]
            case .committed: [.committed, .completed]
            case .completed: [.completed]
            case .returned, .voided: [.aborted]
            // Nothing is kept of who stands before a door, and a late offer may have brought them there once more. A restored end
            // may learn that the player has come and gone.
            case .withdrawn:
                !batch.puts(event.handoff) ? [] : hasGoneOn(event, at: server) ? [.aborted, .admitted] : [.aborted]
            case .reserved: [.reserved, .admitted, .aborted]
            case .admitted: [.admitted]
            case .arriving, .turnedAway, .withdrawnHere: []
            }
        guard let handoff = event.handoff, !allowed.isEmpty else { return }
        try justify(event.kind.label, handoff, allowed, at: server)
    }

    private func hasGoneOn(_ event: CrossingEvent, at server: SimulatedServer) -> Bool {
        guard let crossing = event.handoff.flatMap({ crossings[$0] }), crossing.isTouched,
            let known = server.disk.durable.players[event.player]
        else { return false }
        return known.epoch > crossing.epoch
    }

    private func justify(
        _ what: String, _ handoff: HandoffID, _ allowed: [HandoffState?], at server: SimulatedServer
    ) throws {
        let party = SimulatedWire.Party.server(server.index)
        // Those of earlier rounds are over, and may be forgotten between the answer and its sending.
        guard let crossing = crossings[handoff] else { return }
        let durable = crossing.durable(at: party) ?? server.disk.durable.handoffs[handoff]?.state
        // Decided, and voided by a reclaim that became durable with it: whatever was decided may be said.
        let isVoid = model.players[crossing.player].term > crossing.epoch.term
        guard allowed.contains(durable) || durable == .aborted && isVoid else {
            throw violated(
                .durableBeforeSaid,
                "\(server.id) says \(what) of #\(number(of: handoff)) while its disk says \(durable?.rawValue ?? "nothing")"
            )
        }
    }

    private static func states(of frame: FederationFrame) -> [HandoffState?]? {
        switch frame {
        case .offer: [.prepared, .committed, .completed, .aborted]
        case .accept: [.reserved, .admitted, .aborted]
        case .commit: [.committed, .completed]
        case .admitted: [.admitted]
        case .abort: [.aborted, nil]
        case .query: [.reserved, .admitted, .aborted]
        case .verdict(let verdict):
            switch verdict.decision {
            case .undecided: nil
            case .committed: [.committed, .completed]
            // Also of a handoff that is completed and forgotten: it means that nothing is known of it any more.
            case .aborted: [.aborted, .completed, .reserved, .admitted, nil]
            }
        case .reject, .position, .evidence, .recall, .ready, .heartbeat, .acknowledgement, .worldRequest,
            .worldResponse, .assetRequest, .assetResponse, .notice, .introductions, .probe, .probeResult:
            nil
        }
    }

    // MARK: Routes

    /// A portal was open: whoever looks from outside must agree.
    func checkRoute(from server: SimulatedServer, to peer: Int) throws {
        let truth = server.truth[peer]
        let id = serverID(peer)
        guard truth.isPeer, !truth.isSuspended else {
            throw violated(.routesLeadToTrusted, "a portal of \(server.id) leads to \(id) against its operator's word")
        }
        guard truth.trustedUntil > time else {
            throw violated(.routesLeadToTrusted, "a portal of \(server.id) leads to \(id), whose trust is over")
        }
        guard server.node.routing.route(for: Self.portal(to: id))?.isActive == true else {
            throw violated(.routesLeadToTrusted, "a portal of \(server.id) leads to \(id) although it is switched off")
        }
        // Silence is counted when a timer fires; a process that has just woken up may be one tick behind.
        let health = server.configuration.health
        let interval = health.interval.clampedNanoseconds
        let silent = max(truth.heardAt, server.runsSince) + interval * Int64(health.unreachable + 2)
        // Others' word counts for two intervals, and all of it for ten. It is asked for before the peer is given up.
        guard silent > time || min(truth.vouchedAt + interval * 4, silent + interval * 10) > time else {
            throw violated(.routesLeadToTrusted, "a portal of \(server.id) leads to \(id), which has fallen silent")
        }
    }

    // MARK: Bounds

    /// Of the servers that the event has touched.
    func checkBounds() throws {
        guard !touchedServers.isEmpty else { return }
        var last = -1
        for server in touchedServers where server != last {
            last = server
            if servers[server].isUp { try checkBounds(of: servers[server]) }
        }
        touchedServers.removeAll(keepingCapacity: true)
    }

    private func checkBounds(of server: SimulatedServer) throws {
        // The hostile peer may hold as many places as there are players to invent.
        let open = players.count + HostilePeer.ghosts + 8
        let ledger = server.node.ledger
        report.peaks.batches = max(report.peaks.batches, server.queue.count)
        report.peaks.openHandoffs = max(report.peaks.openHandoffs, ledger.openCount)
        report.peaks.snapshotBytes = max(report.peaks.snapshotBytes, ledger.snapshotBytes)
        guard server.queue.count <= 1_024 + 4 * (servers.count + players.count) else {
            throw violated(.boundsHold, "\(server.queue.count) batches wait at \(server.id)")
        }
        guard ledger.openCount <= open else {
            throw violated(.boundsHold, "\(ledger.openCount) handoffs of \(open) players are open at \(server.id)")
        }
        guard ledger.snapshotBytes <= ledger.openCount * SimulatedPlayer.stateBytes,
            server.node.players.stateBytes <= open * SimulatedPlayer.stateBytes
        else {
            throw violated(
                .boundsHold,
                "\(ledger.snapshotBytes) bytes of snapshots for \(ledger.openCount) open handoffs at \(server.id)")
        }
        try checkTables(of: server)
        for number in server.wires {
            guard let wire = wires[number] else { continue }
            let most = max(wire.toFirst.count, wire.toSecond.count)
            report.peaks.messages = max(report.peaks.messages, most)
            guard most <= Limits.outboundFrames + 1 else {
                throw violated(.boundsHold, "\(most) messages wait on a channel of \(server.id)")
            }
        }
    }

    /// What is remembered of players for good is bounded by their number, and by the limit on what one peer brings.
    private func checkTables(of server: SimulatedServer) throws {
        let known = server.node.players.count
        let passages = server.node.passages.count(from: hostile.identity.id)
        report.peaks.players = max(report.peaks.players, known)
        report.peaks.passages = max(report.peaks.passages, passages)
        guard passages <= passagesPerPeer, server.node.passages.count <= passagesPerPeer + servers.count * players.count
        else {
            throw violated(.boundsHold, "\(server.id) remembers \(passages) players of \(hostile.identity.id)")
        }
        guard known <= passagesPerPeer else {
            throw violated(.boundsHold, "\(server.id) knows \(known) players")
        }
        guard server.node.recalls.count <= players.count, server.node.reclaims.count <= options.playersPerServer else {
            throw violated(
                .boundsHold,
                "\(server.id) remembers \(server.node.recalls.count) recalls, \(server.node.reclaims.count) reclaims")
        }
    }
}
