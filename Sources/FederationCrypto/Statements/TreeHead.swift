public import FederationModel

/// A registry's signed word of how long its log is and which root stands for it. Two heads of one registry that no one log
/// can have both are proof that it shows different people different things.
public struct TreeHead: SignedStatement {
    public static let use = SignatureUse.treeHead

    /// The registry (`iss`).
    public let issuer: ServerID
    /// Entries of the log.
    public let size: UInt64
    /// The root over them; see ``MerkleTree``.
    public let root: ContentHash
    /// `iat`, in whole seconds.
    public let issuedAt: Timestamp

    public init(issuer: ServerID, size: UInt64, root: ContentHash, issuedAt: Timestamp) {
        self.issuer = issuer
        self.size = size
        self.root = root
        self.issuedAt = Timestamp(seconds: issuedAt.seconds)
    }

    /// The head in `text`, when `key`, which belongs to `registry`, signed it. A head does not expire: what was signed once
    /// stays evidence.
    public static func verify(
        _ text: String, registry: ServerID, key: PublicKey
    ) throws(StatementFailure) -> TreeHead {
        try verified(text, issuer: registry, key: key)
    }

    /// What `text` says, without proof: for one that was verified when it was kept, and for nothing else.
    public static func unverified(_ text: String) throws(StatementFailure) -> TreeHead {
        try TreeHead(claims: try CompactJWS.unverified(text, for: use))
    }

    public var claims: [String: JSONValue] {
        [
            "iss": Claims.value(issuer), "size": Claims.unsigned(size), "root": Claims.value(root),
            "iat": Claims.time(issuedAt),
        ]
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        issuer = try claims.value("iss")
        size = try claims.unsigned("size")
        root = try claims.value("root")
        issuedAt = try claims.time("iat")
    }
}
