import FederationCrypto
public import FederationModel

extension ServerRegistry {
    /// Why the registry refused. Nothing changed.
    public enum Failure: Error, Hashable, Sendable {
        /// The record is not newer than the one that is known.
        case alreadyRegistered(ServerID)
        /// The server has left by its own wish, which covers records up to this number.
        case hasLeft(ServerID, UInt64)
        case notFound(ServerID)
        /// The id breaks ``Identifier``'s grammar.
        case invalidID
        /// The name breaks the rules of ``FederatedServer/isValidName(_:)``.
        case invalidName(ServerID)
        /// Nobody can be reached there: an unspecified or broadcast address.
        case invalidEndpoint(ServerID, Endpoint)
        /// The bytes are no Ed25519 key, or one of small order, under which anybody can sign.
        case invalidKey(ServerID)
        /// The id is bound to another key. Rotation is its own act.
        case keyMismatch(ServerID)
        /// The heartbeat is older than the newest one.
        case heartbeatBackwards(ServerID, newest: Timestamp, offered: Timestamp)
        /// The operator has excluded the server.
        case suspended(ServerID)
    }

    /// Whether the record can stand in a registry at all.
    static func check(_ server: FederatedServer) throws(Failure) {
        guard ServerID(rawValue: server.id.rawValue) != nil else { throw .invalidID }
        guard FederatedServer.isValidName(server.name) else { throw .invalidName(server.id) }
        guard canBeReached(server.endpoint.host) else { throw .invalidEndpoint(server.id, server.endpoint) }
        guard server.publicKey.isAcceptable else { throw .invalidKey(server.id) }
    }

    /// Not `0.0.0.0`, `255.255.255.255` or any spelling of `::`.
    private static func canBeReached(_ host: Host) -> Bool {
        if host.isIPv6 { return !host.name.utf8.allSatisfy { [0x30, 0x2E, 0x3A].contains($0) } }
        return host.name != "0.0.0.0" && host.name != "255.255.255.255"
    }
}

extension ServerRegistry.Failure {
    /// The failure for people and programs.
    public var refusal: Refusal {
        switch self {
        case .alreadyRegistered(let id):
            refusal(
                .conflict, "alreadyRegistered", "\(id) is registered with this record or a newer one",
                "register a card with a higher sequence number")
        case .hasLeft(let id, let number):
            refusal(
                .conflict, "hasLeft", "\(id) has left by its own wish, with all its cards up to number \(number)",
                "restart it, which makes a card with a higher number; if it did not leave, rotate or revoke its key")
        case .notFound(let id):
            refusal(.notFound, "unknown", "\(id) is not in the registry", "see aether registry list")
        case .invalidID:
            refusal(.invalid, "invalidID", "the server id is not one", "use \(ServerID.grammar)")
        case .invalidName(let id):
            refusal(
                .invalid, "invalidName", "the name of \(id) is empty, too long or not printable",
                "use 1–\(Limits.nameBytes) bytes of text without control characters")
        case .invalidEndpoint(let id, let endpoint):
            refusal(
                .invalid, "invalidEndpoint", "nobody can reach \(id) at \(endpoint)",
                "use the host name or address at which other servers reach it")
        case .invalidKey(let id):
            refusal(
                .invalid, "invalidKey", "the public key of \(id) is not a usable Ed25519 key",
                "make the server's keys anew with aether init")
        case .keyMismatch(let id):
            refusal(
                .conflict, "keyMismatch", "\(id) is bound to another key than the one presented",
                "compare the fingerprints with its operator; who knows its recovery key follows: aether keys revoke")
        case .heartbeatBackwards(let id, let newest, let offered):
            refusal(
                .conflict, "heartbeatBackwards",
                "the heartbeat of \(id) at \(offered) is older than the one at \(newest)",
                "set that server's clock")
        case .suspended(let id):
            refusal(.forbidden, "suspended", "\(id) is suspended", "reinstate it: aether peers reinstate \(id)")
        }
    }

    private func refusal(_ kind: Refusal.Kind, _ code: String, _ reason: String, _ remedy: String) -> Refusal {
        Refusal(kind, code: "server.\(code)", reason: reason, remedy: remedy, step: .registry)
    }
}
