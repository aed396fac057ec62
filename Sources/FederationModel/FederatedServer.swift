/// A server as a registry knows it.
public struct FederatedServer: Hashable, Sendable, Codable {
    public let id: ServerID
    /// For people; 1 to ``Limits/nameBytes`` bytes of UTF-8 without control characters.
    public var name: String
    public var endpoint: Endpoint
    /// Where else it answers, in order of preference.
    public var alternatives: [Endpoint]
    /// The key that proves the id. It changes only by rotation or revocation, never by registering again.
    public var publicKey: PublicKey
    public let registeredAt: Timestamp
    /// The newest heartbeat; nil before the first. Never goes backwards.
    public var lastHeartbeat: Timestamp?
    public var status: ServerStatus
    /// The sequence number of the signed record that this entry was made from; a higher one replaces a lower one.
    public var recordSequence: UInt64
    /// The worlds that its record announces, sorted.
    public var worlds: [WorldID]
    /// Why the operator has suspended it, if they said so.
    public var suspensionReason: String?

    public init(
        id: ServerID, name: String, endpoint: Endpoint, alternatives: [Endpoint] = [], publicKey: PublicKey,
        registeredAt: Timestamp,
        lastHeartbeat: Timestamp? = nil, status: ServerStatus = .offline, recordSequence: UInt64,
        worlds: [WorldID] = [], suspensionReason: String? = nil
    ) {
        self.id = id
        self.name = name
        self.endpoint = endpoint
        self.alternatives = alternatives
        self.publicKey = publicKey
        self.registeredAt = registeredAt
        self.lastHeartbeat = lastHeartbeat
        self.status = status
        self.recordSequence = recordSequence
        self.worlds = worlds
        self.suspensionReason = suspensionReason
    }

    /// Whether `name` may stand in a record: not empty, at most ``Limits/nameBytes`` bytes, no control characters and
    /// no space at either end.
    public static func isValidName(_ name: String) -> Bool {
        guard (1...Limits.nameBytes).contains(name.utf8.count), name.first != " ", name.last != " " else {
            return false
        }
        return name.unicodeScalars.allSatisfy(\.isPrintable)
    }
}

extension Unicode.Scalar {
    /// Whether the scalar may reach a terminal or a log: not a control or format character, a line or paragraph
    /// separator, of private use, or unassigned.
    package var isPrintable: Bool {
        // Of ASCII it is known without a look into Unicode's tables.
        if isASCII { return (0x20..<0x7F).contains(value) }
        return switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}
