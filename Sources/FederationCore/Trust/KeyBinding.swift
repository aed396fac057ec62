public import FederationCrypto
public import FederationModel

/// Which key a server id is bound to here, for good: the first card seen binds it, and from then on the key changes only by a
/// rotation to the key that was committed to before, or by the committed recovery key.
///
/// A thief of the present key can speak in the server's name until then, and nothing more: for one key the commitments never
/// change, so the thief cannot put keys of their own in their place.
public struct KeyBinding: Hashable, Sendable {
    public let server: ServerID
    public private(set) var key: PublicKey
    public private(set) var commitment: KeyCommitment
    /// Keys that were rotated away from, oldest first; at most ``Limits/retiredKeys``, besides those that the policy names.
    public private(set) var retired: [RetiredKey]
    /// The highest ``KeyRevocation/number`` that was believed; 0 before the first.
    public private(set) var revocation: UInt64
    /// Every key is void and none follows.
    public private(set) var isDead: Bool
    /// When the present key was first seen here.
    public private(set) var since: Timestamp

    /// A key that was rotated away from.
    public struct RetiredKey: Hashable, Sendable {
        public let key: PublicKey
        /// Until when statements under it still count, for what was on its way.
        public let until: Timestamp

        public init(key: PublicKey, until: Timestamp) {
            self.key = key
            self.until = until
        }
    }

    /// What a card or a revocation did.
    public enum Change: Hashable, Sendable {
        case none
        /// The same key commits itself for the first time, or names those before it.
        case committed
        /// A pre-committed key took the place of `from`, which still counts for a while.
        case rotated(from: PublicKey)
        /// The recovery key has made `from` and everything before it void; nil for a dead id's replacement.
        case revoked(from: PublicKey)
    }

    public init(
        server: ServerID, key: PublicKey, commitment: KeyCommitment = KeyCommitment(), retired: [RetiredKey] = [],
        revocation: UInt64 = 0, isDead: Bool = false, since: Timestamp
    ) {
        self.server = server
        self.key = key
        self.commitment = commitment
        self.retired = retired
        self.revocation = revocation
        self.isDead = isDead
        self.since = since
    }

    /// The binding that the first card of a server makes.
    ///
    /// - Throws: as ``accept(_:at:)`` when the card's revocation does not bear out its key.
    public init(first card: ServerCard, at now: Timestamp) throws(Failure) {
        self.init(server: card.id, key: card.publicKey, commitment: card.commitment, since: now)
        remember(past: card, at: now)
    }

    /// What the first card tells of the time before it.
    private mutating func remember(past card: ServerCard, at now: Timestamp) {
        // Whose number is not known here cannot be checked against an earlier one; it counts from now on.
        if let compact = card.revocation, let recovery = card.commitment.recovery,
            let statement = try? KeyRevocation.verify(compact, server: card.id, recovery: recovery)
        {
            revocation = max(revocation, statement.number)
        }
        remember(Self.predecessors(of: card), at: now)
    }

    /// Nothing that they have signed was on its way to here. They count for whom the policy means by one of them.
    private mutating func remember(_ predecessors: [PublicKey], at now: Timestamp) {
        retired = predecessors.map { RetiredKey(key: $0, until: now) }
    }

    /// The keys that a card's rotations lead from to its own, oldest first: each has signed that the next one follows.
    private static func predecessors(of card: ServerCard) -> [PublicKey] {
        var keys = [card.publicKey]
        for compact in card.rotations.reversed() {
            guard let former = CompactJWS.unverifiedKey(compact), !keys.contains(former),
                let rotation = try? KeyRotation.verify(compact, server: card.id, key: former), rotation.to == keys.last
            else { break }
            keys.append(former)
        }
        return keys.dropFirst().reversed()
    }

    /// Whether what was signed with `key` still counts.
    public func accepts(_ key: PublicKey, at now: Timestamp) -> Bool {
        if isDead { return false }
        return key == self.key || retired.contains { $0.key == key && now < $0.until }
    }

    /// Takes the key that a verified card names. Nothing changes when it throws.
    ///
    /// - Parameter isNamed: whether the policy names a key, so that having rotated away from it must not be forgotten.
    public mutating func accept(
        _ card: ServerCard, at now: Timestamp, keeping isNamed: (PublicKey) -> Bool = { _ in false }
    ) throws(Failure) -> Change {
        var changed = self
        var change = Change.none
        if let compact = card.revocation, card.publicKey != key {
            // A revocation that is known already, or is not this server's, is nothing; the rotations may still lead on.
            if let revoked = try? changed.accept(revocation: compact, at: now) { change = revoked }
        }
        guard !changed.isDead else { throw .revoked(server) }
        if card.publicKey != changed.key {
            guard !changed.retired.contains(where: { $0.key == card.publicKey }) else { throw .retiredKey(server) }
            change = try changed.follow(card.rotations, to: card.publicKey, change: change, at: now)
            changed.forgetOldest(keeping: isNamed)
        } else if commitment == KeyCommitment(), retired.isEmpty {
            // Bound without a card, on first use or by what was stored: this may be the first one. A revocation that has led to
            // this key must not end it.
            changed.remember(past: card, at: now)
        }
        let isNew = try changed.commit(card.commitment) || changed.retired != retired
        self = changed
        return change == .none && isNew ? .committed : change
    }

    /// Takes the owner's revocation. Nothing changes when it throws.
    public mutating func accept(revocation compact: String, at now: Timestamp) throws(Failure) -> Change {
        guard let recovery = commitment.recovery else { throw .noRecovery(server) }
        let statement: KeyRevocation
        do {
            // What is no news changes nothing, so it need not be proved: the recovery key may have been replaced since.
            let number = try KeyRevocation.unverified(compact).number
            if number == revocation { return .none }
            guard number > revocation else { throw Failure.oldRevocation(server) }
            statement = try KeyRevocation.verify(compact, server: server, recovery: recovery)
        } catch let failure as StatementFailure {
            throw .badRevocation(server, failure)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw .badRevocation(server, .malformed("unreadable"))
        }
        let from = key
        revocation = statement.number
        retired = []
        since = now
        if let replacement = statement.replacement {
            key = replacement.key
            commitment = KeyCommitment(
                next: replacement.commitment.next, recovery: replacement.commitment.recovery ?? recovery)
            isDead = false
        } else {
            isDead = true
        }
        return .revoked(from: from)
    }

    /// Follows the rotations from the present key to `target`.
    private mutating func follow(
        _ rotations: [String], to target: PublicKey, change: Change, at now: Timestamp
    ) throws(Failure) -> Change {
        let from = key
        for compact in rotations where CompactJWS.unverifiedKey(compact) == key {
            let rotation: KeyRotation
            do {
                rotation = try KeyRotation.verify(compact, server: server, key: key)
            } catch {
                throw .badRotation(server, error)
            }
            guard let committed = commitment.next, rotation.to.commitment == committed else {
                throw .notCommitted(server)
            }
            retired.append(RetiredKey(key: key, until: now + Limits.keyOverlap))
            key = rotation.to
            commitment.next = rotation.next
            since = now
            if key == target { return change == .none ? .rotated(from: from) : change }
        }
        throw .keyMismatch(server)
    }

    private mutating func forgetOldest(keeping isNamed: (PublicKey) -> Bool) {
        guard retired.count > Limits.retiredKeys else { return }
        var excess = retired.count { !isNamed($0.key) } - Limits.retiredKeys
        retired = retired.filter { old in
            guard excess > 0, !isNamed(old.key) else { return true }
            excess -= 1
            return false
        }
    }

    /// - Returns: whether a commitment was added.
    private mutating func commit(_ offered: KeyCommitment) throws(Failure) -> Bool {
        guard commitment.next == nil || offered.next == commitment.next,
            commitment.recovery == nil || offered.recovery == commitment.recovery
        else { throw .commitmentChanged(server) }
        defer { commitment = offered }
        return offered != commitment
    }
}

/// As it is stored: the key, a colon, and the end of its time in milliseconds since 1970.
extension KeyBinding.RetiredKey: LosslessStringConvertible {
    public init?(_ description: String) {
        let parts = description.split(separator: ":")
        guard parts.count == 2, let key = PublicKey(String(parts[0])), let until = Int64(parts[1]) else { return nil }
        self.init(key: key, until: Timestamp(milliseconds: until))
    }

    public var description: String { "\(key):\(until.milliseconds)" }
}
