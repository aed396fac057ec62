import FederationCore
import FederationCrypto
import FederationModel
import FederationWire

/// Dialling, channels and what is on the way.
extension Simulation {
    // MARK: Dialling

    /// The node wants a channel to a peer.
    func dial(_ peer: Int, from server: SimulatedServer) {
        if let dial = server.dials[peer] {
            server.dials[peer]?.isHastened = true
            // Not at once: a peer that keeps a dead channel refuses every new one, and would be dialled without end.
            if dial.isResting, dial.isPausing {
                server.dials[peer]?.isResting = false
                let least = Limits.dialBackoffMinimum.clampedNanoseconds
                pause(peer, of: server, for: least / 2 + network.below(least / 2))
            }
            return
        }
        server.lastDial += 1
        server.dials[peer] = SimulatedServer.Dial(number: server.lastDial)
        pause(peer, of: server, for: 0)
    }

    private func pause(_ peer: Int, of server: SimulatedServer, for duration: Int64) {
        guard var dial = server.dials[peer] else { return }
        dial.isPausing = true
        dial.pause += 1
        server.dials[peer] = dial
        events.schedule(
            .dial(server: server.index, boot: server.boot, peer: peer, dial: dial.number, pause: dial.pause),
            at: time + duration)
    }

    private func rest(_ peer: Int, of server: SimulatedServer) {
        server.dials[peer]?.isResting = true
        pause(peer, of: server, for: Limits.dialBackoffMaximum.clampedNanoseconds)
    }

    private func fail(_ peer: Int, of server: SimulatedServer, settled: Bool) {
        guard let dial = server.dials[peer] else { return }
        server.dials[peer]?.attempts = dial.attempts + 1
        if settled, !dial.isHastened { return rest(peer, of: server) }
        let doublings = settled ? 0 : min(dial.attempts, 16)
        let whole = min(
            Limits.dialBackoffMinimum.clampedNanoseconds << Int64(doublings),
            Limits.dialBackoffMaximum.clampedNanoseconds)
        pause(peer, of: server, for: whole / 2 + network.below(whole / 2))
    }

    func attempt(_ server: SimulatedServer, _ peer: Int, dial number: Int, pause: Int) throws {
        guard let dial = server.dials[peer], dial.number == number, dial.pause == pause else { return }
        server.dials[peer]?.isPausing = false
        server.dials[peer]?.isResting = false
        server.dials[peer]?.isHastened = false
        guard server.node.channel(to: serverID(peer)) == nil else { return rest(peer, of: server) }
        connect(server, peer, dial: number)
    }

    /// Opens a socket, if the other side can be reached.
    func connect(_ server: SimulatedServer, _ peer: Int, dial number: Int) {
        if blockedUntil[server.index][peer] > time {
            // Nothing answers: the dial is given up after a while, as if it had been refused by then.
            return fail(peer, of: server, settled: false)
        }
        let party: SimulatedWire.Party = peer == servers.count ? .hostile : .server(peer)
        if case .server(let index) = party, !servers[index].isUp { return fail(peer, of: server, settled: false) }
        let boot = peer < servers.count ? servers[peer].boot : 0
        let wire = SimulatedWire(
            number: wires.count, ends: (.server(server.index), party), boots: (server.boot, boot), dial: number)
        wires.append(wire)
        server.wires.append(wire.number)
        if peer < servers.count { servers[peer].wires.append(wire.number) }
        note(.opened, wire.number, UInt64(server.index * 100 + peer)) { "\(server.id) dials \(serverID(peer))" }
        send(.opened, over: wire, toFirst: false)
        send(.opened, over: wire, toFirst: true)
    }

    /// An impostor's socket: it claims to be a peer and signs with another key.
    func connectImpostor(to server: SimulatedServer) -> SimulatedWire {
        let wire = SimulatedWire(
            number: wires.count, ends: (.impostor, .server(server.index)), boots: (0, server.boot), dial: 0)
        wires.append(wire)
        server.wires.append(wire.number)
        send(.opened, over: wire, toFirst: false)
        send(.opened, over: wire, toFirst: true)
        return wire
    }

    func serverID(_ peer: Int) -> ServerID { peer == servers.count ? hostile.identity.id : servers[peer].id }

    func peerNumber(of party: SimulatedWire.Party) -> Int? {
        switch party {
        case .server(let index): index
        case .hostile: servers.count
        case .impostor: nil
        }
    }

    // MARK: Sending

    /// Sends a frame as bytes; a channel that is gone swallows it.
    func send(_ frame: FederationFrame, on channel: ChannelID, from server: SimulatedServer) throws {
        let bytes: [UInt8]
        do {
            bytes = try FrameCodec.encode(frame)
        } catch {
            throw violated(.framesEncode, "\(server.id) would send a \(frame.label) that is out of bounds: \(error)")
        }
        note(.carried, server.index * 100 + frame.kind, frame.handoff.map(self.number(of:)) ?? 0) {
            "\(server.id) sends \(frame.label) \(frame.handoff.map { "#\(self.number(of: $0))" } ?? "")"
        }
        let (number, first) = SimulatedWire.end(of: channel)
        guard let wire = wires[number], wire.isOpen, wire.boot(first: first) == server.boot else { return }
        let waiting = first ? wire.toSecond.count : wire.toFirst.count
        guard waiting < server.outboundFrames(at: time) else { return close(channel, of: server, .overloaded) }
        if frame.handoff != nil, let peer = peerNumber(of: wire.party(first: !first)) {
            sendDisturbed(bytes, over: wire, toFirst: !first, disturbances[server.index][peer])
        } else {
            send(.frame(bytes), over: wire, toFirst: !first)
        }
    }

    func send(_ message: SimulatedWire.Message, over wire: SimulatedWire, toFirst: Bool, after extra: Int64 = 0) {
        let one = peerNumber(of: wire.ends.0) ?? servers.count
        let other = peerNumber(of: wire.ends.1) ?? servers.count
        var delay = 100 * Span.microsecond + network.below(900 * Span.microsecond) + extra
        let slow = slowed[one][other]
        if slow.until > time { delay += slow.by }
        wire.update(toFirst: toFirst) { direction in
            let arrival = max(direction.lastArrival, time + delay)
            direction.lastArrival = arrival
            direction.waiting.append((arrival, message))
        }
        schedule(wire, first: toFirst)
    }

    /// Schedules the next message that leads to an end.
    func schedule(_ wire: SimulatedWire, first: Bool) {
        let next: Int64? = wire.update(toFirst: first) { direction in
            guard !direction.isScheduled, !direction.isPaused, !direction.isEmpty else { return nil }
            direction.isScheduled = true
            return direction.waiting[direction.head].at
        }
        if let next { events.schedule(.deliver(wire: wire.number, first: first), at: max(time, next)) }
    }

    // MARK: Ending

    /// One side closes: what it has sent still arrives.
    func close(_ channel: ChannelID, of server: SimulatedServer, _ code: CloseCode) {
        let (number, first) = SimulatedWire.end(of: channel)
        guard let wire = wires[number], wire.isOpen, wire.boot(first: first) == server.boot else { return }
        if code == .duplicateChannel { wire.isDuplicate = true }
        note(.closed, number, UInt64(code.rawValue)) { "\(server.id) closes wire \(number): \(code)" }
        close(wire, first: first)
    }

    func close(_ wire: SimulatedWire, first: Bool) {
        guard wire.isOpen else { return }
        wire.isOpen = false
        send(.closed, over: wire, toFirst: !first)
        wire.update(toFirst: first) { $0.keep(0) }
        send(.closed, over: wire, toFirst: first)
    }

    /// The channel breaks. An end may hear of it late, as when a machine vanishes without a word.
    func cut(_ wire: SimulatedWire, _ random: inout SplitMix64) {
        guard wire.isOpen else { return }
        wire.isOpen = false
        note(.closed, wire.number, 0) { "wire \(wire.number) breaks" }
        for toFirst in [true, false] {
            let kept = wire.update(toFirst: toFirst) { random.below($0.count + 1) }
            wire.update(toFirst: toFirst) { $0.keep(kept) }
            let late = random.oneIn(8) ? random.below(20 * Span.second) : random.below(50 * Span.millisecond)
            send(.closed, over: wire, toFirst: toFirst, after: late)
        }
    }

    /// One end is dead: nothing reaches it, and what it has sent arrives in part.
    func abandon(_ wire: SimulatedWire, byFirst first: Bool) {
        wire.update(toFirst: first) { $0.keep(0) }
        guard wire.isOpen else { return }
        wire.isOpen = false
        let kept = wire.update(toFirst: !first) { network.below($0.count + 1) }
        wire.update(toFirst: !first) { $0.keep(kept) }
        let late = network.oneIn(8) ? network.below(20 * Span.second) : network.below(50 * Span.millisecond)
        send(.closed, over: wire, toFirst: !first, after: late)
    }

    // MARK: Delivering

    func deliver(_ number: Int, first: Bool) throws {
        guard let wire = wires[number] else { return }
        wire.update(toFirst: first) { $0.isScheduled = false }
        let party = wire.party(first: first)
        let other = wire.party(first: !first)
        if let here = peerNumber(of: party), let there = peerNumber(of: other), blockedUntil[here][there] > time {
            return wait(wire, first: first, until: blockedUntil[here][there])
        }
        switch party {
        case .hostile, .impostor:
            guard let message = wire.update(toFirst: first, { $0.take() }) else { return }
            try hostileReceives(message, over: wire, first: first)
        case .server(let index):
            let server = servers[index]
            guard server.isUp, server.boot == wire.boot(first: first) else {
                wire.update(toFirst: first) { $0.keep(0) }
                return
            }
            guard server.stalledUntil <= time else { return wait(wire, first: first, until: server.stalledUntil) }
            guard let message = wire.update(toFirst: first, { $0.take() }) else { return }
            try receive(message, over: wire, first: first, at: server)
        }
        schedule(wire, first: first)
    }

    private func wait(_ wire: SimulatedWire, first: Bool, until: Int64) {
        wire.update(toFirst: first) { $0.isScheduled = true }
        events.schedule(.deliver(wire: wire.number, first: first), at: until)
    }

    private func receive(
        _ message: SimulatedWire.Message, over wire: SimulatedWire, first: Bool, at server: SimulatedServer
    ) throws {
        let channel = wire.channel(first: first)
        switch message {
        case .opened:
            guard wire.isOpen else { return }
            let peer = peerNumber(of: wire.party(first: !first))
            do {
                let hello = try server.node.openChannel(
                    channel, direction: first ? .outgoing : .incoming,
                    expecting: first ? peer.map(serverID) : nil, entropy: HandshakeEntropy(using: &entropy),
                    at: now(of: server))
                keepTime(server)
                send(.handshake(hello), over: wire, toFirst: !first)
            } catch {
                close(channel, of: server, error.closeCode)
            }
        case .handshake(let bytes):
            guard !wire.isEstablished(first: first) else { return close(channel, of: server, .badRecord) }
            try receiveHandshake(bytes, over: wire, first: first, at: server)
        case .frame(let bytes):
            guard wire.isEstablished(first: first) else {
                try checkUntrusted(bytes, on: channel, at: server)
                return try receiveHandshake(bytes, over: wire, first: first, at: server)
            }
            try receiveFrame(bytes, over: wire, first: first, at: server)
        case .closed:
            try closed(wire, first: first, at: server)
        }
    }

    private func receiveHandshake(
        _ bytes: [UInt8], over wire: SimulatedWire, first: Bool, at server: SimulatedServer
    ) throws {
        let channel = wire.channel(first: first)
        let (step, effects) = server.node.receiveHandshake(
            bytes, on: channel, direction: first ? .outgoing : .incoming, at: now(of: server))
        switch step {
        case .send(let messages):
            for message in messages { send(.handshake(message), over: wire, toFirst: !first) }
        case .established(let messages):
            for message in messages { send(.handshake(message), over: wire, toFirst: !first) }
            if first { wire.isEstablished.0 = true } else { wire.isEstablished.1 = true }
            _ = server.node.takeRecords(for: channel)
            try established(wire, first: first, at: server)
        case .close(let code):
            close(channel, of: server, code)
        }
        try enqueue(effects, at: server)
    }

    /// The node says that a peer has proved itself: it must be the one that sits there.
    private func established(_ wire: SimulatedWire, first: Bool, at server: SimulatedServer) throws {
        let party = wire.party(first: !first)
        guard let peer = server.node.peer(on: wire.channel(first: first)) else { return }
        let identity: ServerIdentity? =
            switch party {
            case .server(let index): servers[index].identity
            case .hostile: hostile.identity
            case .impostor: nil
            }
        note(.established, wire.number, UInt64(server.index)) { "\(server.id): channel to \(peer.serverID) stands" }
        guard let identity, let number = peerNumber(of: party), identity.id == peer.serverID,
            identity.publicKey == peer.publicKey
        else {
            throw violated(.trustNeedsHandshake, "\(server.id) believes that \(party) is \(peer.serverID)")
        }
        let truth = server.truth[number]
        guard truth.isPeer, !truth.isSuspended else {
            throw violated(.trustNeedsHandshake, "\(server.id) trusts \(peer.serverID) against its operator's word")
        }
        server.truth[number].trustedUntil = time + server.configuration.handshake.trustLifetime.clampedNanoseconds
        server.truth[number].heardAt = time
        if first { server.dials[number]?.attempts = 0 }
    }

    private func receiveFrame(
        _ bytes: [UInt8], over wire: SimulatedWire, first: Bool, at server: SimulatedServer
    ) throws {
        let channel = wire.channel(first: first)
        let frame: FederationFrame
        do {
            frame = try FrameCodec.decode(bytes)
        } catch {
            return close(channel, of: server, .protocolError)
        }
        guard let number = peerNumber(of: wire.party(first: !first)) else { return }
        let wasTrusted = server.node.peer(on: channel) != nil
        let isTrusted = wasTrusted && server.node.verifiedPeer(serverID(number), at: now(of: server)) != nil
        note(.delivered, server.index * 100 + frame.kind, frame.handoff.map(self.number(of:)) ?? 0) {
            "\(server.id) gets \(frame.label) of \(serverID(number)) "
                + "\(frame.handoff.map { "#\(self.number(of: $0))" } ?? "")\(wasTrusted ? "" : " on a dead channel")"
        }
        let effects = server.node.receive(frame, on: channel, at: now(of: server))
        if case .acknowledgement = frame, effects.contains(where: \.isRoundTrip) {
            server.truth[number].heardAt = time
            heard(number, by: server)
        }
        // Only the word of the one who was asked counts, once.
        if case .probeResult(let result) = frame, isTrusted, let probe = server.probes[result.request],
            probe.asked == number
        {
            server.probes[result.request] = nil
            if result.reached { server.truth[probe.target].vouchedAt = time }
        }
        if case .recall(let recalled) = frame, isTrusted { noteRecall(recalled, of: serverID(number), at: server) }
        if case .offer(let offer) = frame { try checkDoor(offer.handoff, effects, at: server) }
        let truth = server.truth[number]
        if !truth.isPeer || truth.isSuspended || truth.trustedUntil <= time, effects.contains(where: \.isAboutHandoffs)
        {
            throw violated(
                .trustNeedsHandshake,
                "\(server.id) acts on a \(frame.label) of \(serverID(number)), which is not trusted")
        }
        if server.queue.count < server.queuedBatches(at: time) {
            try enqueue(effects, at: server)
        } else {
            try carryOut(effects, at: server, pausing: wire, first: first)
        }
    }

    /// From now on the server knows.
    private func noteRecall(
        _ recalled: [FederationFrame.RecalledPlayer], of home: ServerID, at server: SimulatedServer
    ) {
        for one in recalled where one.player.home == home {
            guard let number = playerNumbers[one.player] else { continue }
            server.recalls[number] = max(server.recalls[number] ?? one.epoch, one.epoch)
            touchedPlayers.append(number)
        }
    }

    /// A frame where the handshake is not over must change nothing.
    private func checkUntrusted(_ bytes: [UInt8], on channel: ChannelID, at server: SimulatedServer) throws {
        guard let frame = try? FrameCodec.decode(bytes) else { return }
        guard server.node.receive(frame, on: channel, at: now(of: server)).isEmpty else {
            throw violated(.trustNeedsHandshake, "\(server.id) acts on a \(frame.label) before the handshake is over")
        }
    }

    private func closed(_ wire: SimulatedWire, first: Bool, at server: SimulatedServer) throws {
        let channel = wire.channel(first: first)
        let peer = server.node.peer(on: channel)?.serverID
        note(.closed, wire.number, UInt64(server.index)) { "\(server.id): wire \(wire.number) is closed" }
        // This end closes as well, in case the other one has not noticed.
        if wire.isOpen { close(wire, first: first) }
        server.wires.removeAll { $0 == wire.number }
        wire.update(toFirst: first) { $0.keep(0) }
        try enqueue(server.node.channelClosed(channel, at: now(of: server)), at: server)
        if let peer { try enqueue(server.node.dialEffects(for: peer), at: server) }
        if first, let number = peerNumber(of: wire.ends.1), let dial = server.dials[number], dial.number == wire.dial,
            !dial.isPausing
        {
            fail(number, of: server, settled: wire.isDuplicate)
        }
        if wire.toFirst.isEmpty, wire.toSecond.isEmpty { wires[wire.number] = nil }
    }
}

extension Effect {
    var isRoundTrip: Bool {
        if case .report(.roundTrip) = self { true } else { false }
    }

    /// Whether it changes a handoff or a player, or says something about one.
    var isAboutHandoffs: Bool {
        switch self {
        case .persist(let changes):
            changes.contains { change in
                switch change {
                case .putPlayer, .putHandoff, .removePlayer, .removeHandoff, .putDecisions, .putPassage, .putReclaim,
                    .putRecall:
                    true
                case .putServer, .removeServer, .putTombstone, .removeTombstone, .putPeer, .removePeer, .putRoute,
                    .removeRoute, .putWorld, .removeWorld, .putCardSequence, .putBinding, .putEquivocation,
                    .putOwnKeys, .registry, .trust:
                    false
                }
            }
        case .send(let frame, on: _): frame.handoff != nil
        case .notify: true
        case .close, .dial, .dialNow, .hangUp, .serveAsset, .assetAnswered, .worldAnswered, .report, .fetchCard: false
        }
    }
}
