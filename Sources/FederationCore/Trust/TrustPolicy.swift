public import FederationModel

/// Whom a server trusts besides the peers that its operator has added by hand, and whom not at all.
///
/// Everything automatic is off by default. ``deny`` wins over everything, also over what is pinned. ``allow``, when it is not empty,
/// bounds whom the rest may trust; it gives trust to nobody by itself, and what is pinned needs it not.
public struct TrustPolicy: Hashable, Sendable {
    /// At most ``Limits/policyPatterns``.
    public var allow: [TrustPattern]
    /// At most ``Limits/policyPatterns``.
    public var deny: [TrustPattern]
    /// What a server may do that a registry lists; nil to trust none for that.
    public var registryListed: PeerScopes?
    /// What a server may do that enough trusted peers have introduced; nil to trust none for that.
    public var introducedBy: Introduced?
    /// What a server may do of which nothing is known but that it has come; nil to trust none for that.
    public var firstUse: PeerScopes?
    /// Whether this server introduces its peers to one another.
    public var introduces: Bool

    /// How many introducers are enough, and for what.
    public struct Introduced: Hashable, Sendable {
        /// 1 to ``Limits/introducers``.
        public var count: Int
        public var scopes: PeerScopes

        public init(count: Int, scopes: PeerScopes) {
            self.count = count
            self.scopes = scopes
        }
    }

    public init(
        allow: [TrustPattern] = [], deny: [TrustPattern] = [], registryListed: PeerScopes? = nil,
        introducedBy: Introduced? = nil, firstUse: PeerScopes? = nil, introduces: Bool = true
    ) {
        self.allow = allow
        self.deny = deny
        self.registryListed = registryListed
        self.introducedBy = introducedBy
        self.firstUse = firstUse
        self.introduces = introduces
    }

    /// What speaks for a server.
    public struct Evidence: Hashable, Sendable {
        /// What its operator's pin lets it do; nil when it is not pinned.
        public var pinned: PeerScopes?
        /// The registries that list it, sorted.
        public var registries: [String]
        /// The peers whose word counts and who have introduced it with this key, sorted.
        public var introducers: [ServerID]
        /// Whether a peer whose word counts has introduced another key under its id.
        public var isContested: Bool
        /// Whether nothing else is known under its id that speaks against its key.
        public var isFirstUse: Bool
        /// Whether it has signed two cards that contradict each other.
        public var hasEquivocated: Bool
        /// The keys that it has rotated away from: whoever signs that another key follows stays who they were.
        public var formerKeys: [PublicKey]

        public init(
            pinned: PeerScopes? = nil, registries: [String] = [], introducers: [ServerID] = [],
            isContested: Bool = false, isFirstUse: Bool = false, hasEquivocated: Bool = false,
            formerKeys: [PublicKey] = []
        ) {
            self.pinned = pinned
            self.registries = registries
            self.introducers = introducers
            self.isContested = isContested
            self.isFirstUse = isFirstUse
            self.hasEquivocated = hasEquivocated
            self.formerKeys = formerKeys
        }
    }

    public enum Decision: Hashable, Sendable {
        case trust(TrustSource, PeerScopes)
        case refuse(Refusal)
    }

    /// Whether a server is trusted, why, and for what. Where several things speak for it, the strongest is named, and it may do
    /// what any of them lets it do: more evidence never takes anything away.
    public func decide(
        _ server: ServerID, key: PublicKey?, endpoints: [Endpoint], evidence: Evidence
    ) -> Decision {
        let formerKeys = evidence.formerKeys
        guard !denies(server, key: key, formerKeys: formerKeys, endpoints: endpoints) else {
            return .refuse(Self.denied(server))
        }
        if let pinned = evidence.pinned { return .trust(.pinned, pinned) }
        guard
            allows(server, key: key, endpoints: endpoints)
                || formerKeys.contains(where: { allows(server, key: $0, endpoints: endpoints) })
        else { return .refuse(Self.notAllowed(server)) }
        // Whoever speaks for it has seen one of its faces; a person has to find out which one is true.
        guard !evidence.hasEquivocated else { return .refuse(Self.equivocated(server)) }
        var found: TrustSource?
        var scopes: PeerScopes = []
        if let registryListed, let registry = evidence.registries.first {
            found = .registry(registry)
            scopes.formUnion(registryListed)
        }
        if let introducedBy, !evidence.isContested, evidence.introducers.count >= introducedBy.count {
            // More than are enough would only make the record longer.
            found = found ?? .introduced(Array(evidence.introducers.prefix(introducedBy.count)))
            scopes.formUnion(introducedBy.scopes)
        }
        if let firstUse, evidence.isFirstUse {
            found = found ?? .firstUse
            scopes.formUnion(firstUse)
        }
        guard let found else {
            return .refuse(evidence.isContested ? Self.contested(server) : Self.unknown(server))
        }
        return .trust(found, scopes)
    }

    /// Whether the deny list names the server.
    ///
    /// - Parameter formerKeys: those that it has rotated away from; see ``Evidence/formerKeys``.
    public func denies(
        _ server: ServerID, key: PublicKey?, formerKeys: [PublicKey] = [], endpoints: [Endpoint]
    ) -> Bool {
        deny.contains { pattern in
            pattern.matches(server, key: key, endpoints: endpoints)
                || formerKeys.contains { pattern.matches(server, key: $0, endpoints: []) }
        } || endpoints.contains { $0.host.address.map(denies) ?? false }
    }

    /// Whether one of the lists names a key.
    func names(_ key: PublicKey) -> Bool {
        allow.contains { $0.names(key) } || deny.contains { $0.names(key) }
    }

    /// Whether the deny list names an address, whoever is there.
    public func denies(_ address: NetworkAddress) -> Bool {
        deny.contains { if case .address(let range) = $0 { range.reaches(address) } else { false } }
    }

    /// The addresses that the deny list names: nothing is dialled or fetched there, and nobody is let in from there.
    public var deniedAddresses: [AddressRange] {
        deny.compactMap { if case .address(let range) = $0 { range } else { nil } }
    }

    /// Whether the allow list leaves the server in.
    public func allows(_ server: ServerID, key: PublicKey?, endpoints: [Endpoint]) -> Bool {
        if allow.isEmpty || allow.contains(where: { $0.matches(server, key: key, endpoints: []) }) { return true }
        // Every place must be one that is allowed: a server may name others' beside its own.
        return !endpoints.isEmpty
            && endpoints.allSatisfy { place in
                allow.contains { $0.matches(server, key: key, endpoints: [place]) }
            }
    }

    /// Whether anybody can be trusted whom the operator has not pinned.
    public var isAutomatic: Bool { registryListed != nil || introducedBy != nil || firstUse != nil }

    static func denied(_ server: ServerID) -> Refusal {
        refusal("denied", "the deny list names \(server)", "take the pattern out: aether policy remove PATTERN")
    }

    private static func notAllowed(_ server: ServerID) -> Refusal {
        refusal(
            "notAllowed", "the allow list does not name \(server)",
            "allow it: aether policy allow \(server); or pin it: aether peers add")
    }

    private static func contested(_ server: ServerID) -> Refusal {
        refusal(
            "contested", "trusted peers name different keys for \(server)",
            "compare its fingerprint with its operator, then pin it: aether peers add")
    }

    private static func equivocated(_ server: ServerID) -> Refusal {
        refusal(
            "equivocated", "\(server) has signed two cards that contradict each other",
            "see both: aether registry conflicts; ask its operator, then pin it: aether peers add")
    }

    private static func unknown(_ server: ServerID) -> Refusal {
        refusal("noEvidence", "nothing that the policy goes by speaks for \(server)", "pin it: aether peers add")
    }

    private static func refusal(_ code: String, _ reason: String, _ remedy: String) -> Refusal {
        Refusal(.forbidden, code: "policy.\(code)", reason: reason, remedy: remedy, step: .handshake)
    }
}

extension PeerScopes {
    /// Why a set of scopes makes no sense; nil when it does.
    public var problem: Refusal? {
        guard !isEmpty, !contains(.heartbeat) else { return nil }
        return Refusal(
            .invalid, code: "scopes.heartbeatMissing", reason: "without heartbeat no other scope can be used",
            remedy: "name heartbeat too, or none alone")
    }

    /// The refusal of something that takes a scope which the peer does not have; a code for each.
    static func missing(_ name: String, of server: ServerID, _ what: String) -> Refusal {
        Refusal(
            .forbidden, code: "peer.scopeMissing.\(name)", reason: "\(server) may not \(what)",
            remedy: "its operator asks this server's: aether peers scopes \(server) …", step: .handshake)
    }
}
