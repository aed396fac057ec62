import Crypto
import FederationModel
import Foundation
import Testing

@testable import FederationCrypto

extension HandshakeAttackTests {
    // MARK: A relay swaps the KEM ciphertext

    @Test("a swapped KEM ciphertext invalidates the signature")
    func swappedCiphertext() throws {
        var first = try Sample.handshake(alpha, entropy: 1)
        var second = try Sample.handshake(beta, entropy: 2)
        _ = try first.receive(hello: second.helloMessage, at: Sample.time)
        let bytes = try second.receive(hello: first.helloMessage, at: Sample.time)
        let honest = try HandshakeResponse.decode(bytes, suite: .hybridAES256GCM)
        let target = try HandshakeChallenge.decode(first.helloMessage, versions: .current).encapsulationKey
        let swapped = HandshakeResponse(
            signingKey: honest.signingKey, exchangeKey: honest.exchangeKey,
            ciphertext: try KeyEncapsulation.system.encapsulate(target).ciphertext, signature: honest.signature)
        let failure = failure { () throws(Handshake.Failure) in
            _ = try first.receive(signature: swapped.encoded())
        }
        #expect(failure == .invalidSignature && failure?.closeCode == .invalidSignature)
    }

    @Test("with the ciphertext outside the signature, the relay knows the secret that is to outlast X25519")
    func swappedCiphertextWeakened() throws {
        let first = try WeakenedHandshake.Side(1, ephemeral: 11)
        let second = try WeakenedHandshake.Side(2, ephemeral: 12)
        // Both encapsulate to first's key, which is in the clear.
        let honest = try first.decapsulation.publicKey.encapsulate()
        let relayed = try first.decapsulation.publicKey.encapsulate()
        var message = try second.message(to: first.ephemeral)
        message.ciphertext = Array(honest.encapsulated)
        let agreed = try first.key(message, from: second.ephemeral)
        message.ciphertext = Array(relayed.encapsulated)
        let swapped = try first.key(message, from: second.ephemeral)
        // Years later X25519 has fallen, so the relay has an exchange key; it still has the secret that it made itself.
        let broken = try WeakenedHandshake.key(
            first.exchange, message.exchangeKey, first.ephemeral, second.ephemeral, encapsulated: relayed.sharedSecret)
        #expect(swapped == broken)
        #expect(agreed != nil && agreed != broken)
    }

    @Test("a peer that signs a ciphertext which it made up gets a channel on which nothing opens")
    func madeUpCiphertext() throws {
        let strategy = KeyEncapsulation { _ in
            var secret = [UInt8](repeating: 3, count: KeyEncapsulation.sharedSecretBytes)
            return KeyEncapsulation.Encapsulated(
                ciphertext: [UInt8](repeating: 7, count: KeyEncapsulation.ciphertextBytes),
                sharedSecret: SecretBytes(taking: &secret))
        }
        let forger = try Handshake(
            identity: beta, expecting: nil, configuration: HandshakeConfiguration(encapsulation: strategy),
            entropy: Sample.entropy(2), at: Sample.time)
        var ends = try complete(
            try Sample.handshake(alpha, entropy: 1), forger, keys: (alpha.publicKey, beta.publicKey)
        ).records()
        let ready = try ends.second.seal([1], at: Sample.instant)[0]
        let failure = failure { () throws(RecordLayer.Failure) in _ = try ends.first.open(ready) }
        #expect(failure == .doesNotOpen && failure?.closeCode == .badRecord)
    }

    // MARK: A peer's key contributes nothing

    /// The points of small order (RFC 7748 §7, https://cr.yp.to/ecdh.html#validate), with and without the highest bit,
    /// which X25519 ignores.
    static let smallOrder: [String] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0000000000000000000000000000000000000000000000000000000000000080",
    ]

    @Test("an X25519 key of small order is refused, fresh or long-lived", arguments: smallOrder, [true, false])
    func smallOrder(point: String, isEphemeral: Bool) throws {
        let suite = CipherSuite.classicalAES256GCM
        var machine = try Sample.handshake(alpha, suites: [suite], entropy: 1)
        let own = try HandshakeChallenge.decode(machine.helloMessage, versions: .current)
        let honest = try HandshakeChallenge.decode(
            try Sample.handshake(beta, suites: [suite], entropy: 2).helloMessage, versions: .current)
        let ephemeral = isEphemeral ? hex(point) : honest.ephemeralKey
        let exchange = isEphemeral ? beta.exchangeKey : hex(point)
        let hello = HandshakeChallenge(
            versions: .current, server: Sample.beta, expectedPeer: nil, sentAt: Sample.time, suites: [suite.rawValue],
            ephemeralKey: ephemeral, encapsulationKey: []
        ).encoded()
        _ = try machine.receive(hello: hello, at: Sample.time)
        let isLow = ephemeral.lexicographicallyPrecedes(own.ephemeralKey)
        let signed = signedTranscript(
            role: isLow ? .low : .high,
            helloHash: isLow
                ? canonicalTranscript(low: hello, high: machine.helloMessage)
                : canonicalTranscript(low: machine.helloMessage, high: hello),
            server: Sample.beta, signingKey: beta.publicKey, exchangeKey: exchange, ciphertext: [])
        let response = HandshakeResponse(
            signingKey: beta.publicKey, exchangeKey: exchange, ciphertext: [],
            signature: try beta.sign(signed, for: .handshake))
        _ = try machine.receive(signature: response.encoded())
        let failure = failure { () throws(Handshake.Failure) in _ = try machine.complete(trusting: beta.publicKey) }
        #expect(failure == .weakKey && failure?.closeCode == .protocolError)
    }

    @Test("without that, whoever swaps such a key in reads the channel", arguments: smallOrder)
    func smallOrderWeakened(point: String) throws {
        let alpha = try WeakenedHandshake.Side(1, ephemeral: 1)
        let beta = try WeakenedHandshake.Side(2, ephemeral: 2)
        var message = try beta.message(to: alpha.ephemeral)
        message.exchangeKey = hex(point)
        let key = try #require(try alpha.key(message, from: beta.ephemeral))
        let record = try WeakenedHandshake.seal(Array("secret".utf8), counter: 1, key: key)
        // The shared secret is zeros: it takes nobody's private key.
        let known = deriveKey(
            from: SymmetricKey(data: [UInt8](repeating: 0, count: 32)),
            salt: WeakenedHandshake.ordered(alpha.ephemeral, beta.ephemeral), label: "outbound", count: 32)
        #expect(try WeakenedHandshake.open(record, key: known) == Array("secret".utf8))
        #expect(X25519.agree(alpha.exchange, with: hex(point)) == nil)
    }

    // MARK: Signatures and keys that are not canonical

    @Test("of signatures on which implementations disagree, only those that leave no doubt are taken")
    func signatureEdges() throws {
        let file = HandshakeVectorTests.folder.appendingPathComponent("ed25519_edges.json")
        let edges = try #require(try JSONValue.parse(Array(try Data(contentsOf: file)))["edges"]?.elements)
        #expect(edges.count == 12)
        var weaker = 0
        for edge in edges {
            let name = edge["case"]?.text ?? ""
            let message = hex(edge["message"]?.text ?? "")
            let signature = hex(edge["signature"]?.text ?? "")
            let key = try #require(PublicKey(bytes: hex(edge["key"]?.text ?? "")))
            let isValid = key.isValidEd25519(signature, over: message)
            #expect(.bool(isValid) == edge["valid"], "\(name)")
            // The library alone: it takes keys and points of small order, and one key that is not canonical.
            let alone = try Curve25519.Signing.PublicKey(rawRepresentation: key.bytes)
                .isValidSignature(signature, for: message)
            #expect(.bool(alone) == edge["boringssl"], "\(name)")
            if alone != isValid { weaker += 1 }
            // Somebody takes each of them, so that two who differ in that would not agree on who has signed.
            let takers = LenientEd25519.all.filter { $0.accepts(signature, over: message, key: key.bytes) }
            let isTaken = !takers.isEmpty
            #expect(isTaken, "\(name)")
        }
        #expect(weaker == 4)
    }

    @Test("a Signature whose key cannot be one is refused before it is verified", arguments: IdentityTests.unusableKeys)
    func unusableSigningKey(key: String) throws {
        var first = try Sample.handshake(alpha, entropy: 1)
        var second = try Sample.handshake(beta, entropy: 2)
        _ = try first.receive(hello: second.helloMessage, at: Sample.time)
        let bytes = try second.receive(hello: first.helloMessage, at: Sample.time)
        let honest = try HandshakeResponse.decode(bytes, suite: .hybridAES256GCM)
        let forged = HandshakeResponse(
            signingKey: try #require(PublicKey(bytes: hex(key))), exchangeKey: honest.exchangeKey,
            ciphertext: honest.ciphertext, signature: hex(key) + [UInt8](repeating: 0, count: 32))
        let failure = failure { () throws(Handshake.Failure) in _ = try first.receive(signature: forged.encoded()) }
        #expect(failure == .malformed("signing_key is not a usable key") && failure?.closeCode == .protocolError)
    }

    // MARK: An id with another's key

    @Test("an id claimed with another's key gets no keys")
    func claimedIdentity() throws {
        let impostor = try Sample.identity(Sample.beta, 3)
        var machine = try Sample.handshake(alpha, entropy: 1)
        var peer = try Sample.handshake(impostor, entropy: 2)
        _ = try machine.receive(hello: peer.helloMessage, at: Sample.time)
        let claim = try machine.receive(signature: try peer.receive(hello: machine.helloMessage, at: Sample.time))
        #expect(claim.server == Sample.beta && claim.publicKey != beta.publicKey)
        let failure = failure { () throws(Handshake.Failure) in _ = try machine.complete(trusting: beta.publicKey) }
        #expect(failure == .wrongKey(Sample.beta) && failure?.closeCode == .wrongKey)
    }

    @Test("a policy that believes whatever key comes lets the impostor in")
    func claimedIdentityWeakened() throws {
        let impostor = try Sample.identity(Sample.beta, 3)
        let ends = try complete(
            try Sample.handshake(alpha, entropy: 1), try Sample.handshake(impostor, entropy: 2),
            keys: (alpha.publicKey, impostor.publicKey))
        #expect(ends.first.peer.server == Sample.beta)
    }

    @Test("a server's own exchange key under another's signature is reflection")
    func reflectedExchangeKey() throws {
        var machine = try Sample.handshake(alpha, entropy: 1)
        let peer = try Sample.handshake(beta, entropy: 2)
        let own = try HandshakeResponse.decode(
            try machine.receive(hello: peer.helloMessage, at: Sample.time), suite: .hybridAES256GCM)
        let forged = HandshakeResponse(
            signingKey: beta.publicKey, exchangeKey: own.exchangeKey, ciphertext: own.ciphertext,
            signature: own.signature)
        let failure = failure { () throws(Handshake.Failure) in _ = try machine.receive(signature: forged.encoded()) }
        #expect(failure == .reflected && failure?.closeCode == .reflected)
    }

    // MARK: A whole handshake is played again

    /// Hello, Signature and first record of beta's side of a handshake.
    private func recording(_ victim: consuming Handshake) throws -> [[UInt8]] {
        var victim = victim
        var peer = try Sample.handshake(beta, suites: [.classicalAES256GCM], entropy: 2)
        let hello = peer.helloMessage
        let signature = try peer.receive(hello: victim.helloMessage, at: Sample.time)
        _ = try peer.receive(signature: try victim.receive(hello: hello, at: Sample.time))
        var records = try peer.complete(trusting: alpha.publicKey).records()
        return [hello, signature, try records.seal([1], at: Sample.instant)[0]]
    }

    @Test("a whole handshake that is played again fails at its Signature")
    func replayedHandshake() throws {
        let suites: [CipherSuite] = [.classicalAES256GCM]
        let messages = try recording(try Sample.handshake(alpha, suites: suites, entropy: 1))
        var machine = try Sample.handshake(alpha, suites: suites, entropy: 3)
        _ = try machine.receive(hello: messages[0], at: Sample.time)
        let failure = failure { () throws(Handshake.Failure) in _ = try machine.receive(signature: messages[1]) }
        #expect(failure == .invalidSignature && failure?.closeCode == .invalidSignature)
    }

    @Test("a server whose fresh keys are not fresh takes the recording, up to its last record")
    func replayedHandshakeWeakened() throws {
        let suites: [CipherSuite] = [.classicalAES256GCM]
        let messages = try recording(try Sample.handshake(alpha, suites: suites, entropy: 1))
        var machine = try Sample.handshake(alpha, suites: suites, entropy: 1)
        _ = try machine.receive(hello: messages[0], at: Sample.time)
        _ = try machine.receive(signature: messages[1])
        var records = try machine.complete(trusting: beta.publicKey).records()
        #expect(try records.open(messages[2]) == .frame([1]))
    }
}
