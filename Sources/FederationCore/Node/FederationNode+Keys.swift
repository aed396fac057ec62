public import FederationCrypto
public import FederationModel
import FederationWire

/// Which keys are believed, and how they change: others' by what they and their owners sign, this server's own by its operator.
extension FederationNode {
    // MARK: What counts

    /// The key to verify a statement of `peer` with: the one that its handshake proved, unless the statement names another of
    /// the peer's that counts now.
    func key(of peer: VerifiedPeer, for compact: String, at now: Now) -> PublicKey {
        key(of: peer.serverID, provedBy: peer.publicKey, for: compact, at: now)
    }

    /// The same of a server whose handshake, or pin, is with that key.
    func key(of server: ServerID, provedBy key: PublicKey, for compact: String, at now: Now) -> PublicKey {
        guard let binding = bindings[server], binding.key != key || !binding.retired.isEmpty,
            let named = CompactJWS.unverifiedKey(compact), binding.accepts(named, at: now.timestamp)
        else { return key }
        return named
    }

    /// The key to verify one of this server's own statements with, which may be older than the present key.
    public func ownKey(for compact: String) -> PublicKey {
        guard !ownKeys.past.isEmpty, let named = CompactJWS.unverifiedKey(compact), ownKeys.past.contains(named) else {
            return identity.publicKey
        }
        return named
    }

    /// The key to verify one of this server's own tickets with: the present one, or one that it has rotated away from less than
    /// ``Limits/keyOverlap`` ago, as its peers do. A revocation ends all of them, because the rotations go with it.
    public func ticketKey(for compact: String, at now: Timestamp) -> PublicKey {
        guard let named = CompactJWS.unverifiedKey(compact), ownKeys.past.contains(named),
            let word = ownKeys.rotations.last(where: { CompactJWS.unverifiedKey($0) == named }),
            let rotation = try? KeyRotation.verify(word, server: id, key: named),
            now < rotation.issuedAt + Limits.keyOverlap
        else { return identity.publicKey }
        return named
    }

    /// Whether a channel that was opened with `key` is still one with that peer.
    func counts(_ key: PublicKey, of record: PeerRecord, at now: Now) -> Bool {
        guard let binding = bindings[record.server] else { return key == record.publicKey }
        return binding.accepts(key, at: now.timestamp)
    }

    // MARK: Others' keys

    /// What a card says of its server's key, once it is believed.
    struct Bound {
        let binding: KeyBinding
        let change: KeyBinding.Change
        let isNew: Bool

        /// Whether the id has another key than before.
        var isRebound: Bool {
            switch change {
            case .none, .committed: false
            case .rotated, .revoked: true
            }
        }
    }

    /// Looks whether the key in a verified card is to be believed. Changes nothing.
    func bound(_ card: ServerCard, at now: Now) throws(Refusal) -> Bound {
        do {
            guard var binding = binding(of: card.id) else {
                return Bound(binding: try KeyBinding(first: card, at: now.timestamp), change: .none, isNew: true)
            }
            let isStored = bindings[card.id] != nil
            let change = try binding.accept(card, at: now.timestamp, keeping: policy.names)
            return Bound(binding: binding, change: change, isNew: !isStored)
        } catch {
            throw error.refusal
        }
    }

    /// The binding of an id, or what a registry entry or its tombstone amounts to.
    private func binding(of server: ServerID) -> KeyBinding? {
        if let binding = bindings[server] { return binding }
        if let entry = registry.server(server) {
            return KeyBinding(server: server, key: entry.publicKey, since: entry.registeredAt)
        }
        return registry.tombstone(server).map {
            KeyBinding(server: server, key: $0.publicKey, since: Timestamp(milliseconds: 0))
        }
    }

    /// Makes a binding hold: in the registry, in the pin, on the channels.
    mutating func adopt(_ bound: Bound, at now: Now) -> [Effect] {
        let server = bound.binding.server
        guard bound.isNew || bound.change != .none else { return [] }
        bindings[server] = bound.binding
        var changes: [StoreChange] = [.putBinding(bound.binding)]
        guard bound.isRebound else { return [.persist(changes)] }
        registry.rebind(server, to: bound.binding.key)
        if let entry = registry.server(server) { changes.append(.putServer(entry, card: cards[server])) }
        // Who has left and comes again after a restart is compared with it.
        if let tombstone = registry.tombstone(server) { changes.append(.putTombstone(tombstone)) }
        if var record = peers[server] {
            record.publicKey = bound.binding.key
            peers[server] = record
            changes.append(.putPeer(record))
        }
        var effects: [Effect] = [.persist(changes)]
        if case .revoked = bound.change {
            let replacement = bound.binding.isDead ? nil : bound.binding.key
            effects.append(.report(.keyRevoked(server, replacement: replacement)))
            effects += dropChannels(of: server)
            let forgotten = forgetIntroductions(by: server)
            effects += forgotten.effects + reviewTrust(in: forgotten.concerned, at: now)
            effects += dialEffects(for: server)
        } else {
            effects.append(.report(.keyRotated(server, to: bound.binding.key)))
        }
        return effects
    }

    private mutating func dropChannels(of server: ServerID) -> [Effect] {
        var closing = Set<ChannelID>()
        if let channel = channels[server] { closing.insert(channel) }
        if let channel = handshakes.revoke(server) { closing.insert(channel) }
        return closing.sorted().flatMap { drop($0, .wrongKey) }
    }

    /// Takes an owner's revocation of a server's keys, whoever brings it: it is signed with the recovery key that the server
    /// had committed to. What is new holds at once, and is passed on to every peer, once; of several in a row within
    /// ``Limits/revocationPause`` the first and then the newest.
    ///
    /// - Throws: ``KeyBinding/Failure``'s refusals; `key.unknown` for a server of which nothing is known.
    public mutating func revoke(_ compact: String, at now: Now) throws(Refusal) -> [Effect] {
        let server: ServerID
        do {
            server = try KeyRevocation.unverified(compact).issuer
        } catch {
            throw Refusal(
                .invalid, code: "key.badRevocation", reason: "the revocation \(error.reason)",
                remedy: "hand in what aether keys revoke has written")
        }
        guard server != id else { return try end(by: compact, at: now) }
        guard var binding = binding(of: server) else {
            throw Refusal(
                .notFound, code: "key.unknown", reason: "no key of \(server) is known here", remedy: "nothing to do")
        }
        let change: KeyBinding.Change
        do {
            change = try binding.accept(revocation: compact, at: now.timestamp)
        } catch {
            throw error.refusal
        }
        guard change != .none else { return [] }
        // Afterwards the policy may trust it no more.
        let isPeer = peers[server] != nil
        var effects = adopt(Bound(binding: binding, change: change, isNew: false), at: now)
        let logged = loggedKey(.revoked, server, proof: [compact], at: now)
        if !logged.isEmpty { effects.append(.persist(logged)) }
        if binding.isDead {
            effects += (try? suspend(server, reason: "its owner has revoked it for good", at: now)) ?? []
        }
        effects += reviewTrust(in: server, at: now)
        if revocationRelays.admit(compact, of: server, isPeer: isPeer, at: now.instant) {
            effects += relay(compact, of: server)
        }
        return effects
    }

    private func relay(_ compact: String, of server: ServerID) -> [Effect] {
        channels.keys.sorted().compactMap { peer in
            guard peer != server, let channel = channels[peer] else { return nil }
            return .send(.notice(.revocation(compact)), on: channel)
        }
    }

    /// Passes on the revocations that had to wait.
    mutating func relayRevocations(at now: Now) -> [Effect] {
        revocationRelays.takeDue(at: now.instant).flatMap { relay($0.compact, of: $0.server) }
    }

    /// A peer tells of a server's card or revocation.
    mutating func receive(
        _ notice: FederationFrame.Notice, from peer: VerifiedPeer, at now: Now
    ) -> [Effect] {
        do {
            switch notice {
            case .revocation(let compact):
                return try revoke(compact, at: now)
            case .card(let compact):
                if cards[peer.serverID] == compact { return [] }
                return try register(compact, from: peer.serverID, at: now).effects
            }
        } catch  where ["server.alreadyRegistered", "server.hasLeft"].contains(error.code) {
            return []
        } catch {
            return [.report(.noticeRefused(peer.serverID, code: error.code))]
        }
    }

    /// A peer's handshake has failed by its key: it may have rotated while it was not connected, and its card says so.
    mutating func askForCard(because failure: HandshakeManager.Failure, at now: Now) -> [Effect] {
        guard case .wrongKey(let server) = failure, peers[server] != nil, let entry = registry.server(server),
            entry.status != .suspended
        else { return [] }
        if let last = cardFetches[server], now.instant < last + Limits.cardFetchPause { return [] }
        cardFetches[server] = now.instant
        return [.fetchCard(server, [entry.endpoint] + entry.alternatives)]
    }

    // MARK: This server's keys

    /// Goes over to the key that this server had committed to. The old one signs that it does; channels stay open, and what the
    /// old one has signed counts for ``Limits/keyOverlap`` with the peers.
    ///
    /// - Parameters:
    ///   - successor: the same id with the next key.
    ///   - next: the commitment of that key to the one after it; nil to rotate no more.
    /// - Throws: `keys.notCommitted` for a key that nobody would believe.
    public mutating func rotate(
        to successor: ServerIdentity, next: ContentHash?, at now: Now
    ) throws(Refusal) -> [Effect] {
        guard successor.id == id, successor.publicKey.commitment == commitment.next else {
            throw Refusal(
                .conflict, code: "keys.notCommitted", reason: "\(id) has not committed to that key as its next",
                remedy: "put the promised key into next.key, or replace every key with: aether keys revoke")
        }
        let rotation = KeyRotation(issuer: id, to: successor.publicKey, next: next, issuedAt: now.timestamp)
        ownKeys.rotations = (ownKeys.rotations + [rotation.issue(by: identity)]).suffix(ServerCard.maximumRotations)
        ownKeys.past = (ownKeys.past + [identity.publicKey]).suffix(Limits.ownPastKeys)
        commitment.next = next
        return change(to: successor, at: now)
    }

    /// Takes the key that the owner has put in the place of this server's keys. What the earlier ones have signed counts no more.
    ///
    /// - Throws: `keys.badRevocation` when it is not for this server and key, or not signed with the recovery key.
    public mutating func replace(
        by revocation: String, with successor: ServerIdentity, at now: Now
    ) throws(Refusal) -> [Effect] {
        guard let recovery = commitment.recovery, successor.id == id,
            let keys = OwnKeys(
                replacedBy: revocation, after: ownKeys, of: id, with: successor.publicKey, recovery: recovery
            ),
            let promised = keys.commitment
        else {
            throw Refusal(
                .conflict, code: "keys.badRevocation",
                reason: "the revocation is not one of \(id), for this key, under its recovery key, or not its newest",
                remedy: "remove the replacement files, and make it anew with aether keys revoke")
        }
        ownKeys = keys
        commitment = promised
        return change(to: successor, at: now)
    }

    /// The owner wants this server's id to be dead: everybody connected is told, every channel closes, and no start is possible
    /// any more.
    private mutating func end(by compact: String, at now: Now) throws(Refusal) -> [Effect] {
        guard let recovery = commitment.recovery,
            let statement = try? KeyRevocation.verify(compact, server: id, recovery: recovery)
        else {
            throw Refusal(
                .forbidden, code: "keys.badRevocation",
                reason: "the revocation is not signed with the recovery key of \(id)",
                remedy: "make it with aether keys revoke")
        }
        guard statement.replacement == nil else {
            throw Refusal(
                .conflict, code: "keys.badRevocation",
                reason: "the revocation names a new key, which is where it was made",
                remedy: "hand it to the other servers; here it takes hold by aether keys revoke")
        }
        ownKeys.revocation = compact
        ownKeys.isDead = true
        var effects: [Effect] = [.persist([.putOwnKeys(ownKeys)])]
        for server in channels.keys.sorted() {
            guard let channel = channels[server] else { continue }
            effects.append(.send(.notice(.revocation(compact)), on: channel))
            effects.append(.hangUp(server))
            effects += drop(channel, .goingAway)
        }
        return effects
    }

    private mutating func change(to successor: ServerIdentity, at now: Now) -> [Effect] {
        ownKeys.present = successor.publicKey
        ownKeys.commitment = commitment
        identity = successor
        handshakes.identity = successor
        var effects: [Effect] = [.persist([.putOwnKeys(ownKeys)])]
        effects += refreshCard(at: now)
        guard let card else { return effects }
        for server in channels.keys.sorted() {
            if let channel = channels[server] {
                if let revocation = ownKeys.revocation {
                    effects.append(.send(.notice(.revocation(revocation)), on: channel))
                }
                effects.append(.send(.notice(.card(card.compact)), on: channel))
            }
        }
        return effects
    }
}
