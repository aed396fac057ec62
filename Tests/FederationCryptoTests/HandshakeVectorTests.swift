import Crypto
import FederationModel
import Foundation
import Testing

@testable import FederationCrypto

/// Complete handshakes with fixed entropy; see `Tests/Vectors/README.md`.
@Suite("Handshake vectors")
struct HandshakeVectorTests {
    static let folder = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Vectors")
    static let file = folder.appendingPathComponent("handshake.json")

    /// What goes into one side.
    struct Side {
        let id: ServerID
        let seed: UInt8
        let x25519: UInt8
        let mlkem: UInt8
        /// What this side encapsulates: nil to draw it, when the file is written.
        var ciphertext: [UInt8]?
        var secret: [UInt8]?

        func json(_ ciphertext: [UInt8], _ secret: [UInt8]) -> JSONValue {
            .object([
                "id": .string(id.rawValue), "seed": repeated(seed, 32), "x25519_seed": repeated(x25519, 32),
                "mlkem_seed": repeated(mlkem, 64), "kem_ciphertext": .string(hexString(ciphertext)),
                "kem_secret": .string(hexString(secret)),
            ])
        }

        private func repeated(_ byte: UInt8, _ count: Int) -> JSONValue {
            .string(hexString([UInt8](repeating: byte, count: count)))
        }
    }

    /// A handshake of the file: what goes in, without what the sides encapsulate.
    struct Case {
        let suite: CipherSuite
        var dialler: Side
        var acceptor: Side

        /// Each suite with the acceptor low, then each with the dialler low.
        static let all = [(UInt8(1), UInt8(2)), (2, 1)].flatMap { one, other in
            CipherSuite.allCases.map { suite in
                Case(
                    suite: suite, dialler: Side(id: Sample.alpha, seed: 0x11, x25519: 0x20 + one, mlkem: 0x30 + one),
                    acceptor: Side(id: Sample.beta, seed: 0x12, x25519: 0x20 + other, mlkem: 0x30 + other))
            }
        }

        /// With what the sides encapsulated in the vector; that is drawn anew where there is none.
        func encapsulating(as vector: JSONValue?) -> Case {
            var copy = self
            copy.dialler.ciphertext = (vector?["dialler"]?["kem_ciphertext"]?.text).map(hex)
            copy.dialler.secret = (vector?["dialler"]?["kem_secret"]?.text).map(hex)
            copy.acceptor.ciphertext = (vector?["acceptor"]?["kem_ciphertext"]?.text).map(hex)
            copy.acceptor.secret = (vector?["acceptor"]?["kem_secret"]?.text).map(hex)
            return copy
        }
    }

    private static func written() throws -> [JSONValue] {
        try #require(try JSONValue.parse(Array(try Data(contentsOf: file)))["vectors"]?.elements)
    }

    @Test("the handshakes of the file come out byte by byte", .disabled(if: isWriting, "the file is being written"))
    func reproduces() throws {
        let vectors = try Self.written()
        #expect(vectors.count == Case.all.count)
        for (one, expected) in zip(Case.all, vectors) {
            let computed = try #require(try Self.run(one.encapsulating(as: expected)).members)
            let written = try #require(expected.members)
            // Of both, so that a value which the file has lost is missed.
            for name in Set(computed.keys).union(written.keys).sorted() {
                #expect(computed[name] == written[name], "\(one.suite) \(name)")
            }
        }
        #expect(Set(vectors.map { $0["dialler_is_low"] }) == [.bool(true), .bool(false)])
    }

    static let isWriting = ProcessInfo.processInfo.environment["AETHER_WRITE_VECTORS"] != nil

    @Test("the file is written", .enabled(if: isWriting, "only with AETHER_WRITE_VECTORS set"))
    func writes() throws {
        let before = try Self.written()
        let vectors = try Case.all.enumerated().map { index, one in
            try Self.run(one.encapsulating(as: before.indices.contains(index) ? before[index] : nil))
        }
        let text = JSONValue.object(["vectors": .array(vectors)]).serializedText() + "\n"
        try Data(text.utf8).write(to: Self.file)
    }

    @Test(
        "a second implementation in Python computes the same",
        .enabled(if: Python.hasCryptography, "python3 with cryptography 48 or later is not installed"))
    func python() throws {
        let script = Self.folder.appendingPathComponent("check_handshake.py").path
        let result = try Python.run([script])
        #expect(result.status == 0, "\(result.output)")
    }

    /// Runs a handshake and three frames each way, with a change of keys before the third.
    static func run(_ one: Case) throws -> JSONValue {
        let (suite, dialler, acceptor) = (one.suite, one.dialler, one.acceptor)
        let drawn = [DrawnSecret(dialler), DrawnSecret(acceptor)]
        let identities = try [dialler, acceptor].map {
            try ServerIdentity(id: $0.id, seed: [UInt8](repeating: $0.seed, count: 32))
        }
        func handshake(_ index: Int, _ side: Side, expecting peer: ServerID?) throws -> Handshake {
            try Handshake(
                identity: identities[index], expecting: peer,
                configuration: HandshakeConfiguration(
                    suites: [suite],
                    encapsulation: try drawn[index].strategy(
                        to: index == 0 ? acceptor : dialler)),
                entropy: HandshakeEntropy(
                    x25519: [UInt8](repeating: side.x25519, count: 32), mlkem: [UInt8](repeating: side.mlkem, count: 64)
                ),
                at: Sample.time)
        }
        var first = try handshake(0, dialler, expecting: acceptor.id)
        var second = try handshake(1, acceptor, expecting: nil)
        let hellos = [first.helloMessage, second.helloMessage]
        let signatures = [
            try first.receive(hello: hellos[1], at: Sample.time), try second.receive(hello: hellos[0], at: Sample.time),
        ]
        _ = try first.receive(signature: signatures[1])
        _ = try second.receive(signature: signatures[0])
        let oneChannel = try first.complete(trusting: identities[1].publicKey)
        let otherChannel = try second.complete(trusting: identities[0].publicKey)
        let ephemeral = try hellos.map { try HandshakeChallenge.decode($0, versions: .current).ephemeralKey }
        let isLow = ephemeral[0].lexicographicallyPrecedes(ephemeral[1])
        let order = isLow ? [0, 1] : [1, 0]
        let helloHash = canonicalTranscript(low: hellos[order[0]], high: hellos[order[1]])
        let transcript = completeTranscript(
            helloHash: helloHash, lowSignature: signatures[order[0]], highSignature: signatures[order[1]])
        let export = oneChannel.export("test", count: 32).key.withUnsafeBytes { Array($0) }
        let answer = try HandshakeResponse.decode(signatures[1], suite: suite)
        let secrets = order.map { drawn[$0].secret }
        let secret = try peerKeyExchange(
            ephemeral: Curve25519.KeyAgreement.PrivateKey(
                rawRepresentation: [UInt8](repeating: dialler.x25519, count: 32)),
            peerEphemeral: ephemeral[1], identity: identities[0], peerExchange: answer.exchangeKey,
            encapsulated: suite.isHybrid ? encapsulated(low: secrets[0], high: secrets[1]) : nil
        ).key
        func derived(_ label: String, _ count: Int) -> [UInt8] {
            deriveKey(from: secret, salt: transcript, label: label, count: count).withUnsafeBytes { Array($0) }
        }
        var keys: [String: JSONValue] = [:]
        for (direction, keyLabel, ivLabel) in [
            ("low_to_high", Label.lowToHighKey, Label.lowToHighIV),
            ("high_to_low", Label.highToLowKey, Label.highToLowIV),
        ] {
            let (key, iv) = (derived(keyLabel, 32), derived(ivLabel, 12))
            let next = SymmetricKey(data: key + iv)
            keys["\(direction)_key"] = text(key)
            keys["\(direction)_iv"] = text(iv)
            keys["\(direction)_next_key"] = text(
                deriveKey(from: next, label: Label.rekeyKey, count: 32).withUnsafeBytes { Array($0) })
            keys["\(direction)_next_iv"] = text(
                deriveKey(from: next, label: Label.rekeyIV, count: 12).withUnsafeBytes { Array($0) })
        }
        let sealed = [try records(oneChannel), try records(otherChannel)]
        let values: [String: JSONValue] = [
            "suite": .integer(Int64(suite.rawValue)), "secret": text(secret.withUnsafeBytes { Array($0) }),
            "exporter": text(derived(Label.exporter, 32)),
            "dialler": dialler.json(suite.isHybrid ? drawn[0].ciphertext : [], suite.isHybrid ? drawn[0].secret : []),
            "acceptor": acceptor.json(suite.isHybrid ? drawn[1].ciphertext : [], suite.isHybrid ? drawn[1].secret : []),
            "dialler_hello": text(hellos[0]), "acceptor_hello": text(hellos[1]), "dialler_is_low": .bool(isLow),
            "hello_hash": text(helloHash), "dialler_signature": text(signatures[0]),
            "acceptor_signature": text(signatures[1]), "transcript": text(transcript), "export_test": text(export),
            "low_to_high": .array(sealed[order[0]].map(text)), "high_to_low": .array(sealed[order[1]].map(text)),
        ]
        return .object(values.merging(keys) { value, _ in value })
    }

    private static func text(_ bytes: [UInt8]) -> JSONValue { .string(hexString(bytes)) }

    private static func encapsulated(low: [UInt8], high: [UInt8]) -> EncapsulatedSecrets {
        var (low, high) = (low, high)
        return EncapsulatedSecrets(low: SecretBytes(taking: &low), high: SecretBytes(taking: &high))
    }

    private static func records(_ channel: consuming SecureChannel) throws -> [[UInt8]] {
        var layer = channel.records(recordsPerKey: 2, keyLifetime: .seconds(3_600))
        return try ["first", "second", "third"].flatMap { try layer.seal(Array($0.utf8), at: Sample.instant) }
    }
}

/// What one side encapsulates: drawn once, or given by the file.
private final class DrawnSecret {
    private(set) var ciphertext: [UInt8]
    private(set) var secret: [UInt8]

    init(_ side: HandshakeVectorTests.Side) {
        ciphertext = side.ciphertext ?? []
        secret = side.secret ?? []
    }

    func strategy(to peer: HandshakeVectorTests.Side) throws -> KeyEncapsulation {
        if ciphertext.isEmpty {
            let key = try MLKEM768.PrivateKey(
                seedRepresentation: [UInt8](repeating: peer.mlkem, count: 64), publicKey: nil)
            let result = try key.publicKey.encapsulate()
            ciphertext = Array(result.encapsulated)
            secret = result.sharedSecret.withUnsafeBytes { Array($0) }
        }
        let (ciphertext, secret) = (ciphertext, secret)
        return KeyEncapsulation { _ in
            var copy = secret
            return KeyEncapsulation.Encapsulated(ciphertext: ciphertext, sharedSecret: SecretBytes(taking: &copy))
        }
    }
}

enum Python {
    static var hasCryptography: Bool {
        (try? run(["-c", "from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey"]).status == 0)
            ?? false
    }

    static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3"] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
