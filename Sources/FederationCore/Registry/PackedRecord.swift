import FederationModel

/// What a registry entry holds beside id, heartbeat and status, in one array of bytes; see ``PackingWriter``.
///
/// Layout: the public key, flags, the endpoint's port and host, name, registration (milliseconds), sequence, and, where
/// the flags say so, suspension reason, alternatives and worlds.
struct PackedRecord: Sendable {
    fileprivate struct Flags: OptionSet {
        let rawValue: UInt8
        static let isSecure = Flags(rawValue: 1)
        static let isIPv6 = Flags(rawValue: 2)
        /// The host is the server's id, and not written again.
        static let isNamedByID = Flags(rawValue: 4)
        static let hasReason = Flags(rawValue: 8)
        static let hasAlternatives = Flags(rawValue: 16)
        static let hasWorlds = Flags(rawValue: 32)
    }

    private let bytes: [UInt8]

    init(_ server: FederatedServer) {
        var writer = PackingWriter(capacity: 160)
        writer.raw(server.publicKey.bytes)
        var flags = Self.flags(of: server.endpoint, id: server.id)
        if server.suspensionReason != nil { flags.insert(.hasReason) }
        if !server.alternatives.isEmpty { flags.insert(.hasAlternatives) }
        if !server.worlds.isEmpty { flags.insert(.hasWorlds) }
        writer.endpoint(server.endpoint, flags)
        writer.text(server.name)
        writer.signed(server.registeredAt.milliseconds)
        writer.number(server.recordSequence)
        if let reason = server.suspensionReason { writer.text(reason) }
        if flags.contains(.hasAlternatives) {
            writer.number(UInt64(server.alternatives.count))
            for endpoint in server.alternatives { writer.endpoint(endpoint, Self.flags(of: endpoint, id: server.id)) }
        }
        if flags.contains(.hasWorlds) {
            writer.number(UInt64(server.worlds.count))
            for world in server.worlds { writer.text(world.rawValue) }
        }
        bytes = writer.packed
    }

    private static func flags(of endpoint: Endpoint, id: ServerID) -> Flags {
        var flags: Flags = []
        if endpoint.isSecure { flags.insert(.isSecure) }
        if endpoint.host.isIPv6 { flags.insert(.isIPv6) }
        if !endpoint.host.isIPv6, endpoint.host.name == id.rawValue { flags.insert(.isNamedByID) }
        return flags
    }

    /// What was packed, for the same id; `offline` and unheard.
    func server(_ id: ServerID) -> FederatedServer {
        var reader = PackingReader(bytes)
        let key = reader.key()
        let (endpoint, flags) = reader.endpoint(id)
        let name = reader.text()
        var server = FederatedServer(
            id: id, name: name, endpoint: endpoint, publicKey: key,
            registeredAt: Timestamp(milliseconds: reader.signed()), recordSequence: reader.number())
        if flags.contains(.hasReason) { server.suspensionReason = reader.text() }
        if flags.contains(.hasAlternatives) {
            server.alternatives = (0..<reader.number()).map { _ in reader.endpoint(id).endpoint }
        }
        if flags.contains(.hasWorlds) {
            server.worlds = (0..<reader.number()).map { _ in WorldID(unchecked: reader.text()) }
        }
        return server
    }
}

extension PackingWriter {
    fileprivate mutating func endpoint(_ endpoint: Endpoint, _ flags: PackedRecord.Flags) {
        byte(flags.rawValue)
        number(UInt64(endpoint.port))
        if !flags.contains(.isNamedByID) { text(endpoint.host.name) }
    }
}

extension PackingReader {
    mutating func key() -> PublicKey {
        guard let key = PublicKey(bytes: raw(32)) else { preconditionFailure("a key has 32 bytes") }
        return key
    }

    fileprivate mutating func endpoint(_ id: ServerID) -> (endpoint: Endpoint, flags: PackedRecord.Flags) {
        let flags = PackedRecord.Flags(rawValue: byte())
        let port = UInt16(truncatingIfNeeded: number())
        let host = Host(
            unchecked: flags.contains(.isNamedByID) ? id.rawValue : text(), isIPv6: flags.contains(.isIPv6))
        guard let endpoint = Endpoint(isSecure: flags.contains(.isSecure), host: host, port: port) else {
            preconditionFailure("an endpoint's port is not 0")
        }
        return (endpoint, flags)
    }
}
