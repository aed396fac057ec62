import FederationCore
import FederationModel

/// What goes wrong.
extension Simulation {
    /// Schedules the next planned fault.
    func scheduleFault() {
        pendingFault = plan.next()
        awaitFault()
    }

    /// Waits for the pending fault, which a rest has put off.
    func awaitFault() {
        guard let fault = pendingFault else { return }
        faultSchedule += 1
        events.schedule(.fault(schedule: faultSchedule), at: max(time, fault.at + timeAtRest))
    }

    /// The planned fault happens, unless everything is resting; then it waits for the end of the rest.
    func happen(_ schedule: Int) throws {
        guard schedule == faultSchedule, restingSince == nil, let fault = pendingFault else { return }
        report.faults[fault.kind, default: 0] += 1
        report.faultNumbers.append(fault.number)
        note(.fault, fault.number, UInt64(fault.kind.hashNumber)) { "fault \(fault.number): \(fault.kind.rawValue)" }
        var random = fault.random
        try inject(fault.kind, &random)
        scheduleFault()
    }

    private func inject(_ kind: FaultKind, _ random: inout SplitMix64) throws {
        let server = servers[random.below(servers.count)]
        let peer = other(than: server, &random)
        switch kind {
        case .powerLoss: crash(server, losingPower: true)
        case .crashAtEffect:
            guard server.isUp else { return }
            switch random.below(4) {
            case 0: server.diesAtWrite = .next
            case 1: server.diesAtWrite = .redemption
            default: server.effectsToLive = random.below(40)
            }
        case .blackout:
            for server in servers where random.percent(80) { crash(server, losingPower: random.percent(70)) }
        case .stall:
            stall(server, random.oneIn(10) ? random.below(60 * Span.second) : random.below(3 * Span.second))
        case .cut:
            let open = server.wires.compactMap { wires[$0] }.filter(\.isOpen)
            if !open.isEmpty { cut(random.pick(open), &random) }
        case .partition: partition(server.index, peer, &random)
        case .delay:
            let by = random.below(2 * Span.second)
            let until = time + random.below(5 * Span.second)
            slowed[server.index][peer] = (until, by)
            slowed[peer][server.index] = (until, by)
        case .duplicateDial:
            if answers(server) { connect(server, peer, dial: server.dials[peer]?.number ?? 0) }
        case .clockJump:
            let size = random.oneIn(4) ? 400 * Span.second : 20 * Span.second
            server.wallOffset = random.below(2 * size) - size
            events.schedule(.clockBack(server: server.index), at: time + random.below(20 * Span.second))
        case .slowDisk: server.diskSlowUntil = time + random.below(5 * Span.second)
        case .failingDisk: server.diskFailsUntil = time + random.below(5 * Span.second)
        case .fullQueues: server.queuesFullUntil = time + random.below(4 * Span.second)
        case .suspension: try suspend(anyPeer(of: server, &random), at: server, for: random.below(8 * Span.second))
        case .removal: try remove(anyPeer(of: server, &random), at: server, for: random.below(8 * Span.second))
        case .routeOff:
            try setRoute(to: peer, active: false, at: server)
            events.schedule(.routeOn(server: server.index, peer: peer), at: time + random.below(4 * Span.second))
        case .hostileFrames: try hostileBurst(&random)
        case .impostor: try impostor(posingAs: peer, at: server)
        case .restoredFromBackup: backUpOrRestore(server, &random)
        case .takenBack: try takeBack(server, &random)
        case .guardedWorld: beginGuard(server, for: random.below(8 * Span.second))
        case .loss: disturb(\.loss, between: server.index, and: peer, &random)
        case .duplication: disturb(\.duplication, between: server.index, and: peer, &random)
        case .reordering: disturb(\.reordering, between: server.index, and: peer, &random)
        }
    }

    /// An honest server that is not this one.
    private func other(than server: SimulatedServer, _ random: inout SplitMix64) -> Int {
        (server.index + 1 + random.below(servers.count - 1)) % servers.count
    }

    private func anyPeer(of server: SimulatedServer, _ random: inout SplitMix64) -> Int {
        (server.index + 1 + random.below(servers.count)) % (servers.count + 1)
    }

    // MARK: Death and sleep

    func crash(_ server: SimulatedServer, losingPower: Bool) {
        guard server.isUp else { return }
        note(.crashed, server.index, losingPower ? 1 : 0) { "\(server.id) \(losingPower ? "loses power" : "dies")" }
        server.isUp = false
        server.boot += 1
        server.effectsToLive = nil
        server.diesAtWrite = nil
        server.queue = []
        server.draining = []
        server.isDraining = false
        server.hasFailed = false
        server.timer = nil
        server.stalledUntil = .min
        server.dials = Array(repeating: nil, count: server.dials.count)
        for number in server.wires {
            guard let wire = wires[number] else { continue }
            abandon(wire, byFirst: wire.ends.0 == .server(server.index))
        }
        server.wires = []
        server.guardsUntil = .min
        server.words = [:]
        server.recalls = server.durableRecalls
        server.losesPower = losingPower
        for player in players.indices { touchedPlayers.append(player) }
        let pause = disks.oneIn(10) ? disks.below(40 * Span.second) : disks.below(2 * Span.second)
        events.schedule(.restart(server: server.index), at: time + pause)
    }

    func restart(_ server: SimulatedServer) throws {
        guard !server.isUp else { return }
        // The process alone died: what the kernel was given is there. Without power, anything may be left of it.
        let remains: [SimulatedDisk.Remains] = (0..<server.disk.unsynced).map { _ in
            server.losesPower ? [.whole, .torn, .missing][disks.below(3)] : .whole
        }
        let takesTorn = options.mutant == .tornTransactionTaken
        try becomeDurable(server) { disk, watch in disk.recover(remains, takingTorn: takesTorn, watch) }
        if server.isRestoring {
            restore(server)
            report.restored += 1
        }
        server.recalls = server.durableRecalls
        if server.isRestored { server.awaited = Set(server.truth.indices.filter { $0 != server.index }) }
        server.monotonicBase = Int64(entropy.below(1 << 50))
        server.runsSince = time
        let now = now(of: server)
        do {
            server.node = try FederationNode(
                identity: server.identity, configuration: server.configuration, restoring: server.disk.durable.state,
                at: now)
            if let mutant = options.mutant { server.node.plant(mutant) }
        } catch {
            throw violated(.memoryMatchesDisk, "\(server.id) does not start from its own disk: \(error)")
        }
        for peer in server.truth.indices { server.truth[peer].trustedUntil = .min }
        server.isUp = true
        note(.restarted, server.index, UInt64(server.boot)) { "\(server.id) starts" }
        try readTruth(server)
        try enqueue(server.node.start(at: now), at: server)
        for player in players.indices { touchedPlayers.append(player) }
    }

    /// What the operator had ordered and is durable holds; what was lost with the crash was never promised.
    private func readTruth(_ server: SimulatedServer) throws {
        for peer in server.truth.indices where peer != server.index {
            server.truth[peer].isPeer = server.node.peers[serverID(peer)] != nil
            server.truth[peer].isSuspended = server.node.registry.status(of: serverID(peer)) == .suspended
            server.truth[peer].heardAt = time
        }
    }

    private func stall(_ server: SimulatedServer, _ duration: Int64) {
        guard server.isUp, server.stalledUntil <= time else { return }
        server.stalledUntil = time + duration
        server.runsSince = time + duration
        note(.fault, server.index, UInt64(duration)) { "\(server.id) stands still" }
    }

    // MARK: Network

    private func partition(_ one: Int, _ other: Int, _ random: inout SplitMix64) {
        let until = time + (random.oneIn(4) ? random.below(60 * Span.second) : random.below(4 * Span.second))
        blockedUntil[one][other] = max(blockedUntil[one][other], until)
        blockedUntil[other][one] = max(blockedUntil[other][one], until)
        guard random.percent(40) else { return }
        for number in servers[one].wires {
            guard let wire = wires[number], wire.isOpen else { continue }
            if peerNumber(of: wire.ends.0) == other || peerNumber(of: wire.ends.1) == other { cut(wire, &random) }
        }
    }

    private func impostor(posingAs peer: Int, at server: SimulatedServer) throws {
        guard answers(server) else { return }
        try hostile.impose(as: serverID(peer), over: connectImpostor(to: server).number)
    }

    // MARK: Operators

    private func suspend(_ peer: Int, at server: SimulatedServer, for duration: Int64) throws {
        guard answers(server), !server.hasFailed, server.truth[peer].isPeer else { return }
        let effects: [Effect]
        do {
            effects = try server.node.suspend(serverID(peer), reason: "a fault", at: now(of: server))
        } catch {
            return
        }
        server.truth[peer].isSuspended = true
        server.truth[peer].trustedUntil = .min
        try commit(effects, for: .other, at: server)
        events.schedule(.reinstate(server: server.index, peer: peer), at: time + duration)
    }

    func reinstate(_ peer: Int, at server: SimulatedServer) throws {
        guard answers(server), !server.hasFailed else {
            return events.schedule(.reinstate(server: server.index, peer: peer), at: time + Span.second)
        }
        guard let effects = try? server.node.reinstate(serverID(peer), at: now(of: server)) else { return }
        server.truth[peer].isSuspended = false
        try commit(effects, for: .other, at: server)
    }

    private func remove(_ peer: Int, at server: SimulatedServer, for duration: Int64) throws {
        guard answers(server), !server.hasFailed, server.truth[peer].isPeer else { return }
        guard let effects = try? server.node.removePeer(serverID(peer), at: now(of: server)) else { return }
        server.truth[peer].isPeer = false
        server.truth[peer].trustedUntil = .min
        try commit(effects, for: .other, at: server)
        events.schedule(.addPeer(server: server.index, peer: peer), at: time + duration)
    }

    func addPeer(_ peer: Int, at server: SimulatedServer) throws {
        guard answers(server), !server.hasFailed, peer == servers.count || servers[peer].isUp else {
            return events.schedule(.addPeer(server: server.index, peer: peer), at: time + Span.second)
        }
        guard !server.truth[peer].isPeer else { return }
        let id = serverID(peer)
        var effects: [Effect] = []
        // A restored server whose clock had been ahead numbers its cards below one that it has given out already, and is
        // refused: the operator adds it by the card that is known.
        for compact in [try card(of: peer), server.node.cards[id]].compactMap(\.self) {
            guard server.node.peers[id] == nil else { break }
            if let added = try? server.node.addPeer(compact, at: now(of: server)) { effects += added.effects }
        }
        guard server.node.peers[id] != nil else {
            // A clock that is far off, for example: the operator tries again.
            try commit(effects, for: .other, at: server)
            return events.schedule(.addPeer(server: server.index, peer: peer), at: time + Span.second)
        }
        server.truth[peer].isPeer = true
        server.truth[peer].heardAt = time
        try commit(effects, for: .other, at: server)
    }

    func setRoute(to peer: Int, active: Bool, at server: SimulatedServer) throws {
        guard answers(server), !server.hasFailed else {
            if active { events.schedule(.routeOn(server: server.index, peer: peer), at: time + Span.second) }
            return
        }
        guard let (_, effects) = try? server.node.setRoute(Self.portal(to: serverID(peer)), active: active) else {
            return
        }
        try commit(effects, for: .other, at: server)
    }
}

extension FaultKind {
    /// The place in the list, for the digest.
    var hashNumber: Int { FaultKind.allCases.firstIndex(of: self) ?? 0 }
}
