public import FederationCrypto
public import FederationModel

/// What a server that serves a registry asks of a card that comes by others' word: its readers are told that whoever is listed has
/// answered at each address in its card.
extension FederationNode {
    /// The addresses in a card that this server's registry would be the first to list without proof: those that are known have
    /// answered, are the operator's word, or were known before it served a registry. None where no registry is served.
    public func unproven(_ card: ServerCard) -> [Endpoint] {
        guard configuration.servesRegistry else { return [] }
        let known = registry.server(card.id).map { [$0.endpoint] + $0.alternatives } ?? []
        return card.endpoints.filter { !known.contains($0) }
    }

    /// Believes a change of key that a verified card proves, and nothing else that it says, because its addresses have not been
    /// proved. The entry stays as it was: with its addresses, and with a card that is under the earlier key until the new one is
    /// proved, as after a revocation that came alone. Nothing for a server that is neither registered nor a peer.
    ///
    /// - Throws: as ``register(_:from:at:)``.
    public mutating func follow(_ card: ServerCard, at now: Now) throws(Refusal) -> [Effect] {
        guard registry.server(card.id) != nil || peers[card.id] != nil else { return [] }
        return follow(card, try bound(card, at: now), at: now)
    }

    private mutating func follow(_ card: ServerCard, _ bound: Bound, at now: Now) -> [Effect] {
        // What the present key of a listed server commits itself to is logged with its card. Believed before, it would let a next
        // key follow that readers of the log, who do not know of it, must take for a theft.
        guard bound.isRebound || registry.server(card.id) == nil && (bound.isNew || bound.change != .none) else {
            return []
        }
        let kind = logKind(of: bound)
        var effects = adopt(bound, at: now)
        let logged = loggedKey(kind, card.id, proof: keyProof(in: card, of: bound), at: now)
        if !logged.isEmpty { effects.append(.persist(logged)) }
        return effects + reviewTrust(in: card.id, at: now)
    }

    /// Looks for the card of a peer at the addresses that it names, at most once in ``Limits/cardFetchPause``; what is found there
    /// is registered. Who is no peer registers itself; or else one peer could make this server knock at the doors of all who are
    /// known. A change of key does not wait for any of that: as long, whoever has stolen the old key could speak for the server.
    mutating func askForProof(of card: ServerCard, _ bound: Bound, at now: Now) -> [Effect] {
        var effects = follow(card, bound, at: now)
        guard peers[card.id] != nil else { return effects }
        if let last = cardFetches[card.id], now.instant < last + Limits.cardFetchPause { return effects }
        cardFetches[card.id] = now.instant
        effects.append(.fetchCard(card.id, card.endpoints))
        return effects
    }

    /// What in a card proves to readers of the log that its key has changed: the rotations, and last the revocation if that is
    /// news. A reader would take a revocation among the rotations for that one.
    func keyProof(in card: ServerCard, of bound: Bound) -> [String] {
        let rotations = card.rotations.filter { (try? KeyRevocation.unverified($0)) == nil }
        return switch bound.change {
        case .none, .committed: []
        case .rotated: rotations
        case .revoked: rotations + [card.revocation].compactMap(\.self)
        }
    }
}
