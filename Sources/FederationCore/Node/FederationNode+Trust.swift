import FederationCrypto
public import FederationModel

/// Whom this server trusts besides those that its operator has pinned, and what each peer may do.
extension FederationNode {
    var trustView: TrustView {
        TrustView(
            own: id, policy: policy, peers: peers, denied: denied, registry: registry, cards: cards,
            bindings: bindings, listings: listings, introductions: introductions,
            equivocations: equivocations, equivocators: equivocators)
    }

    /// What would become of a server if it came now.
    public func decision(on server: ServerID, at now: Now) -> TrustPolicy.Decision? {
        guard let key = bindings[server]?.key ?? registry.server(server)?.publicKey else { return nil }
        return trustView.decide(server, key: key, at: now)
    }

    // MARK: What the operator decides

    /// Goes over to another policy. It holds at once: whoever is trusted no more is cut off, and players who were offered to them
    /// and not yet handed over go on here; whoever is trusted from now on and lies behind a portal is dialled.
    public mutating func setPolicy(_ changed: TrustPolicy, at now: Now) -> [Effect] {
        guard changed != policy else { return [] }
        policy = changed
        var effects: [Effect] = [.persist([.trust(.putPolicy(changed))])]
        effects += reviewTrust(at: now)
        for channel in channels.keys.sorted() { effects += introduce(toEverybody: channel, at: now) }
        return effects
    }

    /// Sets what a pinned peer may do, at once.
    ///
    /// - Throws: `peer.unknown`; `peer.automatic` for one whose scopes come from the policy; `scopes.heartbeatMissing`.
    public mutating func setScopes(
        _ server: ServerID, _ scopes: PeerScopes, at now: Now
    ) throws(Refusal) -> [Effect] {
        guard var record = peers[server] else { throw Self.unknownPeer(server) }
        guard record.trust == .pinned else {
            throw Refusal(
                .conflict, code: "peer.automatic", reason: "the scopes of \(server) come from the policy",
                remedy: "change them there: aether policy trust; or pin it: aether peers add")
        }
        if let problem = scopes.problem { throw problem }
        guard record.scopes != scopes else { return [] }
        let before = record.scopes
        record.scopes = scopes
        peers[server] = record
        var effects: [Effect] = [.persist([.putPeer(record)])]
        if !scopes.contains(.heartbeat) {
            effects += cutOff(server, at: now) { .destinationUntrusted($0, server) }
            effects += reviewIntroduced(by: server, at: now)
        } else if !before.contains(.heartbeat) {
            effects += dialEffects(for: server) + reviewIntroduced(by: server, at: now)
        } else if scopes.contains(.route), !before.contains(.route) {
            effects += introduce(toEverybody: server, at: now)
        }
        return effects
    }

    // MARK: Keeping up

    /// What one judgement has brought about, and whom else it concerns: those that the server had introduced.
    struct Review {
        var effects: [Effect] = []
        var concerned: [ServerID] = []

        static func += (review: inout Review, other: Review) {
            review.effects += other.effects
            review.concerned += other.concerned
        }
    }

    /// Looks at everybody anew: at the peers, at the servers behind portals, and at those that were introduced.
    mutating func reviewTrust(at now: Now) -> [Effect] {
        let expired = expireIntroductions(at: now)
        var servers = Set(peers.keys)
        if policy.isAutomatic {
            servers.formUnion(routing.routes(from: id).map(\.destination))
            servers.formUnion(introductions.subjects)
        }
        let effects = expired.effects + reviewTrust(in: expired.concerned + servers.sorted(), at: now)
        scheduleReview(at: now)
        return effects
    }

    /// Looks at one server anew, because something that speaks for or against it has changed.
    public mutating func reviewTrust(in server: ServerID, at now: Now) -> [Effect] {
        reviewTrust(in: [server], at: now)
    }

    /// Looks at servers anew, one after the other, and then at those whom that concerns: a policy that ends many at once must
    /// not go as deep into them as they have introduced one another.
    mutating func reviewTrust(in servers: [ServerID], at now: Now) -> [Effect] {
        var effects: [Effect] = []
        var waiting = servers
        var next = 0
        while next < waiting.count {
            let review = review(waiting[next], at: now)
            next += 1
            effects += review.effects
            waiting += review.concerned
        }
        return effects
    }

    private mutating func review(_ server: ServerID, at now: Now) -> Review {
        guard let record = peers[server] else { return welcomeBehindPortal(server, at: now) }
        let decision = trustView.decide(server, key: record.publicKey, at: now)
        switch (record.trust, decision) {
        case (.pinned, .trust):
            guard denied.remove(server) != nil else { return Review() }
            return Review(effects: dialEffects(for: server), concerned: introductions.subjects(of: server))
        case (.pinned, .refuse(let refusal)):
            guard denied.insert(server).inserted else { return Review() }
            return Review(
                effects: [.report(.trustEnded(server, code: refusal.code))]
                    + cutOff(server, at: now) { .destinationUntrusted($0, server) },
                concerned: introductions.subjects(of: server))
        case (.registry, .trust(let source, let scopes)), (.introduced, .trust(let source, let scopes)),
            (.firstUse, .trust(let source, let scopes)):
            guard source != record.trust || scopes != record.scopes else { return Review() }
            var changed = record
            changed.trust = source
            changed.scopes = scopes
            peers[server] = changed
            return Review(
                effects: [.persist([.putPeer(changed)]), .report(.trustGiven(server, source))],
                // Also with other scopes: nobody's word gives more than the policy gives to whoever says it.
                concerned: introductions.subjects(of: server))
        case (.registry, .refuse(let refusal)), (.introduced, .refuse(let refusal)), (.firstUse, .refuse(let refusal)):
            return endTrust(in: server, code: refusal.code, at: now)
        }
    }

    /// Ends automatic trust as if the operator had removed the peer.
    private mutating func endTrust(in server: ServerID, code: String, at now: Now) -> Review {
        var review = Review(effects: [.report(.trustEnded(server, code: code))])
        review += remove(server, at: now)
        return review
    }

    /// Makes a server a peer to which a portal leads, when the policy trusts it; or looks for its card.
    private mutating func welcomeBehindPortal(_ server: ServerID, at now: Now) -> Review {
        guard policy.isAutomatic else { return Review() }
        let search = searchCard(of: server, at: now)
        guard !routing.routes(to: server, limit: 1).isEmpty, let record = trustView.candidate(server, at: now),
            var review = welcome(record, at: now)
        else { return Review(effects: search) }
        review.effects += dialEffects(for: server)
        return review
    }

    /// A server that was no peer has completed a handshake: it becomes one when the policy still trusts it with the key that it
    /// has proved; nil when it does not, or when there is no place.
    mutating func welcome(_ peer: VerifiedPeer, at now: Now) -> [Effect]? {
        if peers[peer.serverID] != nil { return [] }
        let view = trustView
        let record: PeerRecord
        if let candidate = view.candidate(peer.serverID, at: now) {
            guard candidate.publicKey == peer.publicKey else { return nil }
            record = candidate
        } else {
            guard let newcomer = view.newcomer(peer.serverID, key: peer.publicKey, at: now), takeFirstUse(at: now)
            else { return nil }
            record = newcomer
        }
        return welcome(record, at: now).map { $0.effects + reviewTrust(in: $0.concerned, at: now) }
    }

    /// Makes a peer that the policy trusts. Where there are as many as there may be, the one that was heard of least recently
    /// gives way, unless a portal leads to it, it is connected, or a crossing with it is not at its end; nil when none can.
    private mutating func welcome(_ record: PeerRecord, at now: Now) -> Review? {
        var review = Review()
        if peers.values.count(where: { $0.trust != .pinned }) >= Limits.automaticPeers {
            guard let least = leastRecentlyHeard() else { return nil }
            review += endTrust(in: least, code: "policy.full", at: now)
        }
        peers[record.server] = record
        health.watch(record.server, at: now.instant)
        var changes: [StoreChange] = [.putPeer(record)]
        if bindings[record.server] == nil {
            let binding = KeyBinding(server: record.server, key: record.publicKey, since: now.timestamp)
            bindings[record.server] = binding
            changes.append(.putBinding(binding))
        }
        review.effects += [.persist(changes), .report(.trustGiven(record.server, record.trust))]
        scheduleReview(at: now)
        return review
    }

    /// Those that were not heard since this node began come first. Among them the stored time decides, which is that of the last
    /// change of status.
    private func leastRecentlyHeard() -> ServerID? {
        peers.values
            .filter {
                $0.trust != .pinned && channels[$0.server] == nil && routing.routes(to: $0.server, limit: 1).isEmpty
                    && ledger.openHandoffs(with: $0.server).isEmpty
            }
            .map { (heard: registry.lastHeartbeat(of: $0.server) ?? $0.addedAt, server: $0.server) }
            .min {
                (max($0.heard, startedAt), $0.heard, $0.server) < (max($1.heard, startedAt), $1.heard, $1.server)
            }?.server
    }

    /// Whether one more server may be believed because it is the first to use its id.
    private mutating func takeFirstUse(at now: Now) -> Bool {
        if now.instant >= firstUses.since + Limits.firstUseWindow { firstUses = (now.instant, 0) }
        guard firstUses.count < Limits.firstUses else { return false }
        firstUses.count += 1
        return true
    }

    /// Whether the deny list names a peer, at the node's start.
    mutating func findDenied() {
        let view = trustView
        denied = Set(
            peers.values.filter {
                policy.denies(
                    $0.server, key: $0.publicKey, formerKeys: view.formerKeys(of: $0.server),
                    endpoints: view.endpoints(of: $0.server))
            }.map(\.server))
    }

    /// Automatic trust and introductions end with time; so they are looked at as long as there are any.
    mutating func scheduleReview(at now: Now) {
        guard introductions.count > 0 || peers.values.contains(where: { $0.trust != .pinned }) else {
            trustReviewDue = nil
            return
        }
        let next = now.instant + Limits.trustReviewInterval
        trustReviewDue = trustReviewDue.map { min($0, next) } ?? next
    }

    // MARK: Scopes

    /// The refusal of what takes a scope that the peer does not have; nil when it has it.
    func missing(_ scope: PeerScopes, of server: ServerID) -> Refusal? {
        missing(scope, of: server, with: peers[server]?.scopes ?? [])
    }

    /// The same of one that has, or would have, these scopes.
    func missing(_ scope: PeerScopes, of server: ServerID, with scopes: PeerScopes) -> Refusal? {
        guard !scopes.contains(scope) else { return nil }
        switch scope {
        case .route: return PeerScopes.missing("route", of: server, "ask for worlds")
        case .assets: return PeerScopes.missing("assets", of: server, "fetch assets")
        case .handoff: return PeerScopes.missing("handoff", of: server, "hand players in")
        default: return PeerScopes.missing("heartbeat", of: server, "keep a channel")
        }
    }
}
