public import FederationCrypto
public import FederationModel

/// The log of what was registered here, and what other registries list.
extension FederationNode {
    // MARK: The log

    /// Whether changes of the registry are logged. A log that has begun goes on, also while it is not served, so that it
    /// never has a gap.
    var keepsLog: Bool { configuration.servesRegistry || log.count > 0 }

    /// The changes that log what has just become of a server; nothing where no log is kept.
    ///
    /// A reader goes by the newest entry about a server. So what a suspended one does itself is followed by the suspension,
    /// which nothing but reinstating ends.
    mutating func logged(
        _ kind: RegistryLogEntry.Kind, _ server: ServerID, proof: [String] = [], reason: String? = nil, at now: Now
    ) -> [StoreChange] {
        let changes = entry(kind, server, proof: proof, reason: reason, at: now)
        switch kind {
        case .registered, .updated, .rotated, .revoked:
            guard let listed = registry.server(server), listed.status == .suspended else { return changes }
            return changes + entry(.suspended, server, proof: [], reason: listed.suspensionReason, at: now)
        case .deregistered, .suspended, .reinstated:
            return changes
        }
    }

    /// The changes that log what has become of a server's key. Of one that has left it is said beside that: it comes again
    /// under a key that readers know then.
    mutating func loggedKey(
        _ kind: RegistryLogEntry.Kind, _ server: ServerID, proof: [String], at now: Now
    ) -> [StoreChange] {
        if registry.server(server) != nil { return logged(kind, server, proof: proof, at: now) }
        return registry.tombstone(server) == nil ? [] : logged(.deregistered, server, proof: proof, at: now)
    }

    private mutating func entry(
        _ kind: RegistryLogEntry.Kind, _ server: ServerID, proof: [String], reason: String?, at now: Now
    ) -> [StoreChange] {
        guard keepsLog,
            let key = bindings[server]?.key ?? registry.server(server)?.publicKey
                ?? registry.tombstone(server)?.publicKey
        else { return [] }
        let entry = RegistryLogEntry(
            kind, server: server, key: key, commitment: bindings[server]?.commitment ?? KeyCommitment(),
            sequence: registry.server(server)?.recordSequence ?? 0,
            card: cards[server].map { ContentHash.of(Array($0.utf8)) }, proof: proof, reason: reason,
            time: now.timestamp)
        let record = RegistryLogRecord(index: log.count, server: server, leaf: entry.leaf)
        log.append(record.leaf)
        return [.registry(.appendLog(record))]
    }

    /// Begins the log with everybody who was known before it was kept.
    mutating func beginLog(at now: Now) -> [Effect] {
        guard configuration.servesRegistry, log.count == 0 else { return [] }
        var changes: [StoreChange] = []
        for server in cards.keys.sorted() where registry.server(server) != nil {
            changes += logged(.registered, server, at: now)
        }
        return changes.isEmpty ? [] : [.persist(changes)]
    }

    /// A server leaves by its own signed wish. Its id stays bound to its key, under which only a newer card brings it back.
    ///
    /// - Throws: `key.revoked` for a server whose owner has revoked it for good: nothing that its keys sign counts.
    public mutating func deregister(
        _ server: ServerID, statement compact: String, at now: Now
    ) throws(Refusal) -> [Effect] {
        guard let entry = registry.server(server) else { throw ServerRegistry.Failure.notFound(server).refusal }
        guard bindings[server]?.isDead != true else { throw KeyBinding.Failure.revoked(server).refusal }
        let statement: DeregistrationStatement
        do {
            statement = try DeregistrationStatement.verify(
                compact, server: server, key: entry.publicKey, registry: id, at: now.timestamp)
        } catch {
            throw Refusal(
                .forbidden, code: "deregistration.refused", reason: "the deregistration \(error.reason)",
                remedy: "sign it for \(id) with the key that is registered for \(server), and set its clock right")
        }
        guard statement.sequence >= entry.recordSequence else {
            throw Refusal(
                .conflict, code: "deregistration.stale",
                reason: "\(server) has registered a newer card since the deregistration was signed",
                remedy: "sign it anew, for the card with the sequence number \(entry.recordSequence)")
        }
        return try deregister(server, sequence: max(statement.sequence, entry.recordSequence), at: now)
    }

    // MARK: Others' registries

    /// The registries that list a server, sorted by address.
    public func registries(listing server: ServerID) -> [String] {
        listings[server]?.sorted() ?? []
    }

    /// How many servers a registry lists here.
    public func listed(by registry: String) -> Int { listingCounts[registry] ?? 0 }

    /// Takes note that a registry lists a server, or no longer does.
    public mutating func note(_ server: ServerID, listedBy registry: String, _ isListed: Bool) -> [Effect] {
        let listing = RegistryListing(server: server, registry: registry)
        if isListed {
            guard listings[server, default: []].insert(registry).inserted else { return [] }
            listingCounts[registry, default: 0] += 1
            return [.persist([.registry(.putListing(listing))])]
        }
        guard listings[server]?.remove(registry) != nil else { return [] }
        if listings[server]?.isEmpty == true { listings[server] = nil }
        listingCounts[registry, default: 1] -= 1
        return [.persist([.registry(.removeListing(listing))])]
    }

    /// Takes note that no other registries are used than these: what another one lists speaks for nobody any more. What was
    /// read of it is read again if it is used again.
    public mutating func use(onlyRegistries addresses: Set<String>, at now: Now) -> [Effect] {
        var effects: [Effect] = []
        var concerned = Set<ServerID>()
        for (server, registries) in listings.sorted(by: { $0.key < $1.key }) {
            for registry in registries.subtracting(addresses).sorted() {
                effects += note(server, listedBy: registry, false)
                concerned.insert(server)
            }
        }
        for address in registries.keys.sorted() where !addresses.contains(address) {
            guard var known = registries[address], known.frontier.count > 0 else { continue }
            known.frontier = MerkleFrontier()
            effects += note(known)
        }
        return effects + reviewTrust(in: concerned.sorted(), at: now)
    }

    /// Takes note of what a registry was caught at: nothing that it lists speaks for anybody any more, and nothing more is read
    /// of it, until the operator readmits it. What it has signed is held against it at each address at which it is read.
    public mutating func condemn(_ address: String, for fault: RegistryFault, at now: Now) -> [Effect] {
        guard let caught = registries[address], caught.fault == nil else { return [] }
        var effects: [Effect] = []
        for address in registries.keys.sorted() {
            guard var known = registries[address], known.registry == caught.registry, known.fault == nil else {
                continue
            }
            known.fault = fault
            known.frontier = MerkleFrontier()
            effects += note(known) + forgetListings(of: address, at: now)
        }
        return effects
    }

    /// A registry that was caught, by the first of the addresses at which it was read; nil when nothing is known against it.
    public func caught(_ registry: ServerID) -> KnownRegistry? {
        registries.values.filter { $0.registry == registry && $0.fault != nil }.min { $0.address < $1.address }
    }

    /// Forgets what a registry was caught at, at all its addresses, and with it everything that was read of it: it is read from
    /// the beginning. How many ids it has brought is kept: they are still here.
    ///
    /// - Parameters:
    ///   - registry: whose registry answers there, for an address at which it was not read yet.
    ///   - isRefused: whether the log that it shows is refused, because it is not known to continue what was read.
    /// - Throws: `registry.notFaulty` when neither is the case.
    public mutating func readmit(
        _ address: String, of registry: ServerID? = nil, isRefused: Bool = false, at now: Now
    ) throws(Refusal) -> [Effect] {
        guard let owner = registries[address]?.registry ?? registry,
            caught(owner) != nil || isRefused && registries[address] != nil
        else {
            throw Refusal(
                .notFound, code: "registry.notFaulty", reason: "nothing is known against a registry at '\(address)'",
                remedy: "see aether registry sources")
        }
        var effects: [Effect] = []
        for forgotten in registries.values.sorted(by: { $0.address < $1.address })
        where forgotten.address == address || forgotten.registry == owner && forgotten.fault != nil {
            registries[forgotten.address] = nil
            effects.append(.persist([.registry(.removeRegistry(forgotten.address))]))
            effects += forgetListings(of: forgotten.address, at: now)
        }
        return effects
    }

    private mutating func forgetListings(of address: String, at now: Now) -> [Effect] {
        let listed = listings.keys.filter { listings[$0]?.contains(address) == true }.sorted()
        var effects: [Effect] = []
        for server in listed { effects += note(server, listedBy: address, false) }
        return effects + reviewTrust(in: listed, at: now)
    }

    /// Takes note of how far a registry's log was followed.
    public mutating func note(_ known: KnownRegistry) -> [Effect] {
        guard registries[known.address] != known else { return [] }
        registries[known.address] = known
        return [.persist([.registry(.putRegistry(known))])]
    }

    // MARK: How many ids they bring

    /// How many ids a registry has brought here that nobody had brought before, at all its addresses, those that have left since
    /// among them: they stay bound to their keys. So the number never goes down, also when the registry is readmitted.
    public func brought(by registry: ServerID) -> Int { broughtCounts[registry] ?? 0 }

    /// How many ids all registries have brought here, also those that are used no more.
    public var brought: Int { broughtCounts.values.reduce(0, +) }

    /// Takes note that a registry has brought so many more ids.
    public mutating func note(brought count: Int, by registry: ServerID) -> [Effect] {
        guard count > 0 else { return [] }
        let total = brought(by: registry) + count
        broughtCounts[registry] = total
        return [.persist([.registry(.putBrought(registry, total))])]
    }
}

extension FederationNode {
    /// Whether ``register(_:from:at:)`` would take a verified card as news. Changes nothing.
    ///
    /// - Throws: as ``register(_:from:at:)``, and for a card that is known or contradicts the known one.
    public func check(registering compact: String, _ card: ServerCard, at now: Now) throws(Refusal) {
        guard card.id != id else {
            throw Refusal(
                .conflict, code: "server.self", reason: "\(card.id) is this server's own id",
                remedy: "give the other server another id")
        }
        // A contradiction is not refused here: it is evidence, which registering keeps.
        if let known = registry.server(card.id), known.publicKey == card.publicKey,
            known.recordSequence == card.sequence, cards[card.id] != nil
        {
            return
        }
        let bound = try bound(card, at: now)
        let server = FederatedServer(
            id: card.id, name: card.name, endpoint: card.endpoint, alternatives: card.alternatives,
            publicKey: card.publicKey, registeredAt: now.timestamp, recordSequence: card.sequence)
        do {
            try registry.check(registering: server, isRebound: bound.isRebound)
        } catch {
            throw error.refusal
        }
    }
}
