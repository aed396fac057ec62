import FederationCrypto
public import FederationModel

/// Servers that have signed two cards with one number.
extension FederationNode {
    /// Looks at a card that is not to be taken, for whether it contradicts the known one of its server: that is evidence,
    /// whoever shows it.
    public mutating func witness(_ compact: String, of server: ServerID, at now: Now) -> [Effect] {
        guard let card = try? ServerCard.verify(compact, at: now.timestamp), card.id == server,
            cards[server] != compact, let bound = try? bound(card, at: now)
        else { return [] }
        return contradiction(of: card, compact, bound, at: now)?.effects ?? []
    }

    /// Two cards under one key with one sequence number: the first stands, and both are kept.
    mutating func contradiction(of card: ServerCard, _ compact: String, _ bound: Bound, at now: Now) -> Registration? {
        guard let known = registry.server(card.id), known.recordSequence == card.sequence,
            known.publicKey == card.publicKey, let first = cards[card.id]
        else { return nil }
        var effects: [Effect] = []
        if !hasEquivocated(card.id) {
            let proof = Equivocation(server: card.id, first: first, second: compact, seenAt: now.timestamp)
            effects = [.persist(keep(proof)), .report(.equivocated(card.id))]
            // What the policy had trusted by itself, it trusts no more.
            effects += reviewTrust(in: card.id, at: now)
        }
        return Registration(
            server: known, effects: effects,
            contradiction: Refusal(
                .conflict, code: "card.equivocation",
                reason: "\(card.id) has signed two different cards with the sequence number \(card.sequence)",
                remedy: equivocations[card.id] == nil
                    ? "ask its operator" : "ask its operator; both are kept: aether registry conflicts"))
    }

    /// Whether a server has ever contradicted itself here. Nothing takes that back.
    func hasEquivocated(_ server: ServerID) -> Bool {
        equivocations[server] != nil || equivocators.contains(server)
    }

    /// Keeps that a server has contradicted itself, for good, and the proof as long as there is room. That it has is remembered
    /// of every one: each has an id here, of which far more is kept. Otherwise many throwaway ids that contradict themselves would
    /// make those that matter trustworthy again.
    private mutating func keep(_ proof: Equivocation) -> [StoreChange] {
        var changes: [StoreChange] = []
        if equivocations.count >= Limits.equivocations, let least = leastProof() {
            guard weight(of: proof.server) >= weight(of: least.server) else {
                equivocators.insert(proof.server)
                return [.putEquivocation(proof.fact)]
            }
            equivocations[least.server] = nil
            equivocators.insert(least.server)
            changes.append(.putEquivocation(least.fact))
        }
        equivocations[proof.server] = proof
        changes.append(.putEquivocation(proof))
        return changes
    }

    /// The proof that is missed least: of those that matter least the oldest.
    private func leastProof() -> Equivocation? {
        equivocations.values
            .map { (weight: weight(of: $0.server), proof: $0) }
            .min { ($0.weight, $0.proof.seenAt, $0.proof.server) < ($1.weight, $1.proof.seenAt, $1.proof.server) }?
            .proof
    }

    /// How much an operator cares about a server: most about a peer and about what a portal leads to, and least about one of which
    /// nobody else speaks.
    private func weight(of server: ServerID) -> Int {
        if peers[server] != nil || !routing.routes(to: server, limit: 1).isEmpty { return 2 }
        return listings[server] != nil || !introductions.about(server).isEmpty ? 1 : 0
    }
}
