import FederationCrypto
import FederationModel

/// Everything that a decision about trust goes by, as it stands at one moment. A copy of it can answer while the node changes.
struct TrustView {
    let own: ServerID
    let policy: TrustPolicy
    let peers: [ServerID: PeerRecord]
    /// The peers that the deny list names.
    let denied: Set<ServerID>
    let registry: ServerRegistry
    let cards: [ServerID: String]
    let bindings: [ServerID: KeyBinding]
    let listings: [ServerID: Set<String>]
    let introductions: IntroductionBook
    let equivocations: [ServerID: Equivocation]
    let equivocators: Set<ServerID>

    /// What the handshake may believe about a server id.
    func answer(to server: ServerID, at now: Now) -> PeerTrust {
        let isSuspended = registry.isSuspended(server)
        if let record = peers[server] {
            if isSuspended { return .suspended }
            return denied.contains(server) || !record.scopes.contains(.heartbeat)
                ? .unknown : .bound(record.publicKey)
        }
        guard policy.isAutomatic, server != own, !isSuspended else { return .unknown }
        if let candidate = candidate(server, at: now) { return .bound(candidate.publicKey) }
        return isStranger(server) && policy.firstUse != nil && mayBeFirstUse(server) ? .firstUse : .unknown
    }

    /// The peer that a server would be which is none: its card is known and has not expired, and the policy trusts it.
    func candidate(_ server: ServerID, at now: Now) -> PeerRecord? {
        guard server != own, peers[server] == nil else { return nil }
        guard let entry = registry.server(server), entry.status != .suspended, bindings[server]?.isDead != true,
            case .trust(let source, let scopes) = decide(server, key: entry.publicKey, at: now),
            let compact = cards[server],
            (try? ServerCard.verify(compact, at: now.timestamp))?.publicKey == entry.publicKey
        else { return nil }
        return PeerRecord(
            server: server, publicKey: entry.publicKey, addedAt: now.timestamp, trust: source, scopes: scopes)
    }

    /// The peer that a server would be which has proved `key` and of which nothing else is known.
    func newcomer(_ server: ServerID, key: PublicKey, at now: Now) -> PeerRecord? {
        guard server != own, isStranger(server),
            case .trust(let source, let scopes) = decide(server, key: key, at: now)
        else { return nil }
        return PeerRecord(server: server, publicKey: key, addedAt: now.timestamp, trust: source, scopes: scopes)
    }

    /// Whether nothing at all is known under the id, so that any key would be its first.
    private func isStranger(_ server: ServerID) -> Bool {
        bindings[server] == nil && registry.server(server) == nil && registry.tombstone(server) == nil
    }

    /// Whether the id alone does not rule first use out already; the key is judged once it is proved.
    private func mayBeFirstUse(_ server: ServerID) -> Bool {
        !policy.denies(server, key: nil, endpoints: [])
    }

    /// What the policy says of a server with this key.
    func decide(_ server: ServerID, key: PublicKey, at now: Now) -> TrustPolicy.Decision {
        let introduced = introduced(server, key: key, at: now)
        let record = peers[server]
        return policy.decide(
            server, key: key, endpoints: endpoints(of: server),
            evidence: TrustPolicy.Evidence(
                pinned: record?.trust == .pinned ? record?.scopes : nil, registries: listings[server]?.sorted() ?? [],
                introducers: introduced.by, isContested: introduced.isContested && record == nil,
                // Whoever is known by card or binding has the key that is bound; any other never gets this far.
                // A peer without a card that is suspended has a tombstone too, and stays what it is.
                isFirstUse: registry.tombstone(server) == nil || record?.trust == .firstUse,
                hasEquivocated: hasEquivocated(server), formerKeys: formerKeys(of: server)))
    }

    private func hasEquivocated(_ server: ServerID) -> Bool {
        equivocations[server] != nil || equivocators.contains(server)
    }

    /// The keys that a server has rotated away from, as far as they are remembered.
    func formerKeys(of server: ServerID) -> [PublicKey] { bindings[server]?.retired.map(\.key) ?? [] }

    func endpoints(of server: ServerID) -> [Endpoint] {
        registry.server(server).map { [$0.endpoint] + $0.alternatives } ?? []
    }

    // MARK: Introductions

    /// Whether a peer's introductions count: its own trust must not come from introductions or from nothing, or else a chain of
    /// strangers could vouch for one another.
    func isIntroducer(_ server: ServerID) -> Bool {
        guard let record = peers[server], !denied.contains(server), record.scopes.contains(.heartbeat),
            !registry.isSuspended(server), bindings[server]?.isDead != true
        else { return false }
        // Nobody's word gives more than the policy gives to whoever says it.
        return record.trust == .pinned
            || record.trust.isOwnJudgement && record.scopes.isSuperset(of: policy.introducedBy?.scopes ?? [])
    }

    /// Who has introduced a server with this key, and whether somebody has with another one.
    func introduced(_ server: ServerID, key: PublicKey, at now: Now) -> (by: [ServerID], isContested: Bool) {
        var introducers: [ServerID] = []
        var isContested = false
        // A peer has proved its key. Who names another for it may have heard of a rotation sooner or later than this server; and if
        // it lies, its one word does not part those who know each other.
        let isPeer = peers[server] != nil
        for heard in counting(server, at: now) {
            let isSame = heard.introduction.key == key
            if isSame || isPeer { introducers.append(heard.introducer) }
            if !isSame, !isPast(heard.introduction) { isContested = true }
        }
        return (introducers, isContested)
    }

    /// The introductions of a server that count now, sorted by introducer.
    func counting(_ server: ServerID, at now: Now) -> [HeardIntroduction] {
        introductions.about(server).filter {
            now.timestamp < $0.introduction.expiresAt && isIntroducer($0.introducer)
        }
    }

    /// Whether the keys that are named for a server differ.
    func isContested(_ server: ServerID, at now: Now) -> Bool {
        let key = bindings[server]?.key ?? registry.server(server)?.publicKey
        guard let key = key ?? counting(server, at: now).first?.introduction.key else { return false }
        return introduced(server, key: key, at: now).isContested
    }

    /// Whether an introduction names a key that its subject has left behind since.
    private func isPast(_ introduction: Introduction) -> Bool {
        guard let binding = bindings[introduction.subject] else { return false }
        return binding.retired.contains { $0.key == introduction.key }
            || binding.revocation > 0 && introduction.issuedAt < binding.since
    }

    /// Where to look for the card of a server that enough peers have introduced and that nobody knows here yet.
    func search(for server: ServerID, at now: Now) -> [Endpoint]? {
        guard policy.introducedBy != nil, server != own, isStranger(server) else { return nil }
        let counting = counting(server, at: now)
        guard let key = counting.first?.introduction.key else { return nil }
        var endpoints: [Endpoint] = []
        for heard in counting where !endpoints.contains(heard.introduction.endpoint) {
            endpoints.append(heard.introduction.endpoint)
        }
        let introduced = introduced(server, key: key, at: now)
        let decision = policy.decide(
            server, key: key, endpoints: endpoints,
            evidence: TrustPolicy.Evidence(
                introducers: introduced.by, isContested: introduced.isContested,
                hasEquivocated: hasEquivocated(server)))
        guard case .trust = decision else { return nil }
        return Array(endpoints.prefix(1 + ServerCard.maximumAlternatives))
    }
}
