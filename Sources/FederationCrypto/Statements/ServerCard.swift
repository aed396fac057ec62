public import FederationModel

/// What a server says of itself, signed by the key that it names: the content of `/.well-known/aether-federation` and
/// of a registration. It proves that whoever made it holds the key; that the key belongs to the id is for trust
/// policy to say.
public struct ServerCard: SignedStatement {
    public static let use = SignatureUse.serverCard

    public let id: ServerID
    /// For people; see ``FederatedServer/isValidName(_:)``.
    public let name: String
    /// Where it is reached first.
    public let endpoint: Endpoint
    /// Where else it can be reached, in order of preference; at most ``maximumAlternatives``.
    public let alternatives: [Endpoint]
    public let publicKey: PublicKey
    /// What the next key will be, and which key may take this one back.
    public let commitment: KeyCommitment
    /// The rotations that led to ``publicKey``, as compact JWS, oldest first; at most ``maximumRotations``, the newest ones.
    public let rotations: [String]
    /// The revocation that ``publicKey`` or an earlier key of its line came from, as compact JWS.
    public let revocation: String?
    /// A card with a higher number replaces one with a lower.
    public let sequence: UInt64
    public let versions: ProtocolVersions
    /// The worlds that travellers may enter, sorted, none twice, at most ``maximumWorlds``.
    public let worlds: [WorldID]
    /// How people reach the operator; as a name: see ``FederatedServer/isValidName(_:)``.
    public let contact: String?
    /// In whole seconds.
    public let issued: Timestamp
    /// In whole seconds; the card is worth nothing from then on.
    public let expires: Timestamp

    public var issuer: ServerID { id }

    /// Every address, the main one first.
    public var endpoints: [Endpoint] { [endpoint] + alternatives }

    /// So many worlds of the longest names fit into ``Limits/jwsBytes`` beside everything else. A server with more does not
    /// announce the rest.
    public static let maximumWorlds = 80
    public static let maximumAlternatives = 3
    /// A reader who has missed more rotations in a row follows by a revocation only.
    public static let maximumRotations = 4

    /// Sorts the worlds, keeps the first ``maximumWorlds``, the first ``maximumAlternatives`` and the last
    /// ``maximumRotations``, and drops fractions of seconds.
    public init(
        id: ServerID, name: String, endpoint: Endpoint, alternatives: [Endpoint] = [], publicKey: PublicKey,
        commitment: KeyCommitment = KeyCommitment(), rotations: [String] = [], revocation: String? = nil,
        sequence: UInt64, versions: ProtocolVersions = .current, worlds: [WorldID], contact: String? = nil,
        issued: Timestamp, expires: Timestamp
    ) {
        self.id = id
        self.name = name
        self.endpoint = endpoint
        self.alternatives = Array(alternatives.prefix(Self.maximumAlternatives))
        self.publicKey = publicKey
        self.commitment = commitment
        self.rotations = rotations.suffix(Self.maximumRotations)
        self.revocation = revocation
        self.contact = contact
        self.sequence = sequence
        self.versions = versions
        self.worlds = Array(Set(worlds).sorted().prefix(Self.maximumWorlds))
        self.issued = Timestamp(seconds: issued.seconds)
        self.expires = Timestamp(seconds: expires.seconds)
    }

    /// The card in `text`, when it is signed by the key that it names and valid at `timestamp`. Its date of issue may
    /// lie ``Limits/clockSkew`` in the future, and it may be valid for ``Limits/serverCardLifetime``: a card that outlives its
    /// server and its keys by far would speak for whoever finds them.
    public static func verify(_ text: String, at timestamp: Timestamp) throws(StatementFailure) -> ServerCard {
        let card = try verifySignature(text)
        guard card.expires - card.issued <= Limits.serverCardLifetime else {
            throw .malformed("exp is more than 400 days after iat")
        }
        guard timestamp < card.expires else { throw .expired }
        guard card.issued <= timestamp + Limits.clockSkew else { throw .notYetValid }
        return card
    }

    /// The card in `text`, when it is signed by the key that it names, whether or not it is valid now.
    public static func verifySignature(_ text: String) throws(StatementFailure) -> ServerCard {
        try CompactJWS.verify(text, for: use, read: ServerCard.init(claims:), key: \.publicKey)
    }

    public var claims: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "iss": Claims.value(id), "name": .string(name), "endpoint": Claims.value(endpoint),
            "key": Claims.value(publicKey), "seq": Claims.unsigned(sequence),
            "min_version": .integer(Int64(versions.minimum)), "max_version": .integer(Int64(versions.maximum)),
            "worlds": .array(worlds.map { Claims.value($0) }), "iat": Claims.time(issued), "exp": Claims.time(expires),
        ]
        if !alternatives.isEmpty { members["alternatives"] = .array(alternatives.map { Claims.value($0) }) }
        if let next = commitment.next { members["next"] = Claims.value(next) }
        if let recovery = commitment.recovery { members["recovery"] = Claims.value(recovery) }
        if !rotations.isEmpty { members["rotations"] = .array(rotations.map { .string($0) }) }
        if let revocation { members["revocation"] = .string(revocation) }
        if let contact { members["contact"] = .string(contact) }
        return members
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        id = try claims.value("iss")
        name = try claims.text("name")
        endpoint = try claims.value("endpoint")
        publicKey = try claims.value("key")
        sequence = try claims.unsigned("seq")
        guard sequence > 0 else { throw .malformed("seq is 0, and cards are numbered from 1") }
        guard let minimum = UInt16(exactly: try claims.unsigned("min_version")),
            let maximum = UInt16(exactly: try claims.unsigned("max_version")),
            let versions = ProtocolVersions(minimum: minimum, maximum: maximum)
        else { throw .malformed("min_version and max_version are no range of versions") }
        self.versions = versions
        var worlds: [WorldID] = []
        for text in try claims.texts("worlds", upTo: Self.maximumWorlds) {
            guard let world = WorldID(rawValue: text), worlds.last.map({ $0 < world }) ?? true
            else { throw .malformed("worlds is not a sorted list of world ids") }
            worlds.append(world)
        }
        self.worlds = worlds
        var alternatives: [Endpoint] = []
        for text in try claims.optionalTexts("alternatives", upTo: Self.maximumAlternatives) {
            guard let endpoint = Endpoint(text) else { throw .malformed("alternatives is not a list of endpoints") }
            alternatives.append(endpoint)
        }
        self.alternatives = alternatives
        commitment = KeyCommitment(
            next: try claims.optionalValue("next"), recovery: try claims.optionalValue("recovery"))
        rotations = try claims.optionalTexts("rotations", upTo: Self.maximumRotations)
        revocation = members["revocation"] == nil ? nil : try claims.text("revocation")
        contact = members["contact"] == nil ? nil : try claims.text("contact")
        issued = try claims.time("iat")
        expires = try claims.time("exp")
        guard FederatedServer.isValidName(name) else { throw .malformed("name is not valid") }
        guard contact.map(FederatedServer.isValidName) ?? true else { throw .malformed("contact is not valid") }
        guard publicKey.isAcceptable else { throw .malformed("key is not a usable key") }
        guard issued < expires else { throw .malformed("exp is not after iat") }
    }
}
