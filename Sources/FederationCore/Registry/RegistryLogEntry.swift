public import FederationCrypto
public import FederationModel

/// One line of a registry's log: what became of one server id, and which keys stand behind it from then on.
public struct RegistryLogEntry: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// The id is new, or back after it was deregistered.
        case registered
        /// A newer card under the same key.
        case updated
        /// A newer card under the key that was committed to.
        case rotated
        /// The owner has taken the keys back.
        case revoked
        case deregistered
        /// The registry's operator has excluded the server.
        case suspended
        case reinstated
    }

    public let kind: Kind
    public let server: ServerID
    /// The key that the id is bound to from now on.
    public let key: PublicKey
    public let commitment: KeyCommitment
    /// Of the card that is listed; 0 when there is none.
    public let sequence: UInt64
    /// The SHA-256 of the card's compact JWS; nil when none is listed any more.
    public let card: ContentHash?
    /// The statements that prove a change of key to whoever knows the entries before, as compact JWS: rotations, oldest
    /// first, and a revocation.
    public let proof: [String]
    /// Why the server was suspended.
    public let reason: String?
    /// In whole seconds.
    public let time: Timestamp

    public init(
        _ kind: Kind, server: ServerID, key: PublicKey, commitment: KeyCommitment, sequence: UInt64,
        card: ContentHash?, proof: [String] = [], reason: String? = nil, time: Timestamp
    ) {
        self.kind = kind
        self.server = server
        self.key = key
        self.commitment = commitment
        self.sequence = sequence
        self.card = card
        self.proof = proof
        self.reason = reason
        self.time = Timestamp(seconds: time.seconds)
    }

    /// The revocation in ``proof``, where it stands last; not verified.
    public var revocation: String? {
        proof.last.flatMap { (try? KeyRevocation.unverified($0)) == nil ? nil : $0 }
    }

    /// The entry as JSON; members without a value are left out.
    public var json: JSONValue {
        var members: [String: JSONValue] = [
            "kind": .string(kind.rawValue), "id": .string(server.rawValue), "key": .string(key.description),
            "sequence": .integer(Int64(clamping: sequence)), "time": .integer(time.seconds),
        ]
        if let next = commitment.next { members["next"] = .string(next.description) }
        if let recovery = commitment.recovery { members["recovery"] = .string(recovery.description) }
        if let card { members["card"] = .string(card.description) }
        if !proof.isEmpty { members["proof"] = .array(proof.map { .string($0) }) }
        if let reason { members["reason"] = .string(reason) }
        return .object(members)
    }

    /// The bytes that are a leaf of the log: the JSON without white space, keys sorted.
    public var leaf: [UInt8] { json.serialized() }

    /// Reads what ``json`` writes. Members that are not known are passed over; nil when one that is needed is missing or
    /// not valid.
    public init?(_ json: JSONValue) {
        func value<Value: LosslessStringConvertible>(_ name: String) -> Value? {
            json[name]?.text.flatMap { Value($0) }
        }
        guard let kind = json["kind"]?.text.flatMap(Kind.init(rawValue:)), let server: ServerID = value("id"),
            let key: PublicKey = value("key"), let number = json["sequence"]?.integer,
            let sequence = UInt64(exactly: number), let seconds = json["time"]?.integer
        else { return nil }
        let next: ContentHash? = value("next")
        let recovery: ContentHash? = value("recovery")
        let card: ContentHash? = value("card")
        guard (json["next"] == nil) == (next == nil), (json["recovery"] == nil) == (recovery == nil),
            (json["card"] == nil) == (card == nil)
        else { return nil }
        let proof = json["proof"]?.elements ?? []
        let statements = proof.compactMap(\.text)
        guard statements.count == proof.count, proof.count <= Self.maximumProof else { return nil }
        self.init(
            kind, server: server, key: key, commitment: KeyCommitment(next: next, recovery: recovery),
            sequence: sequence, card: card, proof: statements, reason: json["reason"]?.text,
            time: Timestamp(seconds: seconds))
    }

    /// A card's rotations and a revocation.
    static let maximumProof = ServerCard.maximumRotations + 1
}

/// An entry in its place, as it is stored.
public struct RegistryLogRecord: Hashable, Sendable {
    /// Counted from 0.
    public let index: Int
    public let server: ServerID
    /// ``RegistryLogEntry/leaf``.
    public let leaf: [UInt8]

    public init(index: Int, server: ServerID, leaf: [UInt8]) {
        self.index = index
        self.server = server
        self.leaf = leaf
    }

    /// What the tree holds of it.
    public var leafHash: ContentHash { MerkleHash.leaf(leaf) }
}
