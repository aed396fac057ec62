import Crypto
import FederationModel
import Testing

@testable import FederationCrypto

/// Fixed values that tests share.
enum Sample {
    static let alpha = ServerID(unchecked: "alpha")
    static let beta = ServerID(unchecked: "beta")
    static let gamma = ServerID(unchecked: "gamma")
    static let time = Timestamp(seconds: 1_800_000_000)
    static let instant = Instant(nanoseconds: 1_000)
    static let handoff = HandoffID(unwrapping: Array(1...16))
    static let player = PlayerID(name: PlayerName(unchecked: "ada"), home: alpha)

    static func identity(_ id: ServerID, _ seed: UInt8) throws -> ServerIdentity {
        try ServerIdentity(id: id, seed: [UInt8](repeating: seed, count: 32))
    }

    static func entropy(_ number: UInt8) -> HandshakeEntropy {
        HandshakeEntropy(
            x25519: [UInt8](repeating: number, count: 32), mlkem: [UInt8](repeating: number, count: 64))
    }

    static func handshake(
        _ identity: ServerIdentity, expecting peer: ServerID? = nil, suites: [CipherSuite] = CipherSuite.standard,
        versions: ProtocolVersions = .current, entropy number: UInt8, at time: Timestamp = Sample.time
    ) throws -> Handshake {
        try Handshake(
            identity: identity, expecting: peer,
            configuration: HandshakeConfiguration(suites: suites, versions: versions), entropy: entropy(number),
            at: time)
    }

    /// The keys of one side for a fixed secret.
    static func keys(_ role: HandshakeRole, suite: CipherSuite = .hybridAES256GCM) -> FederationSessionKeys {
        var secret = [UInt8](repeating: 7, count: 128)
        return FederationSessionKeys(
            secret: SecretBytes(taking: &secret), transcript: [UInt8](repeating: 9, count: 32), suite: suite, role: role
        )
    }

    static func records(
        _ role: HandshakeRole, suite: CipherSuite = .hybridAES256GCM, recordsPerKey: UInt64 = Limits.recordsPerKey
    ) -> RecordLayer {
        RecordLayer(keys: keys(role, suite: suite), recordsPerKey: recordsPerKey, keyLifetime: .seconds(3_600))
    }
}

/// Both ends of a completed handshake.
struct Ends: ~Copyable {
    let first: SecureChannel
    let second: SecureChannel

    consuming func records() -> RecordEnds {
        let first = first
        let second = second
        return RecordEnds(first: first.records(), second: second.records())
    }
}

struct RecordEnds: ~Copyable {
    var first: RecordLayer
    var second: RecordLayer
}

/// Runs two machines against each other without anybody in between.
func complete(_ first: consuming Handshake, _ second: consuming Handshake, keys: (PublicKey, PublicKey)) throws -> Ends
{
    var first = first
    var second = second
    let firstSignature = try first.receive(hello: second.helloMessage, at: Sample.time)
    let secondSignature = try second.receive(hello: first.helloMessage, at: Sample.time)
    _ = try first.receive(signature: secondSignature)
    _ = try second.receive(signature: firstSignature)
    return Ends(first: try first.complete(trusting: keys.1), second: try second.complete(trusting: keys.0))
}

/// Bytes of hexadecimal text in any layout.
func hex(_ text: String) -> [UInt8] {
    let digits = text.filter { !$0.isWhitespace }
    guard let bytes = bytesFromHex(digits) else { preconditionFailure("not hexadecimal: \(text)") }
    return bytes
}

/// The failure that `body` throws; nil when it throws none.
func failure<Failure: Error>(_ body: () throws(Failure) -> Void) -> Failure? {
    do {
        try body()
        return nil
    } catch {
        return error
    }
}

extension HandoffID {
    /// The id of 16 bytes.
    fileprivate init(unwrapping bytes: [UInt8]) {
        guard let id = HandoffID(bytes: bytes) else { preconditionFailure("a handoff id has 16 bytes") }
        self = id
    }
}
