public import FederationCore
public import FederationCrypto
public import FederationModel

/// Keys: this server's own, and what is learned of others'.
extension FederationServer {
    /// The key that this server has now, and what it has committed to.
    public func keys() -> (key: PublicKey, commitment: KeyCommitment, changes: OwnKeys) {
        (node.identity.publicKey, node.commitment, node.ownKeys)
    }

    /// Goes over to the next key, which this server has committed to; see ``FederationNode/rotate(to:next:at:)``. Peers
    /// follow without their operators.
    ///
    /// - Returns: the key from now on.
    public func rotateKeys() async throws(Refusal) -> PublicKey {
        let keeper = try beginKeyChange()
        defer { isChangingKeys = false }
        // A change whose caller was told that the store failed may have become durable since, or is still to.
        try await commit([])
        try await keeper.adopt(node.identity.publicKey, promising: node.commitment)
        let successor = try await keeper.next()
        let next = try await keeper.commitmentAfterNext()
        try await commit(node.rotate(to: successor, next: next, at: clock.now()))
        try await keeper.adopt(successor.publicKey, promising: node.commitment)
        return successor.publicKey
    }

    /// Takes the key that the owner has put in the place of this server's keys, if there is one; see
    /// ``FederationNode/replace(by:with:at:)``.
    ///
    /// - Returns: the key from now on; nil when nothing was to be done.
    public func replaceKeys() async throws(Refusal) -> PublicKey? {
        let keeper = try beginKeyChange()
        defer { isChangingKeys = false }
        return try await takeReplacement(from: keeper)
    }

    func takeReplacement(from keeper: any IdentityKeeper) async throws(Refusal) -> PublicKey? {
        guard let (successor, revocation) = try await keeper.replacement() else { return nil }
        if successor.publicKey != node.identity.publicKey {
            let effects = try node.replace(by: revocation, with: successor, at: clock.now())
            // Tickets that the old keys have signed count no more, nor do the sockets that they have opened.
            subscribers.revoke(vouchedBy: id)
            try await commit(effects)
        } else {
            // The store may have failed when it was taken, and have it in its queue still.
            try await commit([])
        }
        try await keeper.adopt(successor.publicKey, promising: node.commitment)
        return successor.publicKey
    }

    /// One change at a time: the files may follow only what is durable.
    private func beginKeyChange() throws(Refusal) -> any IdentityKeeper {
        try checkReady()
        guard !isChangingKeys else {
            throw Refusal(
                .conflict, code: "keys.busy", reason: "the keys are being changed", remedy: "try again in a moment")
        }
        guard let keeper else {
            throw Refusal(
                .unavailable, code: "keys.fixed", reason: "this server does not keep its keys itself",
                remedy: "change them where they are kept")
        }
        isChangingKeys = true
        return keeper
    }

    /// Takes an owner's revocation of a server's keys; see ``FederationNode/revoke(_:at:)``.
    public func revoke(_ revocation: String) async throws(Refusal) {
        try checkReady()
        try await commit(node.revoke(revocation, at: clock.now()))
    }

    /// What is known of a server's keys; nil for one that was never seen.
    public func binding(of server: ServerID) -> KeyBinding? { node.bindings[server] }

    /// Servers that have contradicted themselves, in order of id, after `cursor`: at most `limit` of them, with at most so many
    /// bytes of cards, but one in any case.
    public func equivocations(
        after cursor: ServerID?, limit: Int, bytes: Int
    ) -> (found: [Equivocation], hasMore: Bool) {
        let behind = node.equivocations.keys.filter { id in cursor.map { $0 < id } ?? true }.sorted()
        var found: [Equivocation] = []
        var size = 0
        for id in behind.prefix(limit) {
            guard let equivocation = node.equivocations[id] else { continue }
            size += equivocation.first.utf8.count + equivocation.second.utf8.count
            guard size <= bytes || found.isEmpty else { break }
            found.append(equivocation)
        }
        return (found, found.count < behind.count)
    }

    /// Whether a card may be registered that was found at one address: where this server serves a registry, each other address in
    /// it that is new here must answer with a card of the same id and key that names it.
    private func answers(
        for card: ServerCard, from source: any CardSource, besides place: Endpoint
    ) async -> Bool {
        for endpoint in node.unproven(card) where endpoint != place {
            guard
                let answer = try? await source.card(
                    at: endpoint, isOperatorsChoice: node.isChosen(endpoint, of: card.id),
                    denied: node.policy.deniedAddresses),
                let shown = try? ServerCard.verify(answer, at: clock.now().timestamp), shown.id == card.id,
                shown.publicKey == card.publicKey, shown.endpoints.contains(endpoint)
            else { return false }
        }
        return true
    }

    /// Looks for the card of a server whose key does not match, that was introduced, or that names new addresses; what is found
    /// must convince the key's binding.
    func fetchCard(of server: ServerID, at endpoints: [Endpoint]) {
        guard let peerCards, !isStopping else { return }
        Task {
            for endpoint in endpoints {
                do {
                    // As the policy stands at each attempt: it may have changed meanwhile.
                    let card = try await peerCards.card(
                        at: endpoint, isOperatorsChoice: node.isChosen(endpoint, of: server),
                        denied: node.policy.deniedAddresses)
                    let now = clock.now()
                    let found = try ServerCard.verify(card, at: now.timestamp)
                    guard found.id == server, node.isExpected(found, at: now) else { continue }
                    if await answers(for: found, from: peerCards, besides: endpoint) {
                        // Others may have introduced it under another key meanwhile.
                        guard node.isExpected(found, at: clock.now()) else { continue }
                        _ = try await register(card)
                        return
                    }
                    // Its key counts wherever it is, and so does a contradiction.
                    try await commit(node.witness(card, of: server, at: clock.now()))
                    try await commit(node.follow(found, at: clock.now()))
                    throw Refusal(
                        .conflict, code: "endpoint.unproven",
                        reason: "not every new address in the card of \(server) answers for it",
                        remedy: "run the server at all of them, reachable from here", step: .registry)
                } catch let refusal as Refusal {
                    logger.info(
                        "the card of \(server) at \(endpoint) is of no use", metadata: ["code": "\(refusal.code)"])
                } catch {
                    logger.info("the card of \(server) at \(endpoint) is of no use", metadata: ["cause": "\(error)"])
                }
            }
        }
    }
}
