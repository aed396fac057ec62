import FederationModel

/// What a registry entry holds beside id, heartbeat and status, in one array of bytes: a record whose strings and lists are
/// arrays of their own takes twice the memory. For this process only; no byte of it is stored or sent.
///
/// Layout, integers in groups of seven bits, the lowest first, and texts behind their length: the public key, flags, the
/// endpoint's port and host, name, registration (milliseconds, the sign in the lowest bit), sequence, and, where the
/// flags say so, suspension reason, alternatives and worlds.
struct PackedRecord: Sendable {
    private struct Flags: OptionSet {
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
        var writer = Writer()
        writer.bytes.append(contentsOf: server.publicKey.bytes)
        var flags = Self.flags(of: server.endpoint, id: server.id)
        if server.suspensionReason != nil { flags.insert(.hasReason) }
        if !server.alternatives.isEmpty { flags.insert(.hasAlternatives) }
        if !server.worlds.isEmpty { flags.insert(.hasWorlds) }
        writer.endpoint(server.endpoint, flags)
        writer.text(server.name)
        let time = server.registeredAt.milliseconds
        writer.number(UInt64(bitPattern: time << 1 ^ time >> 63))
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
        // Copied, so that the array is no larger than what it holds.
        var packed: [UInt8] = []
        packed.reserveCapacity(writer.bytes.count)
        packed.append(contentsOf: writer.bytes)
        bytes = packed
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
        var reader = Reader(bytes: bytes)
        let key = reader.key()
        let (endpoint, flags) = reader.endpoint(id)
        let name = reader.text()
        let time = reader.number()
        var server = FederatedServer(
            id: id, name: name, endpoint: endpoint, publicKey: key,
            registeredAt: Timestamp(milliseconds: Int64(bitPattern: time >> 1) ^ -Int64(bitPattern: time & 1)),
            recordSequence: reader.number())
        if flags.contains(.hasReason) { server.suspensionReason = reader.text() }
        if flags.contains(.hasAlternatives) {
            server.alternatives = (0..<reader.number()).map { _ in reader.endpoint(id).endpoint }
        }
        if flags.contains(.hasWorlds) {
            server.worlds = (0..<reader.number()).map { _ in WorldID(unchecked: reader.text()) }
        }
        return server
    }

    private struct Writer {
        var bytes: [UInt8] = []

        init() { bytes.reserveCapacity(160) }

        mutating func number(_ number: UInt64) {
            var rest = number
            while rest >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            bytes.append(UInt8(truncatingIfNeeded: rest))
        }

        mutating func text(_ text: String) {
            number(UInt64(text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }

        mutating func endpoint(_ endpoint: Endpoint, _ flags: Flags) {
            bytes.append(flags.rawValue)
            number(UInt64(endpoint.port))
            if !flags.contains(.isNamedByID) { text(endpoint.host.name) }
        }
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        mutating func key() -> PublicKey {
            defer { position += 32 }
            guard let key = PublicKey(bytes: bytes[position..<(position + 32)]) else {
                preconditionFailure("a key has 32 bytes")
            }
            return key
        }

        mutating func number() -> UInt64 {
            var number: UInt64 = 0
            var shift: UInt64 = 0
            while true {
                let byte = bytes[position]
                position += 1
                number |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return number }
                shift += 7
            }
        }

        mutating func text() -> String {
            let end = Int(number()) + position
            defer { position = end }
            return String(decoding: bytes[position..<end], as: UTF8.self)
        }

        mutating func endpoint(_ id: ServerID) -> (endpoint: Endpoint, flags: Flags) {
            let flags = Flags(rawValue: bytes[position])
            position += 1
            let port = UInt16(truncatingIfNeeded: number())
            let host = Host(
                unchecked: flags.contains(.isNamedByID) ? id.rawValue : text(), isIPv6: flags.contains(.isIPv6))
            guard let endpoint = Endpoint(isSecure: flags.contains(.isSecure), host: host, port: port) else {
                preconditionFailure("an endpoint's port is not 0")
            }
            return (endpoint, flags)
        }
    }
}
