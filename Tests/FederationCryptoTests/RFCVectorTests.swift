import Crypto
import FederationModel
import Testing

@testable import FederationCrypto

@Suite("Vectors typed from the RFCs")
struct RFCVectorTests {
    struct Signature: Sendable {
        let seed: String
        let key: String
        let message: String
        let signature: String
    }

    /// RFC 8032 §7.1, tests 1, 2, 3 and SHA(abc).
    static let signatures = [
        Signature(
            seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            key: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", message: "",
            signature: """
                e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155
                5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b
                """),
        Signature(
            seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            key: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", message: "72",
            signature: """
                92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
                085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00
                """),
        Signature(
            seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            key: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", message: "af82",
            signature: """
                6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac
                18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a
                """),
        Signature(
            seed: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            key: "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            message: """
                ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
                2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f
                """,
            signature: """
                dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589
                09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704
                """),
    ]

    @Test("Ed25519 keys and signatures are those of RFC 8032 §7.1", arguments: signatures)
    func ed25519(vector: Signature) throws {
        let identity = try ServerIdentity(id: Sample.alpha, seed: hex(vector.seed))
        let key = try #require(PublicKey(bytes: hex(vector.key)))
        #expect(identity.publicKey == key)
        #expect(key.isValidEd25519(hex(vector.signature), over: hex(vector.message)))
        #expect(!key.isValidEd25519(hex(vector.signature), over: hex(vector.message) + [0]))
        // An identity signs nothing but labelled bytes, so the RFC's signatures cannot come from it: it has signed what the
        // label makes of the message, and not the message. HandshakeVectorTests have its signatures byte by byte.
        let message = hex(vector.message)
        let own = try identity.sign(message, for: .handshake)
        let labelled = try #require(SignatureUse.handshake.signedBytes(message))
        #expect(key.isValidEd25519(own, over: labelled) && !key.isValidEd25519(own, over: message))
    }

    struct Agreement: Sendable {
        let scalar: String
        let point: String
        let result: String
    }

    /// RFC 7748 §5.2, the two single vectors, and §6.1, both ways.
    static let agreements = [
        Agreement(
            scalar: "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            point: "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            result: "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"),
        Agreement(
            scalar: "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            point: "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            result: "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"),
        Agreement(
            scalar: "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            point: "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
            result: "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"),
        Agreement(
            scalar: "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            point: "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            result: "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"),
    ]

    @Test("X25519 gives the results of RFC 7748", arguments: agreements)
    func x25519(vector: Agreement) throws {
        let key = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: hex(vector.scalar))
        let shared = try #require(X25519.agree(key, with: hex(vector.point)))
        #expect(shared.withUnsafeBytes { Array($0) } == hex(vector.result))
    }

    @Test("X25519 iterated a thousand times gives the result of RFC 7748 §5.2")
    func x25519Iterated() throws {
        var scalar = [9] + [UInt8](repeating: 0, count: 31)
        var point = scalar
        for _ in 0..<1_000 {
            let key = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: scalar)
            let shared = try #require(X25519.agree(key, with: point))
            point = scalar
            scalar = shared.withUnsafeBytes { Array($0) }
        }
        #expect(scalar == hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"))
    }

    struct Derivation: Sendable {
        let secret: [UInt8]
        let salt: [UInt8]
        let info: [UInt8]
        let output: String
    }

    /// RFC 5869 appendix A.1 to A.3.
    static let derivations = [
        Derivation(
            secret: [UInt8](repeating: 0x0B, count: 22), salt: Array(0x00...0x0C), info: Array(0xF0...0xF9),
            output: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
        Derivation(
            secret: Array(0x00...0x4F), salt: Array(0x60...0xAF), info: Array(0xB0...0xFF),
            output: """
                b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c
                59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71
                cc30c58179ec3e87c14c01d5c1f3434f1d87
                """),
        Derivation(
            secret: [UInt8](repeating: 0x0B, count: 22), salt: [], info: [],
            output: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
    ]

    @Test("HKDF-SHA256 gives the output of RFC 5869 appendix A", arguments: derivations)
    func hkdf(vector: Derivation) {
        let expected = hex(vector.output)
        let output = deriveKey(
            from: SymmetricKey(data: vector.secret), salt: vector.salt, info: vector.info, count: expected.count)
        #expect(output.withUnsafeBytes { Array($0) } == expected)
    }

    @Test("ChaCha20-Poly1305 seals and opens the text of RFC 8439 §2.8.2")
    func chachaPoly() throws {
        let plaintext = Array(
            """
            Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
            sunscreen would be it.
            """.utf8)
        let sealed = hex(
            """
            d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6
            3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36
            92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
            3ff4def08e4b7a9de576d26586cec64b6116
            1ae10b594f09e26a7e902ecbd0600691
            """)
        let key = SymmetricKey(data: Array(0x80...0x9F))
        let nonce = hex("070000004041424344454647")
        let data = hex("50515253c0c1c2c3c4c5c6c7")
        #expect(
            try AEAD.chacha20poly1305.seal(plaintext, key: key, nonce: nonce, authenticating: data) == sealed)
        #expect(
            try AEAD.chacha20poly1305.open(sealed[...], key: key, nonce: nonce, authenticating: data) == plaintext)
        // Records have no associated data, which the tag alone depends on: their ciphertext is the RFC's as well.
        let record = try AEADContext(.chacha20poly1305, key: key).sealed(plaintext, nonce: nonce)
        #expect(record.prefix(plaintext.count) == sealed.prefix(plaintext.count))
        var traffic = TrafficKey(aead: .chacha20poly1305, key: key, iv: SymmetricKey(data: nonce))
        var sent = plaintext + [UInt8](repeating: 0, count: AEAD.tagBytes)
        try traffic.seal(&sent)
        #expect(sent == record)
    }

    @Test("SHA-256 in pieces is SHA-256 at once (FIPS 180-4: abc)")
    func sha256() {
        let expected = ContentHash("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(ContentHash.of(Array("abc".utf8)) == expected)
        var hasher = ContentHasher()
        hasher.update(Array("a".utf8))
        hasher.update(Array("xbc".utf8)[1...])
        #expect(hasher.finalize() == expected)
    }
}
