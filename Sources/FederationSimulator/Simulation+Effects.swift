import FederationCore
import FederationModel
import FederationWire

/// The effect queue of one server, with the rules of the service: changes that wait are written together, nothing behind them is
/// carried out before they are synced, a disk that fails is tried again, and callers are told at its first failure.
extension Simulation {
    /// Queues effects of an input that nobody waits for.
    func enqueue(_ effects: [Effect], at server: SimulatedServer) throws {
        // The process may have died while it carried out what came before.
        guard server.isUp else { return }
        touch(effects)
        touchedServers.append(server.index)
        keepTime(server)
        guard !effects.isEmpty else { return }
        server.queue.append(SimulatedServer.Batch(effects: effects, waiter: nil))
        try drain(server)
    }

    /// Queues effects for a caller who is told when they are carried out, or when the disk fails.
    func commit(_ effects: [Effect], for call: SimulatedCall, at server: SimulatedServer) throws {
        guard server.isUp else { return }
        touch(effects)
        touchedServers.append(server.index)
        keepTime(server)
        if effects.isEmpty, server.queue.isEmpty, !server.isDraining { return try answer(call, ok: true, at: server) }
        if server.hasFailed {
            try enqueue(effects, at: server)
            return try answer(call, ok: false, at: server)
        }
        if options.mutant == .redeemedOutsideTransaction, case .redeem = call {
            server.queue.append(SimulatedServer.Batch(effects: effects, waiter: nil))
            try answer(call, ok: true, at: server)
        } else {
            server.queue.append(SimulatedServer.Batch(effects: effects, waiter: .caller(call)))
        }
        try drain(server)
    }

    /// Queues effects and reads no more from the channel until they are carried out.
    func carryOut(_ effects: [Effect], at server: SimulatedServer, pausing wire: SimulatedWire, first: Bool) throws {
        guard server.isUp else { return }
        touch(effects)
        touchedServers.append(server.index)
        keepTime(server)
        wire.update(toFirst: first) { $0.isPaused = true }
        server.queue.append(
            SimulatedServer.Batch(effects: effects, waiter: .patient(wire: wire.number, first: first)))
        try drain(server)
    }

    private func touch(_ effects: [Effect]) {
        for effect in effects {
            guard case .persist(let changes) = effect else { continue }
            for change in changes {
                switch change {
                case .putPlayer(let record):
                    if let player = playerNumbers[record.player] { touchedPlayers.append(player) }
                case .putHandoff(let record):
                    if let player = playerNumbers[record.player] { touchedPlayers.append(player) }
                case .putServer, .removeServer, .putTombstone, .removeTombstone, .putPeer, .removePeer, .putRoute,
                    .removeRoute, .putWorld, .removeWorld, .removePlayer, .removeHandoff, .putDecisions, .putPassage,
                    .putReclaim, .putRecall, .putCardSequence, .putBinding, .putEquivocation, .putOwnKeys, .registry,
                    .trust:
                    break
                }
            }
        }
    }

    private func drain(_ server: SimulatedServer) throws {
        guard !server.isDraining else { return }
        if server.queue.count == 1, !server.queue[0].effects.contains(where: \.needsSuspension) {
            server.draining = server.queue
            server.queue = []
            return try performAll(server)
        }
        server.isDraining = true
        events.schedule(
            .drain(server: server.index, boot: server.boot),
            at: time + 10 * Span.microsecond
                + disks.below(90 * Span.microsecond))
    }

    func drainQueue(_ server: SimulatedServer) throws {
        while !server.queue.isEmpty {
            server.draining = server.queue
            server.queue = []
            try sendEarly(server)
            let changes = server.draining.flatMap { $0.effects.flatMap(\.changes) }
            guard changes.isEmpty else {
                server.retryPause = 100 * Span.millisecond
                return write(server)
            }
            try performAll(server)
            guard server.isUp else { return }
        }
        server.isDraining = false
    }

    /// Planted: frames go out before what they say is on disk.
    private func sendEarly(_ server: SimulatedServer) throws {
        guard options.mutant == .sendBeforeDurable || options.mutant == .acceptBeforeDurable else { return }
        for batch in server.draining {
            for effect in batch.effects where isSentEarly(effect) { try perform(effect, of: batch, at: server) }
        }
    }

    private func isSentEarly(_ effect: Effect) -> Bool {
        switch (options.mutant, effect) {
        case (.sendBeforeDurable?, .send), (.acceptBeforeDurable?, .send(.accept, on: _)): true
        default: false
        }
    }

    /// Begins to write the changes that are being drained, and to sync them.
    func write(_ server: SimulatedServer) {
        server.disk.write(server.draining.flatMap { $0.effects.flatMap(\.changes) })
        var latency = 200 * Span.microsecond + disks.below(2 * Span.millisecond)
        if time < server.diskSlowUntil { latency *= 50 + disks.below(400) }
        events.schedule(.synced(server: server.index, boot: server.boot), at: time + latency)
        guard let death = server.diesAtWrite, death == .next || isRedeeming(server) else { return }
        server.diesAtWrite = nil
        events.schedule(.die(server: server.index, boot: server.boot), at: time + disks.below(latency))
    }

    private func isRedeeming(_ server: SimulatedServer) -> Bool {
        server.draining.contains { batch in
            batch.effects.contains { effect in
                effect.changes.contains { change in
                    if case .putHandoff(let record) = change { record.redeemedAt != nil } else { false }
                }
            }
        }
    }

    /// The sync has returned.
    func synced(_ server: SimulatedServer) throws {
        if time < server.diskFailsUntil {
            server.disk.fail(rollingBack: disks.percent(50))
            note(.failed, server.index, 0) { "\(server.id): the disk fails" }
            server.hasFailed = true
            try tellCallers(server)
            events.schedule(.retry(server: server.index, boot: server.boot), at: time + server.retryPause)
            server.retryPause = min(server.retryPause * 2, 5 * Span.second)
            return
        }
        server.hasFailed = false
        note(.synced, server.index, 0) { "\(server.id): synced" }
        try becomeDurable(server) { disk, watch in disk.sync(watch) }
        try performAll(server)
        guard server.isUp else { return }
        try drainQueue(server)
    }

    private func tellCallers(_ server: SimulatedServer) throws {
        var failed: [SimulatedCall] = []
        for index in server.draining.indices {
            guard case .caller(let call) = server.draining[index].waiter else { continue }
            server.draining[index].waiter = nil
            failed.append(call)
        }
        for index in server.queue.indices {
            guard case .caller(let call) = server.queue[index].waiter else { continue }
            server.queue[index].waiter = nil
            failed.append(call)
        }
        for call in failed { try answer(call, ok: false, at: server) }
    }

    /// Carries out what is durable, in order; the process may die in between.
    private func performAll(_ server: SimulatedServer) throws {
        let batches = server.draining
        server.draining = []
        for batch in batches {
            for effect in batch.effects {
                if let left = server.effectsToLive {
                    guard left > 0 else { return crash(server, losingPower: false) }
                    server.effectsToLive = left - 1
                }
                if server.isDraining, isSentEarly(effect) { continue }
                try perform(effect, of: batch, at: server)
            }
            switch batch.waiter {
            case .caller(let call): try answer(call, ok: true, at: server)
            case .patient(let wire, let first): resume(wire, first: first)
            case nil: break
            }
        }
    }

    private func resume(_ number: Int, first: Bool) {
        guard let wire = wires[number] else { return }
        wire.update(toFirst: first) { $0.isPaused = false }
        schedule(wire, first: first)
    }

    private func perform(_ effect: Effect, of batch: SimulatedServer.Batch, at server: SimulatedServer) throws {
        switch effect {
        case .persist:
            break
        case .send(let frame, let channel):
            if case .probe(let probe) = frame { ask(probe, on: channel, at: server) }
            try justify(frame, on: channel, at: server)
            try send(frame, on: channel, from: server)
        case .close(let channel, let code):
            close(channel, of: server, code)
        case .dial(let peer, _):
            guard let number = serverNumbers[peer] else { return }
            dial(number, from: server)
        case .hangUp(let peer):
            guard let number = serverNumbers[peer] else { return }
            server.dials[number] = nil
        case .notify(let event):
            try justify(event, of: batch, at: server)
            try tell(event, at: server)
        case .serveAsset, .assetAnswered, .worldAnswered, .report, .fetchCard, .dialNow:
            break
        }
    }

    private func ask(_ probe: FederationFrame.Probe, on channel: ChannelID, at server: SimulatedServer) {
        let (number, first) = SimulatedWire.end(of: channel)
        guard let target = serverNumbers[probe.server],
            let asked = wires[number].flatMap({ peerNumber(of: $0.party(first: !first)) })
        else { return }
        server.probes[probe.request] = SimulatedServer.Probe(target: target, asked: asked)
    }

    // MARK: Answers

    private func answer(_ call: SimulatedCall, ok: Bool, at server: SimulatedServer) throws {
        switch call {
        case .save(let player, let counter, let epoch, let isGhost):
            note(.told, player, counter) {
                "\(server.id): save \(counter) of \(players[player].id) \(ok ? "ok" : "failed")"
            }
            let known = model.players[player]
            // A copy that a reclaim has voided, or a restored backup has brought back, is not the player.
            guard ok, !isGhost, !known.isUnsettled, epoch.term == known.term else { return }
            players[player].acknowledged = max(players[player].acknowledged, counter)
        case .redeem(let handoff):
            guard ok else {
                return try enqueue(server.node.takeBackRedemption(of: handoff), at: server)
            }
            try redeemed(handoff, at: server)
        case .other:
            break
        }
    }
}

extension Effect {
    /// The changes that must be durable before what follows.
    var changes: [StoreChange] {
        if case .persist(let changes) = self { changes } else { [] }
    }

    /// Whether it has to wait for something when it is carried out.
    var needsSuspension: Bool {
        switch self {
        case .persist, .dial, .dialNow, .hangUp: true
        case .send, .close, .serveAsset, .assetAnswered, .worldAnswered, .notify, .report, .fetchCard: false
        }
    }
}
