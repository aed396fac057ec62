public import FederationModel

/// A server's own ticket for its `/client` socket: the server keeps nothing and recognises the player again by its own
/// signature.
public struct ClientTicket: SignedStatement {
    public static let use = SignatureUse.clientTicket

    /// The server by whose token the player's client was let in.
    public struct Source: Hashable, Sendable {
        /// `src`
        public let server: ServerID
        /// `n`: the newest revocation of its keys then, 0 before the first. A later one ends the ticket.
        public let revocation: UInt64

        public init(server: ServerID, revocation: UInt64) {
            self.server = server
            self.revocation = revocation
        }
    }

    public let issuer: ServerID
    /// `sub`.
    public let player: PlayerID
    public let world: WorldID
    /// A ticket of an older epoch is refused by the caller: the player has travelled since.
    public let epoch: Epoch
    /// `exp`, in whole seconds.
    public let expiresAt: Timestamp
    /// nil where the issuer's own world server has asked for the ticket.
    public let source: Source?

    public init(
        issuer: ServerID, player: PlayerID, world: WorldID, epoch: Epoch, expiresAt: Timestamp, source: Source? = nil
    ) {
        self.issuer = issuer
        self.player = player
        self.world = world
        self.epoch = epoch
        self.expiresAt = Timestamp(seconds: expiresAt.seconds)
        self.source = source
    }

    /// The ticket in `text`, when `key`, which belongs to `issuer`, signed it and it is valid at `timestamp`.
    public static func verify(
        _ text: String, issuer: ServerID, key: PublicKey, at timestamp: Timestamp
    ) throws(StatementFailure) -> ClientTicket {
        let ticket = try verified(text, issuer: issuer, key: key)
        guard timestamp < ticket.expiresAt else { throw .expired }
        return ticket
    }

    public var claims: [String: JSONValue] {
        var claims = [
            "iss": Claims.value(issuer), "sub": Claims.value(player), "world": Claims.value(world),
            "epoch": Claims.unsigned(epoch.number), "exp": Claims.time(expiresAt),
        ]
        if let source {
            claims["src"] = Claims.value(source.server)
            claims["n"] = Claims.unsigned(source.revocation)
        }
        return claims
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        issuer = try claims.value("iss")
        player = try claims.value("sub")
        world = try claims.value("world")
        epoch = Epoch(try claims.unsigned("epoch"))
        expiresAt = try claims.time("exp")
        if let server: ServerID = try claims.optionalValue("src") {
            source = Source(server: server, revocation: try claims.unsigned("n"))
        } else {
            source = nil
        }
    }
}
