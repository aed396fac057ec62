import FederationCrypto
import FederationModel
import FederationWire

/// What keeps health fair: others are asked before a peer is given up, and a peer that says to be back is tried at once.
extension FederationNode {
    /// What a peer's own word has brought about.
    struct Comeback: Sendable {
        /// The newest statement that was taken; an older one is a replay.
        let sequence: UInt64
        let issuedAt: Timestamp
        let dialledAt: Instant
    }

    // MARK: Asking

    /// Asks common peers about those that have failed again and are about to be given up.
    mutating func askAboutDoubtful(at now: Now) -> [Effect] {
        var effects: [Effect] = []
        let targets = health.takeDoubtful().filter { peers[$0] != nil && !registry.isSuspended($0) }
        guard !targets.isEmpty else { return [] }
        let helpers = channels.keys.filter {
            health.status(of: $0) == .healthy && verifiedPeer($0, at: now) != nil
        }.sorted()
        for target in targets {
            // Without others' word it would be unreachable now: its channel carries no answers and only hides that another
            // could be opened.
            if let known = health.health(of: target), known.failures >= configuration.health.unreachable,
                let channel = channels[target]
            {
                effects += drop(channel, .silent)
            }
            let candidates = helpers.filter { $0 != target }
            for question in probeQuestions.ask(about: target, of: candidates, at: now.instant) {
                guard let channel = channels[question.asked] else { continue }
                effects.append(.send(.probe(.init(request: question.request, server: target)), on: channel))
            }
        }
        return effects
    }

    /// One who was asked has answered.
    mutating func receive(
        _ result: FederationFrame.ProbeResult, from peer: VerifiedPeer, at now: Now
    ) -> [Effect] {
        guard
            let word = probeQuestions.answered(
                result.request, by: peer.serverID, isReached: result.reached, at: now.instant),
            health.vouch(for: word.target, until: word.until, at: now.instant)
        else { return [] }
        return [.report(.vouched(word.target, by: peer.serverID))]
    }

    // MARK: Answering

    /// A trusted peer asks whether this server reaches another. It learns nothing of servers that are no peers here: those
    /// are not reached, as those that are and do not answer.
    mutating func receive(
        _ probe: FederationFrame.Probe, from peer: VerifiedPeer, on channel: ChannelID, at now: Now
    ) -> [Effect] {
        let target = verifiedPeer(probe.server, at: now) == nil ? nil : channels[probe.server]
        let known = health.health(of: probe.server)
        let verdict = probeAnswers.ask(
            probe.request, by: peer.serverID, about: probe.server, isConnected: target != nil,
            heardAt: known?.failures == 0 ? known?.observedAt : nil, at: now.instant)
        switch verdict {
        case .answer(let isReached):
            return [Self.answer(probe.request, isReached, on: channel)]
        case .probe:
            guard let target, var session = sessions[target] else { return [] }
            if let sent = session.outstanding?.sentAt, now.instant < sent + IndirectProbeAnswers.patience { return [] }
            defer { sessions[target] = session }
            return [Self.heartbeat(&session, on: target, at: now)]
        }
    }

    /// A peer has answered this server: those who wait for that are told.
    mutating func tellProbes(of server: ServerID) -> [Effect] {
        probeQuestions.settle(server)
        return answer(probeAnswers.heard(from: server), isReached: true)
    }

    /// Those who have waited long enough are told that there was no answer.
    mutating func expireProbes(at now: Now) -> [Effect] {
        answer(probeAnswers.expire(at: now.instant), isReached: false)
    }

    private func answer(_ waiting: [IndirectProbeAnswers.Waiting], isReached: Bool) -> [Effect] {
        waiting.compactMap { question in
            channels[question.asker].map { Self.answer(question.request, isReached, on: $0) }
        }
    }

    private static func answer(_ request: UInt64, _ isReached: Bool, on channel: ChannelID) -> Effect {
        .send(.probeResult(.init(request: request, reached: isReached)), on: channel)
    }

    /// Forgets a server that is a peer no more.
    mutating func forgetProbes(of server: ServerID) {
        probeQuestions.settle(server)
        probeAnswers.forget(server)
        comebacks[server] = nil
    }

    // MARK: Coming back

    /// A peer without a channel says to this server, signed, that it lives: it is dialled once without waiting for the end of the
    /// pause. Nothing else follows, and not more often than the longest pause would allow; a statement that was taken before, or is
    /// older, is a replay.
    mutating func comeBack(_ statement: HeartbeatStatement, at now: Now) -> [Effect] {
        let server = statement.issuer
        guard channels[server] == nil, !dialEffects(for: server).isEmpty else { return [] }
        if let last = comebacks[server] {
            // Times count first: a server that starts anew numbers anew.
            guard (last.issuedAt, last.sequence) < (statement.issuedAt, statement.sequence),
                now.instant >= last.dialledAt + Limits.dialBackoffMaximum
            else { return [] }
        }
        comebacks[server] = Comeback(
            sequence: statement.sequence, issuedAt: statement.issuedAt, dialledAt: now.instant)
        return [.dialNow(server)]
    }
}
