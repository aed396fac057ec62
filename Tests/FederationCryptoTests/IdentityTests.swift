import Crypto
import FederationModel
import Testing

@testable import FederationCrypto

@Suite("Server identity")
struct IdentityTests {
    @Test(
        "a seed of another length, or of zeros, is refused",
        arguments: [
            [], [UInt8](repeating: 1, count: 31), [UInt8](repeating: 1, count: 33), [UInt8](repeating: 0, count: 32),
        ])
    func seeds(seed: [UInt8]) {
        #expect(throws: ServerIdentity.Failure.invalidSeed) { try ServerIdentity(id: Sample.alpha, seed: seed) }
    }

    @Test("neither printing nor dumping shows a private key")
    func printing() throws {
        let seed: [UInt8] = Array(100..<132)
        let identity = try ServerIdentity(id: Sample.alpha, seed: seed)
        var text = "\(identity) \(String(reflecting: identity))"
        dump(identity, to: &text)
        #expect(text.contains("alpha"))
        #expect(!text.contains(hexString(seed)))
        #expect(!text.contains("100, 101, 102"))
        #expect(!text.lowercased().contains("privatekey"))
    }

    @Test("a signature for one message use is worth nothing for another")
    func messageUses() throws {
        let identity = try Sample.identity(Sample.alpha, 1)
        let message = Array("message".utf8)
        let signature = try identity.sign(message, for: .handshake)
        #expect(identity.publicKey.isValidSignature(signature, for: .handshake, over: message))
        for use in SignatureUse.allCases where use != .handshake {
            #expect(!identity.publicKey.isValidSignature(signature, for: use, over: message), "\(use)")
        }
    }

    @Test(
        "nothing but its own header and claims is signed as a statement",
        arguments: SignatureUse.allCases.filter(\.isStatement))
    func statementUses(use: SignatureUse) throws {
        let identity = try Sample.identity(Sample.alpha, 1)
        let none = Base64URL.encode(Array(#"{"alg":"none","kid":"x","typ":"\#(use.label)"}"#.utf8)) + ".e30"
        for input in ["", "challenge", "e30.e30", none] {
            #expect(throws: ServerIdentity.Failure.notAStatement(use)) {
                try identity.sign(Array(input.utf8), for: use)
            }
        }
        for other in SignatureUse.allCases where other.isStatement && other != use {
            let text = CompactJWS.sign([:], for: other, by: identity)
            let input = text.utf8.split(separator: 0x2E).prefix(2).joined(separator: [0x2E])
            #expect(throws: ServerIdentity.Failure.notAStatement(use)) { try identity.sign(Array(input), for: use) }
        }
    }

    /// The eight points of small order and encodings of them that are not canonical.
    static let unusableKeys = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ]

    @Test("keys of small order and keys that are not canonical are refused", arguments: unusableKeys)
    func smallOrder(key: String) throws {
        let key = try #require(PublicKey(bytes: hex(key)))
        #expect(!key.isAcceptable)
        // With A of order 1 and S = 0, R = A verifies over any message without this check.
        #expect(!key.isValidEd25519(key.bytes + [UInt8](repeating: 0, count: 32), over: [1, 2, 3]))
    }

    @Test("without the check, a key of small order has a signature that fits every message")
    func smallOrderWithoutTheCheck() throws {
        let bytes = [1] + [UInt8](repeating: 0, count: 31)
        let key = try Curve25519.Signing.PublicKey(rawRepresentation: bytes)
        let forged = bytes + [UInt8](repeating: 0, count: 32)
        #expect(key.isValidSignature(forged, for: [1, 2, 3]))
        #expect(key.isValidSignature(forged, for: [4, 5, 6]))
    }

    @Test("a signature whose S is not reduced is refused")
    func malleable() throws {
        let identity = try Sample.identity(Sample.alpha, 1)
        let message = Array("message".utf8)
        var signature = try identity.sign(message, for: .handshake)
        // S + L is the same scalar (RFC 8032 §8.4).
        var carry = 0
        for index in 0..<32 {
            let sum = Int(signature[32 + index]) + Int(LenientEd25519.order[index]) + carry
            signature[32 + index] = UInt8(sum & 0xFF)
            carry = sum >> 8
        }
        #expect(!identity.publicKey.isValidSignature(signature, for: .handshake, over: message))
        let signed = try #require(SignatureUse.handshake.signedBytes(message))
        #expect(LenientEd25519().accepts(signature, over: signed, key: identity.publicKey.bytes))
        // Which does not take everything.
        signature[0] ^= 1
        #expect(!LenientEd25519().accepts(signature, over: signed, key: identity.publicKey.bytes))
    }

    @Test("a signature with any byte changed is refused")
    func changed() throws {
        let identity = try Sample.identity(Sample.alpha, 1)
        let message = Array("message".utf8)
        let signature = try identity.sign(message, for: .handshake)
        for index in signature.indices {
            var changed = signature
            changed[index] ^= 1
            #expect(!identity.publicKey.isValidSignature(changed, for: .handshake, over: message))
        }
        #expect(!identity.publicKey.isValidSignature(Array(signature.dropLast()), for: .handshake, over: message))
        #expect(!identity.publicKey.isValidSignature([], for: .handshake, over: message))
    }

    @Test("the fingerprint is base32 of SHA-256 in eight groups of four")
    func fingerprint() throws {
        let key = try #require(PublicKey("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
        #expect(key.fingerprint == "eh7d-dx5b-ksrg-cytl-7bka-i36s-e4nx-x3kl")
        let groups = key.fingerprint.split(separator: "-")
        #expect(groups.count == 8 && groups.allSatisfy { $0.count == 4 })
    }

    @Test("a client proves its key for one challenge and one handoff only")
    func clientProof() throws {
        let client = try Curve25519.Signing.PrivateKey(rawRepresentation: [UInt8](repeating: 3, count: 32))
        let key = try #require(PublicKey(bytes: Array(client.publicKey.rawRepresentation)))
        let challenge = [UInt8](repeating: 5, count: ClientProof.challengeBytes)
        let other = [UInt8](repeating: 6, count: ClientProof.challengeBytes)
        let otherHandoff = try #require(HandoffID(bytes: [UInt8](repeating: 9, count: 16)))
        let proof = Array(
            try client.signature(for: ClientProof.signedBytes(challenge: challenge, handoff: Sample.handoff)))
        #expect(ClientProof.isValid(proof, challenge: challenge, handoff: Sample.handoff, key: key))
        #expect(!ClientProof.isValid(proof, challenge: other, handoff: Sample.handoff, key: key))
        #expect(!ClientProof.isValid(proof, challenge: challenge, handoff: otherHandoff, key: key))
        #expect(!ClientProof.isValid(proof, challenge: [], handoff: Sample.handoff, key: key))
        let bare = Array(try client.signature(for: challenge))
        #expect(!ClientProof.isValid(bare, challenge: challenge, handoff: Sample.handoff, key: key))
    }
}
