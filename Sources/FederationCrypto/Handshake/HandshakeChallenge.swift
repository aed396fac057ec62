public import FederationModel

/// Hello, the first message each way: who speaks, what they can speak, and the ephemeral keys that the other side must
/// answer to. Its layout is in PROTOCOL.md; one value has one encoding.
public struct HandshakeChallenge: Hashable, Sendable {
    static let kind: UInt8 = 1

    /// The versions that the sender speaks.
    public let versions: ProtocolVersions
    /// Who the sender claims to be; proved only by the Signature that follows.
    public let server: ServerID
    /// Whom the sender means to reach; nil when it takes whoever comes, as an acceptor does.
    public let expectedPeer: ServerID?
    public let sentAt: Timestamp
    /// Suite numbers in the sender's order of preference, each once, 1 to ``Limits/suites``; numbers not known here are
    /// kept.
    public let suites: [UInt16]
    /// X25519, 32 bytes.
    public let ephemeralKey: [UInt8]
    /// ML-KEM-768, 1184 bytes; empty when the sender offers no hybrid suite.
    public let encapsulationKey: [UInt8]

    func encoded() -> [UInt8] {
        var writer = FieldWriter(capacity: 1_536)
        writer.integer(Self.kind)
        writer.integer(versions.maximum)
        writer.integer(versions.minimum)
        writer.field(server.rawValue.utf8)
        writer.field((expectedPeer?.rawValue ?? "").utf8)
        writer.integer(sentAt.milliseconds)
        writer.field(suites.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] })
        writer.field(ephemeralKey)
        writer.field(encapsulationKey)
        return writer.bytes
    }

    /// Parses a Hello of a peer whose versions overlap with `versions`. Versions are compared before the rest is read.
    /// What a later version appends is ignored here; it is hashed all the same.
    static func decode(
        _ bytes: [UInt8], versions: ProtocolVersions
    ) throws(Handshake.Failure) -> HandshakeChallenge {
        guard bytes.count <= Limits.handshakeMessageBytes else { throw .oversized(bytes.count) }
        var reader = FieldReader(bytes)
        let kind: UInt8 = try reader.integer("the kind of message")
        guard kind == Self.kind else { throw .invalidState("a message of kind \(kind) where Hello is due") }
        let maximum: UInt16 = try reader.integer("version")
        let minimum: UInt16 = try reader.integer("min_compat_version")
        guard let theirs = ProtocolVersions(minimum: minimum, maximum: maximum) else {
            throw .malformed("versions \(minimum) to \(maximum) are no range")
        }
        guard versions.highestInCommon(with: theirs) != nil else { throw .incompatibleVersion(theirs) }
        let server: ServerID? = try identifier(&reader, "server_id", optional: false)
        guard let server else { throw .malformed("server_id is empty") }
        let expectedPeer: ServerID? = try identifier(&reader, "expected_peer", optional: true)
        let sentAt = Timestamp(milliseconds: try reader.integer("timestamp"))
        let suites = try decodeSuites(try reader.field("suites", length: 2...(2 * Limits.suites)))
        let ephemeralKey = try reader.field("ephemeral_key", length: X25519.keyBytes)
        let encapsulationKey = try reader.field(
            "encapsulation_key", length: 0...KeyEncapsulation.encapsulationKeyBytes)
        guard [0, KeyEncapsulation.encapsulationKeyBytes].contains(encapsulationKey.count) else {
            throw .malformed("encapsulation_key has \(encapsulationKey.count) bytes")
        }
        if maximum <= versions.maximum { try reader.finish() }
        return HandshakeChallenge(
            versions: theirs, server: server, expectedPeer: expectedPeer, sentAt: sentAt, suites: suites,
            ephemeralKey: ephemeralKey, encapsulationKey: encapsulationKey)
    }

    private static func identifier(
        _ reader: inout FieldReader, _ name: StaticString, optional: Bool
    ) throws(Handshake.Failure) -> ServerID? {
        let bytes = try reader.field(name, length: (optional ? 0 : 1)...Limits.identifierBytes)
        if bytes.isEmpty { return nil }
        guard let text = String(validating: bytes, as: UTF8.self), let id = ServerID(rawValue: text) else {
            throw .malformed("\(name) is not a \(ServerID.noun)")
        }
        return id
    }

    private static func decodeSuites(_ bytes: [UInt8]) throws(Handshake.Failure) -> [UInt16] {
        guard bytes.count.isMultiple(of: 2) else { throw .malformed("suites has \(bytes.count) bytes") }
        var suites: [UInt16] = []
        for index in stride(from: 0, to: bytes.count, by: 2) {
            let suite = UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1])
            guard !suites.contains(suite) else { throw .malformed("suite \(suite) is offered twice") }
            suites.append(suite)
        }
        return suites
    }
}
