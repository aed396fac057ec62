import Crypto
import FederationModel
import Foundation
import Testing

@testable import FederationCrypto

/// Project Wycheproof (C2SP/wycheproof, `testvectors_v1`) through this module's own types. The folder is named by the
/// environment variable `VECTORS_DIR`; without it these tests are skipped, and say so.
enum Wycheproof {
    static let folder = ProcessInfo.processInfo.environment["VECTORS_DIR"].map { $0 + "/wycheproof" }

    struct Vector {
        let group: JSONValue
        let test: JSONValue

        var isValid: Bool { test["result"] == .string("valid") }
        var id: Int64 { test["tcId"]?.integer ?? -1 }

        func bytes(_ name: String) -> [UInt8] { hex(test[name]?.text ?? "") }
    }

    static func vectors(_ file: String) throws -> [Vector] {
        let folder = try #require(folder)
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(file)_test.json"))
        let json = try JSONValue.parse(Array(data), maximumBytes: 64 << 20)
        return try #require(json["testGroups"]?.elements).flatMap { group in
            (group["tests"]?.elements ?? []).map { Vector(group: group, test: $0) }
        }
    }
}

@Suite(
    "Project Wycheproof",
    .enabled(
        if: Wycheproof.folder != nil, "set VECTORS_DIR to a folder with C2SP/wycheproof's testvectors_v1 as wycheproof/"
    ))
struct WycheproofTests {
    @Test("Ed25519 accepts and refuses what it should")
    func ed25519() throws {
        var checked = 0
        for vector in try Wycheproof.vectors("ed25519") {
            let key = try #require(PublicKey(bytes: hex(vector.group["publicKey"]?["pk"]?.text ?? "")))
            let isValid = key.isValidEd25519(vector.bytes("sig"), over: vector.bytes("msg"))
            #expect(isValid == vector.isValid, "test \(vector.id)")
            checked += 1
        }
        #expect(checked >= 100)
    }

    @Test("X25519 agrees, and refuses every result that is all zeros")
    func x25519() throws {
        var checked = 0
        for vector in try Wycheproof.vectors("x25519") {
            let key = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: vector.bytes("private"))
            let shared = X25519.agree(key, with: vector.bytes("public")).map { $0.withUnsafeBytes { Array($0) } }
            let expected = vector.bytes("shared")
            #expect(shared == (expected.allSatisfy { $0 == 0 } ? nil : expected), "test \(vector.id)")
            checked += 1
        }
        #expect(checked >= 500)
    }

    @Test(
        "the AEADs seal and open what they should",
        arguments: [("aes_gcm", AEAD.aes256gcm), ("chacha20_poly1305", .chacha20poly1305)])
    func aead(file: String, aead: AEAD) throws {
        var (checked, inPlace) = (0, 0)
        for vector in try Wycheproof.vectors(file) {
            guard vector.group["ivSize"] == .integer(96), vector.group["keySize"] == .integer(256),
                vector.group["tagSize"] == .integer(128)
            else { continue }
            let key = SymmetricKey(data: vector.bytes("key"))
            let sealed = vector.bytes("ct") + vector.bytes("tag")
            let opened = try? aead.open(
                sealed[...], key: key, nonce: vector.bytes("iv"), authenticating: vector.bytes("aad"))
            #expect(opened == (vector.isValid ? vector.bytes("msg") : nil), "test \(vector.id)")
            if vector.isValid {
                let again = try aead.seal(
                    vector.bytes("msg"), key: key, nonce: vector.bytes("iv"), authenticating: vector.bytes("aad"))
                #expect(again == sealed, "test \(vector.id)")
            }
            // What protects records, which have no associated data.
            if vector.bytes("aad").isEmpty { inPlace += try records(vector, aead, key, sealed) }
            checked += 1
        }
        #expect(checked >= 60 && inPlace >= 40)
    }

    /// The same through what seals and opens records: in place, and under a traffic key whose IV is the nonce, which its
    /// counter of 0 leaves as it is. How many vectors were checked: 1.
    private func records(
        _ vector: Wycheproof.Vector, _ aead: AEAD, _ key: SymmetricKey, _ sealed: [UInt8]
    ) throws -> Int {
        let (message, nonce) = (vector.bytes("msg"), vector.bytes("iv"))
        let expected = vector.isValid ? message : nil
        let context = AEADContext(aead, key: key)
        let opened = try? context.opened(sealed, nonce: nonce)
        #expect(opened == expected, "test \(vector.id) in place")
        var inbound = TrafficKey(aead: aead, key: key, iv: SymmetricKey(data: nonce))
        var record = sealed
        let openedRecord: [UInt8]?
        do {
            try inbound.open(&record)
            openedRecord = record.dropLast(AEAD.tagBytes)
        } catch {
            openedRecord = nil
        }
        #expect(openedRecord == expected, "test \(vector.id) as a record")
        guard vector.isValid else { return 1 }
        let again = try context.sealed(message, nonce: nonce)
        #expect(again == sealed, "test \(vector.id) in place")
        var outbound = TrafficKey(aead: aead, key: key, iv: SymmetricKey(data: nonce))
        var sealedRecord = message + [UInt8](repeating: 0, count: AEAD.tagBytes)
        try outbound.seal(&sealedRecord)
        #expect(sealedRecord == sealed, "test \(vector.id) as a record")
        return 1
    }

    @Test("HKDF-SHA256 derives what it should, and nothing that is too long")
    func hkdf() throws {
        var (checked, refused) = (0, 0)
        for vector in try Wycheproof.vectors("hkdf_sha256") {
            let output = expandedKey(
                extractKey(from: SymmetricKey(data: vector.bytes("ikm")), salt: vector.bytes("salt")),
                info: vector.bytes("info"), count: Int(vector.test["size"]?.integer ?? 0))
            let bytes = output.map { $0.withUnsafeBytes { Array($0) } }
            #expect(bytes == (vector.isValid ? vector.bytes("okm") : nil), "test \(vector.id)")
            checked += 1
            if bytes == nil { refused += 1 }
        }
        #expect(checked >= 60 && refused >= 3)
    }

    @Test("ML-KEM-768 makes the keys that the seeds stand for")
    func mlkemKeys() throws {
        var checked = 0
        for vector in try Wycheproof.vectors("mlkem_768_keygen_seed") where vector.isValid {
            let entropy = HandshakeEntropy(x25519: [UInt8](repeating: 1, count: 32), mlkem: vector.bytes("seed"))
            let key = try entropy.decapsulationKey()
            #expect(Array(key.publicKey.rawRepresentation) == vector.bytes("ek"), "test \(vector.id)")
            checked += 1
        }
        #expect(checked >= 50)
    }

    @Test("ML-KEM-768 decapsulates, with implicit rejection")
    func mlkemSecrets() throws {
        var checked = 0
        for vector in try Wycheproof.vectors("mlkem_768") where vector.bytes("seed").count == 64 {
            let entropy = HandshakeEntropy(x25519: [UInt8](repeating: 1, count: 32), mlkem: vector.bytes("seed"))
            let secret = try? entropy.decapsulationKey().decapsulate(vector.bytes("c"))
            let bytes = secret.map { $0.withUnsafeBytes { Array($0) } }
            #expect(bytes == (vector.isValid ? vector.bytes("K") : nil), "test \(vector.id)")
            checked += 1
        }
        #expect(checked >= 50)
    }

    @Test("an encapsulation key out of range is refused")
    func mlkemEncapsulation() throws {
        var checked = 0
        for vector in try Wycheproof.vectors("mlkem_768_encaps") where !vector.isValid {
            #expect(throws: (any Error).self, "test \(vector.id)") {
                _ = try KeyEncapsulation.system.encapsulate(vector.bytes("ek"))
            }
            checked += 1
        }
        #expect(checked >= 10)
    }
}
