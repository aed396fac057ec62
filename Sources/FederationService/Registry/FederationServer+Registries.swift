import FederationCore
import FederationCrypto
public import FederationModel

/// What this server learns from the registries that it uses.
extension FederationServer {
    /// How it stands with each registry, in order of address.
    public func sources() -> [RegistrySource] {
        registrySources.keys.sorted().compactMap { address in
            guard var source = registrySources[address] else { return nil }
            source.servers = node.listed(by: address)
            source.fault = (node.registries[address]?.registry ?? source.registry).flatMap { node.caught($0) }?.fault
            return source
        }
    }

    /// The addresses of the registries that list a server, sorted.
    public func registries(listing server: ServerID) -> [String] { node.registries(listing: server) }

    /// Begins to use registries, with what is known of them from before.
    func use(_ addresses: [String]) {
        for address in addresses where registrySources[address] == nil {
            var source = RegistrySource(address: address)
            if let known = node.registries[address] {
                source.registry = known.registry
                source.head = known.head
                source.read = known.frontier.count
                if let key = node.bindings[known.registry]?.key,
                    let head = try? TreeHead.verify(known.head, registry: known.registry, key: key)
                {
                    source.size = Int(clamping: head.size)
                }
            }
            registrySources[address] = source
        }
    }

    /// Uses these registries and no others: what is remembered of others gives trust no more.
    func use(only addresses: [String]) async throws(Refusal) {
        use(addresses)
        try await commit(node.use(onlyRegistries: Set(addresses), at: clock.now()))
    }

    func update(_ address: String, _ change: @Sendable (inout RegistrySource) -> Void) {
        if var source = registrySources[address] {
            change(&source)
            registrySources[address] = source
        }
    }

    func knownRegistry(_ address: String) -> KnownRegistry? { node.registries[address] }

    /// - Throws: `registry.faulty` for a registry that was caught, at this address or another.
    func checkFault(of registry: ServerID, at address: String) throws(Refusal) {
        guard let caught = node.caught(registry), let fault = caught.fault else { return }
        throw Refusal(
            .conflict, code: "registry.faulty", reason: "\(address) was caught before: \(fault.code)",
            remedy: "ask its operator; to read it again from the beginning: aether registry readmit \(caught.address)")
    }

    /// - Throws: `registry.faulty` when it was caught while it was read; `registry.readmitted`.
    func remember(_ known: KnownRegistry, in round: RegistryRound) async throws(Refusal) {
        try check(round)
        try checkFault(of: known.registry, at: known.address)
        try await commit(node.note(known))
    }

    /// A registry was caught; see ``FederationNode/condemn(_:for:at:)``.
    ///
    /// - Throws: `registry.readmitted`.
    func condemn(in round: RegistryRound, for fault: RegistryFault) async throws(Refusal) {
        try check(round)
        try await commit(node.condemn(round.address, for: fault, at: clock.now()))
    }

    /// Reads a registry that was caught, or whose log does not continue what was read, again, from the beginning; see
    /// ``FederationNode/readmit(_:of:isRefused:at:)``.
    public func readmit(_ address: String) async throws(Refusal) {
        try checkReady()
        let source = registrySources[address]
        let before = Set(node.registries.keys)
        let effects = try node.readmit(
            address, of: source?.registry, isRefused: source?.isDiscontinued ?? false, at: clock.now())
        // Before anything else can happen, so that a round that is under way leaves nothing behind.
        for forgotten in before.subtracting(node.registries.keys).union([address]) {
            update(forgotten) { source in
                var fresh = RegistrySource(address: source.address)
                // What was read of it has nothing to do with whether it has this server's card.
                fresh.isRegistered = source.isRegistered
                fresh.generation = source.generation + 1
                source = fresh
            }
        }
        try await commit(effects)
    }

    /// This server's wish to leave a registry.
    func deregistrationStatement(for registry: ServerID) -> String {
        DeregistrationStatement(
            issuer: id, registry: registry, sequence: publishedCard?.card.sequence ?? 0,
            issuedAt: clock.now().timestamp
        ).issue(by: node.identity)
    }

    /// What one page of a registry's log says of one server, in the end.
    struct Listed: Sendable {
        let server: ServerID
        let kind: RegistryLogEntry.Kind
        /// The key that the id is bound to, as the log says to everybody.
        let key: PublicKey
        /// The hash of the card that the log names.
        let named: ContentHash?
        /// The server's own signed card, as the registry passes it on.
        let card: String?
        /// Of ``card``.
        let hash: ContentHash?
        /// The owner's revocations on the page.
        let revocations: [String]

        init(_ entry: RegistryLogEntry, card: String?, revocations: [String]) {
            server = entry.server
            kind = entry.kind
            key = entry.key
            named = entry.card
            self.card = card
            hash = card.map { ContentHash.of(Array($0.utf8)) }
            self.revocations = revocations
        }

        /// Whether the card is the one that the log names.
        var isLogged: Bool { hash != nil && hash == named }
    }

    /// What became of a page of a registry's log.
    struct Taken: Sendable {
        /// Cards that were refused.
        var refused = 0
        /// When the first of those was issued that are not valid yet by this server's clock.
        var firstAhead: Timestamp?
        /// Servers for which the registry has no more room here.
        var skipped = 0
    }

    /// Whether something is known of an id already, so that it takes no more room.
    private func isKnown(_ server: ServerID) -> Bool {
        node.registry.status(of: server) != nil || node.registry.tombstone(server) != nil
            || node.bindings[server] != nil
    }

    /// Whether a registry that has just brought so many may bring one more. Ids stay bound to their keys when a registry lists
    /// them no more, so one that lists ever others would fill the disk. Each has its own bound, or one could use up that of all.
    private func hasRoom(for server: ServerID, from address: String, besides newcomers: Int) -> Bool {
        guard node.listed(by: address) < Limits.listingsPerRegistry else { return false }
        guard !isKnown(server), let known = node.registries[address] else { return isKnown(server) }
        return node.brought(by: known.registry) + newcomers < node.configuration.listedServers
    }

    /// Takes the card under the key that is void by now, where it is the first to name the recovery key under which that is proved.
    /// Whether it leads on from the key that is known is judged as of any card.
    private func commitments(of listed: Listed, at now: Now) -> [Effect] {
        guard let binding = node.bindings[listed.server], binding.commitment.recovery == nil, listed.isLogged,
            let card = listed.card, let shown = try? ServerCard.verify(card, at: now.timestamp),
            shown.id == listed.server
        else { return [] }
        return (try? node.register(card, at: now))?.effects ?? []
    }

    /// When a card was issued that is refused for nothing but that it is not valid yet.
    private func issueAhead(of listed: Listed, because error: any Error) -> Timestamp? {
        guard error as? StatementFailure == .notYetValid, let card = listed.card,
            let shown = try? ServerCard.verifySignature(card), shown.id == listed.server,
            shown.publicKey == listed.key
        else { return nil }
        return shown.issued
    }

    /// Takes what a registry says, as far as the servers and their owners have signed it, and takes note of whom it lists.
    ///
    /// - Throws: `registry.faulty` when it was caught while the page was read; `registry.readmitted`.
    func take(_ page: [Listed], in round: RegistryRound) async throws(Refusal) -> Taken {
        try checkReady()
        try check(round)
        let address = round.address
        if let known = node.registries[address] { try checkFault(of: known.registry, at: address) }
        let now = clock.now()
        var effects: [Effect] = []
        var taken = Taken()
        var newcomers = 0
        for listed in page where listed.server != id {
            if !listed.revocations.isEmpty { effects += commitments(of: listed, at: now) }
            for revocation in listed.revocations { effects += (try? node.revoke(revocation, at: now)) ?? [] }
            switch listed.kind {
            case .deregistered, .suspended:
                effects += node.note(listed.server, listedBy: address, false)
                effects += node.reviewTrust(in: listed.server, at: now)
                continue
            case .registered, .updated, .rotated, .revoked, .reinstated:
                break
            }
            guard let card = listed.card else { continue }
            guard listed.isLogged else {
                // It may be newer than what was read; then it comes again with the entry that names it. Till then it binds no
                // id, and is evidence at most.
                effects += node.witness(card, of: listed.server, at: now)
                continue
            }
            guard
                node.registries(listing: listed.server).contains(address)
                    || hasRoom(for: listed.server, from: address, besides: newcomers)
            else {
                taken.skipped += 1
                continue
            }
            let isNew = !isKnown(listed.server)
            do {
                // Under another id than the one that the registry files it under it would be somebody else's card; and under
                // another key than the log's it is one whose key is void, or one that the log does not stand for.
                let shown = try ServerCard.verify(card, at: now.timestamp)
                guard shown.id == listed.server, shown.publicKey == listed.key else {
                    taken.refused += 1
                    continue
                }
                let registration = try node.register(card, at: now)
                effects += registration.effects
                if isNew { newcomers += 1 }
                if registration.contradiction != nil {
                    taken.refused += 1
                    continue
                }
            } catch let refusal as Refusal
                where ["server.alreadyRegistered", "server.hasLeft"].contains(refusal.code)
            {
                // A newer one is known here already.
            } catch {
                taken.refused += 1
                if let issued = issueAhead(of: listed, because: error) {
                    taken.firstAhead = min(taken.firstAhead ?? issued, issued)
                }
                continue
            }
            effects += node.note(listed.server, listedBy: address, true)
            effects += node.reviewTrust(in: listed.server, at: now)
        }
        if let known = node.registries[address] { effects += node.note(brought: newcomers, by: known.registry) }
        try await commit(effects)
        return taken
    }
}
