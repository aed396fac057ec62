public import FederationModel

/// What a server says of itself, signed by the key that it names: the content of `/.well-known/aether-federation` and
/// of a registration. It proves that whoever made it holds the key; that the key belongs to the id is for trust
/// policy to say.
public struct ServerCard: SignedStatement {
    public static let use = SignatureUse.serverCard

    public let id: ServerID
    /// For people; see ``FederatedServer/isValidName(_:)``.
    public let name: String
    public let endpoint: Endpoint
    public let publicKey: PublicKey
    /// A card with a higher number replaces one with a lower.
    public let sequence: UInt64
    public let versions: ProtocolVersions
    /// The worlds that travellers may enter, sorted, none twice, at most ``maximumWorlds``.
    public let worlds: [WorldID]
    /// In whole seconds.
    public let issued: Timestamp
    /// In whole seconds; the card is worth nothing from then on.
    public let expires: Timestamp

    public var issuer: ServerID { id }

    /// So many worlds of the longest names fit into ``Limits/jwsBytes``. A server with more does not announce the rest.
    public static let maximumWorlds = 150

    /// Sorts the worlds, keeps the first ``maximumWorlds`` and drops fractions of seconds.
    public init(
        id: ServerID, name: String, endpoint: Endpoint, publicKey: PublicKey, sequence: UInt64,
        versions: ProtocolVersions = .current, worlds: [WorldID], issued: Timestamp, expires: Timestamp
    ) {
        self.id = id
        self.name = name
        self.endpoint = endpoint
        self.publicKey = publicKey
        self.sequence = sequence
        self.versions = versions
        self.worlds = Array(Set(worlds).sorted().prefix(Self.maximumWorlds))
        self.issued = Timestamp(seconds: issued.seconds)
        self.expires = Timestamp(seconds: expires.seconds)
    }

    /// The card in `text`, when it is signed by the key that it names and valid at `timestamp`. Its date of issue may
    /// lie ``Limits/clockSkew`` in the future.
    public static func verify(_ text: String, at timestamp: Timestamp) throws(StatementFailure) -> ServerCard {
        let claimed = try ServerCard(claims: try CompactJWS.unverified(text, for: use))
        let card = try verified(text, issuer: claimed.id, key: claimed.publicKey)
        guard timestamp < card.expires else { throw .expired }
        guard card.issued <= timestamp + Limits.clockSkew else { throw .notYetValid }
        return card
    }

    public var claims: [String: JSONValue] {
        [
            "iss": Claims.value(id), "name": .string(name), "endpoint": Claims.value(endpoint),
            "key": Claims.value(publicKey), "seq": Claims.unsigned(sequence),
            "min_version": .integer(Int64(versions.minimum)), "max_version": .integer(Int64(versions.maximum)),
            "worlds": .array(worlds.map { Claims.value($0) }), "iat": Claims.time(issued), "exp": Claims.time(expires),
        ]
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        id = try claims.value("iss")
        name = try claims.text("name")
        endpoint = try claims.value("endpoint")
        publicKey = try claims.value("key")
        sequence = try claims.unsigned("seq")
        guard let minimum = UInt16(exactly: try claims.unsigned("min_version")),
            let maximum = UInt16(exactly: try claims.unsigned("max_version")),
            let versions = ProtocolVersions(minimum: minimum, maximum: maximum)
        else { throw .malformed("min_version and max_version are no range of versions") }
        self.versions = versions
        guard let elements = members["worlds"]?.elements else { throw .malformed("worlds is missing or not an array") }
        var worlds: [WorldID] = []
        guard elements.count <= Self.maximumWorlds else { throw .malformed("worlds has \(elements.count) elements") }
        for element in elements {
            guard let text = element.text, let world = WorldID(rawValue: text), worlds.last.map({ $0 < world }) ?? true
            else { throw .malformed("worlds is not a sorted list of world ids") }
            worlds.append(world)
        }
        self.worlds = worlds
        issued = try claims.time("iat")
        expires = try claims.time("exp")
        guard FederatedServer.isValidName(name) else { throw .malformed("name is not valid") }
        guard publicKey.isAcceptable else { throw .malformed("key is not a usable key") }
        guard issued < expires else { throw .malformed("exp is not after iat") }
    }
}
