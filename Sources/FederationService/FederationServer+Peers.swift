import FederationCore
public import FederationModel
import Logging

/// Peers at a glance, and those that fail for long.
extension FederationServer {
    /// Every peer, sorted by id.
    public func peers() async -> [PeerSummary] {
        var summaries: [PeerSummary] = []
        for id in node.peers.keys.sorted() {
            if let summary = try? await peer(id) { summaries.append(summary) }
        }
        return summaries
    }

    public func peer(_ id: ServerID) async throws(Refusal) -> PeerSummary {
        let dial = await transport?.dialState(of: id)
        guard let record = node.peers[id] else {
            throw Refusal(
                .notFound, code: "peer.unknown", reason: "\(id) is not a peer of this server",
                remedy: "see aether peers list")
        }
        let now = clock.now()
        let health = node.health.health(of: id)
        return PeerSummary(
            id: id, entry: node.registry.server(id), status: status(of: id, health?.status),
            suspensionReason: node.registry.suspensionReason(of: id),
            publicKey: record.publicKey, fingerprint: record.publicKey.fingerprint, addedAt: record.addedAt,
            trust: record.trust,
            scopes: record.scopes, keySince: node.bindings[id]?.since ?? record.addedAt, state: state(of: id, dial),
            isTrusted: node.verifiedPeer(id, at: now) != nil, health: health?.status ?? .unreachable,
            isVouchedFor: isVouchedFor(health), direction: node.direction(to: id),
            roundTripMicroseconds: node.roundTrip(to: id).map { $0.clampedNanoseconds / 1_000 },
            queuedFrames: node.channel(to: id).flatMap { channels[$0]?.sink.queuedFrames },
            failingSeconds: isReached(id) ? nil : secondsSilent(id), dial: dial)
    }

    public func isPeer(_ id: ServerID) -> Bool { node.peers[id] != nil }

    /// The registry's word; of a peer without an entry what the registry would say.
    private func status(of id: ServerID, _ health: HealthStatus?) -> ServerStatus {
        if let status = node.registry.status(of: id) { return status }
        if node.registry.isSuspended(id) { return .suspended }
        guard node.channel(to: id) != nil else { return .offline }
        return switch health {
        case .healthy: .online
        case .degraded: .degraded
        case .unreachable, nil: .offline
        }
    }

    private func state(of id: ServerID, _ dial: DialState?) -> PeerState {
        if node.registry.isSuspended(id) { return .suspended }
        if node.channel(to: id) != nil { return .connected }
        guard let dial else { return .idle }
        return dial.nextRetryMilliseconds == nil ? .connecting : .waiting
    }

    private func isVouchedFor(_ health: ServerHealth?) -> Bool {
        guard let health, health.status == .degraded else { return false }
        return node.configuration.health.status(after: health.failures) == .unreachable
    }

    /// Which addresses may be dialled for a peer at an endpoint: any that the deny list does not name, when an operator has
    /// chosen that endpoint by hand; nil for any at all.
    public func addressPolicy(for peer: ServerID, at endpoint: Endpoint) -> AddressPolicy? {
        let denied = node.policy.deniedAddresses
        guard node.isChosen(endpoint, of: peer) else { return node.configuration.network.denying(denied) }
        return denied.isEmpty ? nil : .allBut(denied)
    }

    // MARK: Failing

    /// The peers that are not reached, those first that have been silent for longest; at most ``shownFailing``. Suspended
    /// ones are not missed.
    func failingPeers() -> [FailingPeer] {
        unreached.map { FailingPeer(peer: $0, seconds: secondsSilent($0)) }
            .sorted { ($1.seconds, $0.peer) < ($0.seconds, $1.peer) }
            .prefix(Self.shownFailing).map(\.self)
    }

    private static let shownFailing = 100

    private var unreached: [ServerID] { node.peers.keys.filter { !isReached($0) } }

    private func isReached(_ peer: ServerID) -> Bool {
        if node.registry.isSuspended(peer) { return true }
        return node.channel(to: peer) != nil && node.health.status(of: peer) != .unreachable
    }

    /// Of a peer that was away when this process began the stored time counts: it was written when its silence was noticed. Of one
    /// that was online it may be weeks old, because heartbeats stay in memory; then nothing counts from before the start.
    private func secondsSilent(_ peer: ServerID) -> Double {
        guard let record = node.peers[peer] else { return 0 }
        let now = clock.now()
        guard node.registry.status(of: peer) != nil else {
            // Without an entry nobody notes when it was heard.
            return failing.since(peer).map { Double((now.instant - $0).clampedNanoseconds) / 1e9 } ?? 0
        }
        let last = node.lastHeard(peer) ?? record.addedAt
        return max(0, Double((now.timestamp - last).clampedNanoseconds) / 1e9)
    }

    /// Says in the log which peers fail for an hour, and then every day. Called whenever time passes for the node.
    func lookForFailing() {
        let now = clock.now()
        guard failing.isDue(at: now.instant) else { return }
        for (peer, lasted) in failing.look(at: unreached, at: now.instant) {
            logger.warning(
                "\(peer) has not been reached for \(lasted.components.seconds / 3_600) h",
                metadata: ["silentSeconds": "\(Int64(secondsSilent(peer)))", "see": "aether peers show \(peer)"])
        }
    }
}
