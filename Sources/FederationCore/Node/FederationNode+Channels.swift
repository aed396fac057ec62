public import FederationCrypto
public import FederationModel
public import FederationWire

extension FederationNode {
    /// What the transport does next with a channel whose handshake runs.
    public enum ChannelStep: Hashable, Sendable {
        /// Send these messages and go on waiting.
        case send([[UInt8]])
        /// Send these messages; from now on everything is a record.
        case established([[UInt8]])
        case close(CloseCode)
    }

    /// A socket has opened: begins the handshake and returns the Hello to send.
    ///
    /// - Parameter expecting: the peer that was dialled; nil for an incoming channel.
    public mutating func openChannel(
        _ channel: ChannelID, direction: ChannelDirection, expecting peer: ServerID?,
        entropy: consuming HandshakeEntropy,
        at now: Now
    ) throws(HandshakeManager.Failure) -> [UInt8] {
        try handshakes.initiate(channel, direction: direction, expecting: peer, entropy: entropy, at: now)
    }

    /// A handshake message has arrived.
    public mutating func receiveHandshake(
        _ message: [UInt8], on channel: ChannelID, direction: ChannelDirection, at now: Now
    ) -> (ChannelStep, [Effect]) {
        let step: HandshakeStep
        do {
            let view = trustView
            step = try handshakes.receive(message, on: channel, at: now) { view.answer(to: $0, at: now) }
        } catch {
            return (.close(error.closeCode), probe(because: error, at: now) + askForCard(because: error, at: now))
        }
        switch step {
        case .send(let message):
            return (.send([message]), [])
        case .sendAll(let messages):
            return (.send(messages), [])
        case .completed(let peer, let superseded):
            var effects: [Effect] = []
            if let superseded { effects += drop(superseded, .duplicateChannel) }
            guard let welcome = welcome(peer, at: now) else {
                _ = handshakes.revoke(peer.serverID)
                return (.close(.untrustedPeer), effects)
            }
            effects += welcome
            // Whoever had to give way for it may have been the one that spoke for it.
            guard peers[peer.serverID] != nil else {
                _ = handshakes.revoke(peer.serverID)
                return (.close(.untrustedPeer), effects)
            }
            effects += established(channel, with: peer, direction: direction, at: now)
            return (.established([]), effects)
        }
    }

    /// The record layer of an established channel; it can be taken once.
    public mutating func takeRecords(for channel: ChannelID) -> RecordLayer? {
        handshakes.takeRecords(for: channel)
    }

    /// A socket has closed.
    public mutating func channelClosed(_ channel: ChannelID, at now: Now) -> [Effect] {
        handshakes.close(channel)
        return forget(channel).map { [.report(.channelClosed($0))] } ?? []
    }

    /// Closes a channel whose other end is where nobody may be any more, at once. The trust in its peer stays.
    public mutating func refuse(_ channel: ChannelID, _ code: CloseCode) -> [Effect] {
        handshakes.close(channel)
        return drop(channel, code)
    }

    /// Closes a channel and forgets it at once: until its socket has closed, nothing more is sent or taken on it.
    mutating func drop(_ channel: ChannelID, _ code: CloseCode) -> [Effect] {
        var effects: [Effect] = [.close(channel, code)]
        if let server = forget(channel) { effects.append(.report(.channelClosed(server))) }
        return effects
    }

    /// The peer of an established channel, which is one no more.
    private mutating func forget(_ channel: ChannelID) -> ServerID? {
        guard let server = sessions.removeValue(forKey: channel)?.peer.serverID else { return nil }
        if channels[server] == channel { channels[server] = nil }
        return server
    }

    /// The peer at the other end of an established channel.
    public func peer(on channel: ChannelID) -> VerifiedPeer? { sessions[channel]?.peer }

    /// The established channel to a peer.
    public func channel(to server: ServerID) -> ChannelID? { channels[server] }

    /// The last measured round trip to a peer.
    public func roundTrip(to server: ServerID) -> Duration? {
        channels[server].flatMap { sessions[$0]?.roundTrip }
    }

    /// The round trip to a peer, smoothed over the last answers.
    public func smoothedRoundTrip(to server: ServerID) -> Duration? {
        channels[server].flatMap { sessions[$0]?.smoothedRoundTrip }
    }

    /// Who opened the channel to a peer.
    public func direction(to server: ServerID) -> ChannelDirection? {
        channels[server].flatMap { sessions[$0]?.direction }
    }

    private mutating func established(
        _ channel: ChannelID, with peer: VerifiedPeer, direction: ChannelDirection, at now: Now
    ) -> [Effect] {
        var effects: [Effect] = []
        if let old = channels[peer.serverID] { effects += drop(old, .duplicateChannel) }
        sessions[channel] = PeerSession(peer: peer, direction: direction)
        channels[peer.serverID] = channel
        heartbeats.insert(HeartbeatDue(at: now.instant + configuration.health.interval, channel: channel))
        effects.append(.report(.channelEstablished(peer.serverID, direction)))
        effects += alive(peer.serverID, at: now)
        effects.append(position(for: peer, on: channel))
        effects += recalls(on: channel)
        if let card { effects.append(.send(.notice(.card(card.compact)), on: channel)) }
        effects += resumeHandoffs(with: peer, on: channel, at: now)
        effects += introduce(arrived: peer.serverID, at: now)
        return effects
    }

    // MARK: Heartbeats

    mutating func sendHeartbeats(at now: Now) -> [Effect] {
        var effects: [Effect] = []
        while let due = heartbeats.min, due.at <= now.instant {
            heartbeats.removeMin()
            guard var session = sessions[due.channel] else { continue }
            guard verifiedPeer(session.peer.serverID, at: now) != nil else {
                effects += drop(due.channel, .trustExpired)
                continue
            }
            effects.append(Self.heartbeat(&session, on: due.channel, at: now))
            sessions[due.channel] = session
            heartbeats.insert(HeartbeatDue(at: now.instant + configuration.health.interval, channel: due.channel))
        }
        return effects
    }

    static func heartbeat(_ session: inout PeerSession, on channel: ChannelID, at now: Now) -> Effect {
        session.sequence += 1
        session.outstanding = (session.sequence, now.instant)
        return .send(.heartbeat(.init(sequence: session.sequence, sentAt: now.timestamp)), on: channel)
    }

    /// A peer that opens another channel may have lost the one that is kept: after a power cut it does not know of it,
    /// and its machine answers the next bytes with a reset. So some are sent at once.
    private mutating func probe(because failure: HandshakeManager.Failure, at now: Now) -> [Effect] {
        guard case .duplicateChannel(let server) = failure, let kept = channels[server], var session = sessions[kept]
        else { return [] }
        defer { sessions[kept] = session }
        return [Self.heartbeat(&session, on: kept, at: now)]
    }

    mutating func acknowledged(
        _ heartbeat: FederationFrame.Heartbeat, on channel: ChannelID, at now: Now
    ) -> [Effect] {
        guard var session = sessions[channel], let outstanding = session.outstanding,
            outstanding.sequence == heartbeat.sequence
        else {
            return sessions[channel].map { [.report(.lateObservation($0.peer.serverID))] } ?? []
        }
        let roundTrip = now.instant - outstanding.sentAt
        session.outstanding = nil
        session.roundTrip = roundTrip
        session.smoothedRoundTrip = session.smoothedRoundTrip.map { $0 + (roundTrip - $0) / 8 } ?? roundTrip
        sessions[channel] = session
        return [.report(.roundTrip(session.peer.serverID, roundTrip))] + alive(session.peer.serverID, at: now)
    }

    /// A peer has answered: its health is good and the registry has heard of it.
    private mutating func alive(_ server: ServerID, at now: Now) -> [Effect] {
        var effects: [Effect] = []
        if let change = health.recordSuccess(server, at: now.instant) {
            effects += apply(change, at: now)
        }
        effects += tellProbes(of: server)
        let before = registry.status(of: server)
        do {
            try registry.recordHeartbeat(server, at: now.timestamp)
        } catch .heartbeatBackwards {
            // This server's wall clock was set back. The registry keeps the newer time; the peer is there all the same.
            _ = try? registry.updateStatus(server, to: .online)
        } catch {
            return effects
        }
        // Heard, and on its way back; see ``HealthThresholds/recovery``.
        if health.status(of: server) == .degraded { _ = try? registry.updateStatus(server, to: .degraded) }
        if let entry = registry.server(server), entry.status != before {
            effects.append(.persist([.putServer(entry, card: cards[server])]))
        }
        return effects
    }

    // MARK: Frames

    /// A frame has arrived on an established channel. What the peer may not send here closes the channel.
    public mutating func receive(_ frame: FederationFrame, on channel: ChannelID, at now: Now) -> [Effect] {
        guard let session = sessions[channel] else { return [] }
        guard let peer = verifiedPeer(session.peer.serverID, at: now) else {
            return drop(channel, .trustExpired)
        }
        switch frame {
        case .ready:
            return drop(channel, .protocolError)
        case .heartbeat(let heartbeat):
            return [.send(.acknowledgement(heartbeat), on: channel)]
        case .acknowledgement(let heartbeat):
            return acknowledged(heartbeat, on: channel, at: now)
        case .worldRequest(let request):
            return [.send(.worldResponse(answer(request, of: peer)), on: channel)]
        case .worldResponse(let response):
            return [.worldAnswered(response, from: peer.serverID)]
        case .assetRequest(let request):
            if let refusal = missing(.assets, of: peer.serverID) {
                let answer = FederationFrame.AssetResponse(request: request.request, answer: .refused(refusal.code))
                return [
                    .report(.refusedFrame(peer.serverID, code: refusal.code)),
                    .send(.assetResponse(answer), on: channel),
                ]
            }
            return [.serveAsset(request, on: channel)]
        case .assetResponse(let response):
            return [.assetAnswered(response, from: peer.serverID)]
        case .offer(let offer):
            return receive(offer, from: peer, on: channel, at: now)
        case .accept(let handoff):
            return accepted(handoff, by: peer, on: channel, at: now)
        case .reject(let rejection):
            return rejected(rejection, by: peer, on: channel, at: now)
        case .commit(let commit):
            return receive(commit, from: peer, on: channel, at: now)
        case .admitted(let admitted):
            return receive(admitted, from: peer, at: now)
        case .abort(let handoff):
            return calledOff(handoff, by: peer, at: now)
        case .query(let handoff):
            return [.send(.verdict(verdict(on: handoff, for: peer, at: now)), on: channel)]
        case .verdict(let verdict):
            return receive(verdict, from: peer, on: channel, at: now)
        case .position(let position):
            return answer(position: position, of: peer, on: channel)
        case .evidence(let tokens):
            return receive(evidence: tokens, from: peer, on: channel, at: now)
        case .recall(let players):
            return receive(recall: players, from: peer, at: now)
        case .notice(let notice):
            return receive(notice, from: peer, at: now)
        case .introductions(let introductions):
            return receive(introductions, from: peer, at: now)
        case .probe(let probe):
            return receive(probe, from: peer, on: channel, at: now)
        case .probeResult(let result):
            return receive(result, from: peer, at: now)
        }
    }

    private func answer(
        _ request: FederationFrame.WorldRequest, of peer: VerifiedPeer
    ) -> FederationFrame.WorldResponse {
        if let refusal = missing(.route, of: peer.serverID) {
            return FederationFrame.WorldResponse(request: request.request, answer: .refused(refusal.code))
        }
        guard let world = worlds[request.world] else {
            return FederationFrame.WorldResponse(request: request.request, answer: .refused("world.unknown"))
        }
        return FederationFrame.WorldResponse(
            request: request.request, answer: .manifest(world.manifest, size: world.manifestSize))
    }
}
