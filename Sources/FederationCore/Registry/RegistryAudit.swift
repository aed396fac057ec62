public import FederationCrypto
public import FederationModel

/// Something that an honest registry does not do.
public struct AuditFinding: Hashable, Sendable {
    /// Stable, for programs: `log.forked`.
    public let code: String
    /// The server that it is about, when it is about one.
    public let server: ServerID?
    /// One line for people.
    public let message: String
    /// Statements that prove it to others, as they were signed, or as the registry showed them.
    public let evidence: [String]

    public init(_ code: String, server: ServerID? = nil, _ message: String, evidence: [String] = []) {
        self.code = code
        self.server = server
        self.message = message
        self.evidence = evidence
    }
}

/// Checks a registry's log entry by entry, and remembers in little what the next audit needs.
///
/// It believes the registry nothing: heads count by their signature under the registry's pinned key, entries by the root
/// that follows from them, keys by the rules of ``KeyBinding``, from the first entry about an id on.
public struct RegistryAudit: Hashable, Sendable {
    /// What the log says of one server.
    public struct Subject: Hashable, Sendable {
        public var binding: KeyBinding
        /// The newest entry's place, kind and card.
        public var index: Int
        public var kind: RegistryLogEntry.Kind
        public var card: ContentHash?
        public var sequence: UInt64

        public init(binding: KeyBinding, index: Int, kind: RegistryLogEntry.Kind, card: ContentHash?, sequence: UInt64)
        {
            self.binding = binding
            self.index = index
            self.kind = kind
            self.card = card
            self.sequence = sequence
        }
    }

    public let registry: ServerID
    /// The registry's own key: pinned when it was first seen, changed only as every server's key.
    public private(set) var binding: KeyBinding
    /// The newest head that was believed, as compact JWS.
    public private(set) var head: String?
    /// Everything that was read.
    public private(set) var frontier: MerkleFrontier
    public private(set) var subjects: [ServerID: Subject]

    public init(
        registry: ServerID, binding: KeyBinding, head: String? = nil, frontier: MerkleFrontier = MerkleFrontier(),
        subjects: [ServerID: Subject] = [:]
    ) {
        self.registry = registry
        self.binding = binding
        self.head = head
        self.frontier = frontier
        self.subjects = subjects
    }

    // MARK: The registry

    /// Takes the registry's own verified card.
    public mutating func take(_ card: ServerCard, _ compact: String, at now: Timestamp) -> [AuditFinding] {
        guard card.id == registry else {
            return [
                AuditFinding(
                    "registry.changed", "this was the registry of \(registry) and says now that it is \(card.id)",
                    evidence: [compact])
            ]
        }
        do {
            _ = try binding.accept(card, at: now)
            return []
        } catch {
            return [
                AuditFinding(
                    "registry.keyChanged",
                    "the registry shows a key that does not follow from the pinned one: \(error.refusal.reason)",
                    evidence: [compact])
            ]
        }
    }

    /// The head in `compact`, when the registry signed it with its present key, or with one that it has rotated away from.
    public func verified(_ compact: String) -> TreeHead? {
        for key in [binding.key] + binding.retired.map(\.key) {
            if let head = try? TreeHead.verify(compact, registry: registry, key: key) { return head }
        }
        return nil
    }

    /// Whether two heads are both possible.
    ///
    /// - Parameter proof: that the longer log continues the shorter one; nil when the registry gave none.
    public static func compare(
        _ one: (head: TreeHead, compact: String), _ other: (head: TreeHead, compact: String), proof: [ContentHash]?
    ) -> AuditFinding? {
        let (early, late) = one.head.size <= other.head.size ? (one, other) : (other, one)
        let evidence = [early.compact, late.compact]
        switch late.head.relation(to: early.head) {
        case .same:
            return nil
        case .contradicts, .shrunk:
            return AuditFinding(
                "log.forked",
                "the registry has signed two different logs of \(early.head.size) entries: \(early.head.root) and \(late.head.root)",
                evidence: evidence)
        case .needsProof:
            guard let proof else {
                return AuditFinding(
                    "log.unproven",
                    "the registry does not prove that its log of \(late.head.size) entries continues the one of \(early.head.size)",
                    evidence: evidence)
            }
            if late.head.continues(early.head, proof: proof) { return nil }
            return AuditFinding(
                "log.inconsistent",
                "the registry's log of \(late.head.size) entries does not continue the one of \(early.head.size) that it has signed",
                evidence: evidence + proof.map(\.description))
        }
    }

    /// Takes a head that was found to be good.
    public mutating func believe(_ compact: String) { head = compact }

    // MARK: The entries

    /// Takes the next entry of the log.
    public mutating func take(_ json: JSONValue, at index: Int) -> [AuditFinding] {
        let leaf = json.serialized()
        let text = String(decoding: leaf, as: UTF8.self)
        guard index == frontier.count else {
            return [
                AuditFinding(
                    "entry.misplaced", "the registry shows entry \(index) where entry \(frontier.count) is due")
            ]
        }
        frontier.append(leaf)
        guard let entry = RegistryLogEntry(json) else {
            return [AuditFinding("entry.malformed", "entry \(index) of the log does not parse", evidence: [text])]
        }
        return take(entry, at: index, text)
    }

    private mutating func take(_ entry: RegistryLogEntry, at index: Int, _ text: String) -> [AuditFinding] {
        guard var subject = subjects[entry.server] else {
            subjects[entry.server] = Subject(
                binding: KeyBinding(
                    server: entry.server, key: entry.key, commitment: entry.commitment,
                    revocation: Self.revocationNumber(of: entry), since: entry.time),
                index: index, kind: entry.kind, card: entry.card, sequence: entry.sequence)
            // The key of one that had left before the log began may change before it comes again.
            return [.registered, .deregistered].contains(entry.kind)
                ? []
                : [
                    AuditFinding(
                        "entry.outOfOrder", server: entry.server,
                        "the first entry about \(entry.server) says '\(entry.kind.rawValue)'", evidence: [text])
                ]
        }
        var findings: [AuditFinding] = []
        if let reason = Self.follow(entry, &subject.binding) {
            findings.append(
                AuditFinding(
                    "key.changed", server: entry.server,
                    "entry \(index) gives \(entry.server) the key \(entry.key.fingerprint) without proof: \(reason)",
                    evidence: [text]))
            // From here on what the log says is compared with what the log says, so that one lie is one finding.
            subject.binding = KeyBinding(
                server: entry.server, key: entry.key, commitment: entry.commitment,
                revocation: subject.binding.revocation, since: entry.time)
        } else if entry.key == subject.binding.key, subject.kind != .deregistered, entry.card != nil,
            [.updated, .registered].contains(entry.kind), entry.sequence <= subject.sequence
        {
            findings.append(
                AuditFinding(
                    "card.backwards", server: entry.server,
                    "entry \(index) goes back from card \(subject.sequence) of \(entry.server) to card \(entry.sequence)",
                    evidence: [text]))
        }
        subject.index = index
        subject.kind = entry.kind
        subject.card = entry.card
        subject.sequence = entry.sequence
        subjects[entry.server] = subject
        return findings
    }

    /// Lets the binding follow an entry; why it does not, in words.
    private static func follow(_ entry: RegistryLogEntry, _ binding: inout KeyBinding) -> String? {
        // What the entry says of the card stands for the card here: the entry's hash names it.
        let revocation = entry.revocation
        let rotations = revocation == nil ? entry.proof : entry.proof.dropLast()
        do {
            var changed = binding
            if let revocation, [.revoked, .registered, .deregistered].contains(entry.kind) {
                _ = try changed.accept(revocation: revocation, at: entry.time)
            }
            // A dead id may be suspended and removed, and nothing else.
            let isListing = [.registered, .updated, .rotated, .reinstated].contains(entry.kind)
            if !changed.isDead || entry.key != changed.key || isListing {
                _ = try changed.accept(standIn(entry, rotations: Array(rotations)), at: entry.time)
            }
            binding = changed
            return nil
        } catch {
            return error.refusal.reason
        }
    }

    private static func standIn(_ entry: RegistryLogEntry, rotations: [String]) -> ServerCard {
        guard let host = Host("log.invalid"), let endpoint = Endpoint(host: host) else {
            preconditionFailure("a name under .invalid is a host (RFC 6761 §6.4)")
        }
        return ServerCard(
            id: entry.server, name: entry.server.rawValue, endpoint: endpoint, publicKey: entry.key,
            commitment: entry.commitment, rotations: rotations, sequence: entry.sequence, worlds: [],
            issued: entry.time, expires: entry.time + .seconds(1))
    }

    private static func revocationNumber(of entry: RegistryLogEntry) -> UInt64 {
        entry.proof.compactMap { try? KeyRevocation.unverified($0).number }.max() ?? 0
    }

    // MARK: The listing

    /// Checks a card that the registry lists against the newest entry about its server.
    ///
    /// - Parameter later: hashes of cards that were logged after the listing may have been made.
    public func check(
        listed server: ServerID, _ compact: String?, later: Set<ContentHash>, at now: Timestamp
    ) -> [AuditFinding] {
        guard let compact else {
            return [AuditFinding("card.missing", server: server, "\(server) is listed without its card")]
        }
        let card: ServerCard
        do {
            card = try Self.card(compact, at: now)
        } catch {
            return [
                AuditFinding(
                    "card.refused", server: server, "the card that is listed for \(server) \(error.reason)",
                    evidence: [compact])
            ]
        }
        guard card.id == server else {
            return [
                AuditFinding(
                    "card.refused", server: server, "the card that is listed for \(server) is one of \(card.id)",
                    evidence: [compact])
            ]
        }
        let hash = ContentHash.of(Array(compact.utf8))
        if later.contains(hash) { return [] }
        guard let subject = subjects[server], subject.kind != .deregistered else {
            return [
                AuditFinding(
                    "card.unlogged", server: server, "\(server) is listed and the log does not say so",
                    evidence: [compact])
            ]
        }
        guard subject.card == hash else {
            return [
                AuditFinding(
                    "card.unlogged", server: server,
                    "the card that is listed for \(server) is not the one in its newest log entry, \(subject.index)",
                    evidence: [compact])
            ]
        }
        return []
    }

    /// A card that was in order at some time: when that was is its owner's business, and the reader's clock's. The registry can only
    /// show what it was given.
    private static func card(_ compact: String, at now: Timestamp) throws(StatementFailure) -> ServerCard {
        do {
            return try ServerCard.verify(compact, at: now)
        } catch  where error == .expired || error == .notYetValid {
            return try ServerCard.verifySignature(compact)
        }
    }

    /// The servers that the log has and that must be listed, sorted.
    public var listedByLog: [ServerID] {
        subjects.keys.sorted().filter { subjects[$0]?.kind != .deregistered }
    }
}
