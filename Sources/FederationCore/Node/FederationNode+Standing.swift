public import FederationCrypto
public import FederationModel

/// How another server stands here at one moment, for people to see.
public struct ServerStanding: Hashable, Sendable {
    /// The key that its id is bound to.
    public let key: PublicKey
    /// Its newest card as it is known here; nil for one that was believed on first use and has not shown a card yet.
    public let entry: FederatedServer?
    /// Whether it is a peer: pinned, or trusted by the policy.
    public let isPeer: Bool
    /// Why it is a peer.
    public let trust: TrustSource?
    public let scopes: PeerScopes
    /// Why no channel with it may be open; nil when one may.
    public let refusal: Refusal?
    public let health: HealthStatus?
    /// The proof of the present handshake; nil without one.
    public let verified: VerifiedPeer?
    public let isConnected: Bool
    /// Where this server reaches it, in order; the operator's word before its own.
    public let endpoints: [Endpoint]
    /// Whether it is the operator who says where it is reached.
    public let isAddressSet: Bool
    /// Those of ``endpoints`` that an operator has chosen by hand.
    let chosen: [Endpoint]

    /// Whether an operator has chosen one of its endpoints by hand, so that it may be where strangers' words lead nobody.
    public func isChosen(_ endpoint: Endpoint) -> Bool { chosen.contains(endpoint) }
}

extension FederationNode {
    /// How a server stands here; nil for one of which not even a key is known.
    public func standing(of server: ServerID, at now: Now) -> ServerStanding? {
        let entry = registry.server(server)
        let record = peers[server]
        guard let key = bindings[server]?.key ?? record?.publicKey ?? entry?.publicKey else { return nil }
        let set = configuration.addresses[server]
        let endpoints = set.map { [$0] } ?? entry.map { [$0.endpoint] + $0.alternatives } ?? []
        return ServerStanding(
            key: key, entry: entry, isPeer: record != nil, trust: record?.trust, scopes: record?.scopes ?? [],
            refusal: refusal(of: server, at: now), health: record.flatMap { _ in health.status(of: server) },
            verified: verifiedPeer(server, at: now), isConnected: channel(to: server) != nil,
            endpoints: endpoints, isAddressSet: set != nil,
            chosen: endpoints.filter { isChosen($0, of: server) })
    }

    /// Whether an operator has chosen by hand that a server is reached at an endpoint: by setting it, or by pinning the server
    /// while its card named it. Where a later card leads is nobody's choice.
    public func isChosen(_ endpoint: Endpoint, of server: ServerID) -> Bool {
        configuration.addresses[server] == endpoint || peers[server]?.isPinned(at: endpoint) == true
    }

    /// Why a server may not have a channel with this one; nil when it may.
    private func refusal(of server: ServerID, at now: Now) -> Refusal? {
        if registry.isSuspended(server) {
            return Refusal(
                .forbidden, code: "server.suspended",
                reason: "\(server) is suspended: \(registry.suspensionReason(of: server) ?? "no reason was given")",
                remedy: "reinstate it: aether peers reinstate \(server)", step: .registry)
        }
        guard peers[server] != nil else {
            guard case .trust? = decision(on: server, at: now) else {
                if case .refuse(let refusal)? = decision(on: server, at: now), policy.isAutomatic { return refusal }
                return Self.unknownPeer(server)
            }
            return nil
        }
        if denied.contains(server) { return TrustPolicy.denied(server) }
        return missing(.heartbeat, of: server)
    }

    /// Why a player who came from a server to a world would not be let in now; nil when one would, as far as that can be told
    /// without the player. A world with a guard still has the last word.
    public func refusal(toEnter world: WorldID, from server: ServerID, at now: Now) -> Refusal? {
        if let refusal = refusal(of: server, at: now) { return refusal }
        // Before anything is told of worlds. One that is no peer yet would have the policy's scopes when it comes.
        var scopes = peers[server]?.scopes ?? []
        if peers[server] == nil, case .trust(_, let given)? = decision(on: server, at: now) { scopes = given }
        for scope in [PeerScopes.route, .assets, .handoff] {
            if let refusal = missing(scope, of: server, with: scopes) { return refusal }
        }
        guard worlds[world] != nil else {
            return Refusal(
                .notFound, code: "world.unknown", reason: "there is no world \(world) on \(id)",
                remedy: "change the route, or offer the world there: aether worlds add \(world)", step: .handoff)
        }
        guard ledger.openCount < Limits.openHandoffs,
            players.stateBytes + ledger.snapshotBytes + arrivalBytes + Limits.snapshotBytes <= Limits.allSnapshotsBytes
        else {
            return Refusal(
                .overloaded, code: "handoff.full", reason: "\(id) has no room for another player",
                remedy: "wait until players have gone on", step: .handoff)
        }
        return nil
    }

    /// Whether an id's binding would believe a card, and what it would make of it. Changes nothing.
    public func change(by card: ServerCard, at now: Now) throws(Refusal) -> KeyBinding.Change {
        try bound(card, at: now).change
    }

    /// Whether a server had this key once and has rotated away from it: this one, or another.
    public func hasLeftBehind(_ key: PublicKey, of server: ServerID) -> Bool {
        server == id
            ? ownKeys.past.contains(key) : bindings[server]?.retired.contains { $0.key == key } ?? false
    }

    /// The key to verify a server's statement with; nil when the statement names none that counts now.
    public func countingKey(of server: ServerID, for compact: String, at now: Now) -> PublicKey? {
        guard let named = CompactJWS.unverifiedKey(compact) else { return nil }
        guard let binding = bindings[server] else {
            return registry.server(server)?.publicKey == named ? named : nil
        }
        return binding.accepts(named, at: now.timestamp) ? named : nil
    }
}
