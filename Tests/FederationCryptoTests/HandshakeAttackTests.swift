import Crypto
import FederationModel
import Testing

@testable import FederationCrypto

/// Each attack that PROTOCOL.md lists, against the real handshake and against one that still has the hole.
@Suite("Attacks on the handshake")
struct HandshakeAttackTests {
    let alpha: ServerIdentity
    let beta: ServerIdentity
    /// A third server, which both others allow, and which stands in between.
    let gamma: ServerIdentity

    init() throws {
        alpha = try Sample.identity(Sample.alpha, 1)
        beta = try Sample.identity(Sample.beta, 2)
        gamma = try Sample.identity(Sample.gamma, 3)
    }

    // MARK: A relay swaps the exchange key

    @Test("a swapped exchange key invalidates the signature")
    func swappedExchangeKey() throws {
        var first = try Sample.handshake(alpha, entropy: 1)
        var second = try Sample.handshake(beta, entropy: 2)
        _ = try first.receive(hello: second.helloMessage, at: Sample.time)
        let bytes = try second.receive(hello: first.helloMessage, at: Sample.time)
        let honest = try HandshakeResponse.decode(bytes, suite: .hybridAES256GCM)
        let swapped = HandshakeResponse(
            signingKey: honest.signingKey, exchangeKey: gamma.exchangeKey, ciphertext: honest.ciphertext,
            signature: honest.signature)
        let failure = failure { () throws(Handshake.Failure) in
            _ = try first.receive(signature: swapped.encoded())
        }
        #expect(failure == .invalidSignature && failure?.closeCode == .invalidSignature)
    }

    @Test("without that, the relay knows the key")
    func swappedExchangeKeyWeakened() throws {
        let first = try WeakenedHandshake.Side(1, ephemeral: 11)
        let second = try WeakenedHandshake.Side(2, ephemeral: 12)
        let relay = try WeakenedHandshake.Side(3, ephemeral: 13)
        var message = try second.message(to: first.ephemeral)
        message.exchangeKey = Array(relay.exchange.publicKey.rawRepresentation)
        let key = try #require(try first.key(message, from: second.ephemeral))
        let relayKey = try WeakenedHandshake.key(
            relay.exchange, Array(first.exchange.publicKey.rawRepresentation), first.ephemeral, second.ephemeral)
        #expect(key == relayKey)
    }

    // MARK: A long-lived key leaks later

    @Test("both servers' long-lived keys and the whole recording do not open the recording")
    func forwardSecrecy() throws {
        var first = try Sample.handshake(alpha, suites: [.classicalAES256GCM], entropy: 1)
        var second = try Sample.handshake(beta, suites: [.classicalAES256GCM], entropy: 2)
        let hellos = [first.helloMessage, second.helloMessage]
        let signatures = [
            try first.receive(hello: hellos[1], at: Sample.time), try second.receive(hello: hellos[0], at: Sample.time),
        ]
        _ = try first.receive(signature: signatures[1])
        var records = try first.complete(trusting: beta.publicKey).records()
        let record = try records.seal(Array("secret".utf8), at: Sample.instant)[0]

        // All that the thief has: the static exchange, both Hellos and both Signatures, in either role.
        let stolen = try #require(alpha.agree(with: beta.exchangeKey))
        for order in [[0, 1], [1, 0]] {
            let transcript = completeTranscript(
                helloHash: canonicalTranscript(low: hellos[order[0]], high: hellos[order[1]]),
                lowSignature: signatures[order[0]], highSignature: signatures[order[1]])
            for ephemeral in [[], [UInt8](repeating: 0, count: 32)] {
                var material = ephemeral + stolen.withUnsafeBytes { Array($0) }
                let secret = SecretBytes(taking: &material)
                for role in [HandshakeRole.low, .high] {
                    let keys = FederationSessionKeys(
                        secret: secret, transcript: transcript, suite: .classicalAES256GCM, role: role)
                    var attempt = RecordLayer(keys: keys)
                    let failure = failure { () throws(RecordLayer.Failure) in _ = try attempt.open(record) }
                    #expect(failure == .doesNotOpen)
                }
            }
        }
    }

    @Test("with only long-lived keys in the secret, one leak opens the recording")
    func forwardSecrecyWeakened() throws {
        let first = try WeakenedHandshake.Side(1, ephemeral: 11)
        let second = try WeakenedHandshake.Side(2, ephemeral: 12)
        let key = try #require(try first.key(try second.message(to: first.ephemeral), from: second.ephemeral))
        let record = try WeakenedHandshake.seal(Array("secret".utf8), counter: 0, key: key)
        let stolen = try WeakenedHandshake.key(
            second.exchange, Array(first.exchange.publicKey.rawRepresentation), first.ephemeral, second.ephemeral)
        #expect(try WeakenedHandshake.open(record, key: stolen) == Array("secret".utf8))
    }

    // MARK: Both directions share a key

    @Test("the same frame sealed by both ends first has nothing in common, and no end opens its own record")
    func directions() throws {
        var ends = RecordEnds(first: Sample.records(.low), second: Sample.records(.high))
        let frame = [UInt8](repeating: 0, count: 64)
        let there = try ends.first.seal(frame, at: Sample.instant)[0]
        let back = try ends.second.seal(frame, at: Sample.instant)[0]
        #expect(zip(there, back).filter { $0 == $1 }.count < 16)
        let failure = failure { () throws(RecordLayer.Failure) in _ = try ends.first.open(there) }
        #expect(failure == .doesNotOpen)
    }

    @Test("with one key for both directions, two records give away the difference of their texts")
    func directionsWeakened() throws {
        let first = try WeakenedHandshake.Side(1, ephemeral: 11)
        let second = try WeakenedHandshake.Side(2, ephemeral: 12)
        let one = try #require(try first.key(try second.message(to: first.ephemeral), from: second.ephemeral))
        let other = try #require(try second.key(try first.message(to: second.ephemeral), from: first.ephemeral))
        let there = try WeakenedHandshake.seal(Array("attack".utf8), counter: 0, key: one)
        let back = try WeakenedHandshake.seal(Array("defend".utf8), counter: 0, key: other)
        let difference = zip(there[1..<7], back[1..<7]).map { $0 ^ $1 }
        #expect(difference == zip("attack".utf8, "defend".utf8).map { $0 ^ $1 })
    }

    // MARK: An allowed third party is credited with another's traffic

    @Test("a server that passes another's messages on as its own gets a channel on which nothing opens")
    func unknownKeyShare() throws {
        var first = try Sample.handshake(alpha, suites: [.classicalAES256GCM], entropy: 1)
        var second = try Sample.handshake(beta, suites: [.classicalAES256GCM], entropy: 2)
        // Gamma puts its own id into beta's Hello, and signs beta's keys as its own.
        let honest = try HandshakeChallenge.decode(second.helloMessage, versions: .current)
        let forgedHello = HandshakeChallenge(
            versions: honest.versions, server: Sample.gamma, expectedPeer: nil, sentAt: honest.sentAt,
            suites: honest.suites, ephemeralKey: honest.ephemeralKey, encapsulationKey: honest.encapsulationKey)
        _ = try first.receive(hello: forgedHello.encoded(), at: Sample.time)
        let betaSignature = try second.receive(hello: first.helloMessage, at: Sample.time)
        let own = try HandshakeChallenge.decode(first.helloMessage, versions: .current)
        let firstIsLow = own.ephemeralKey.lexicographicallyPrecedes(honest.ephemeralKey)
        let helloHash =
            firstIsLow
            ? canonicalTranscript(low: first.helloMessage, high: forgedHello.encoded())
            : canonicalTranscript(low: forgedHello.encoded(), high: first.helloMessage)
        let signed = signedTranscript(
            role: firstIsLow ? .high : .low, helloHash: helloHash, server: Sample.gamma, signingKey: gamma.publicKey,
            exchangeKey: beta.exchangeKey, ciphertext: [])
        let forged = HandshakeResponse(
            signingKey: gamma.publicKey, exchangeKey: beta.exchangeKey, ciphertext: [],
            signature: try gamma.sign(signed, for: .handshake))
        // Gamma is allowed, so alpha goes along; beta talks to alpha directly.
        #expect(try first.receive(signature: forged.encoded()).server == Sample.gamma)
        var records = try first.complete(trusting: gamma.publicKey).records()
        _ = betaSignature
        let firstSignature = try signatureToBeta(from: first.helloMessage, second: honest)
        _ = try second.receive(signature: firstSignature)
        var betaRecords = try second.complete(trusting: alpha.publicKey).records()
        let ready = try betaRecords.seal([1], at: Sample.instant)[0]
        let failure = failure { () throws(RecordLayer.Failure) in _ = try records.open(ready) }
        #expect(failure == .doesNotOpen && failure?.closeCode == .badRecord)
    }

    /// What alpha would have sent to beta's honest Hello; the strongest case for the attacker.
    private func signatureToBeta(from hello: [UInt8], second: HandshakeChallenge) throws -> [UInt8] {
        var honest = try Sample.handshake(alpha, suites: [.classicalAES256GCM], entropy: 1)
        #expect(honest.helloMessage == hello)
        return try honest.receive(hello: second.encoded(), at: Sample.time)
    }

    @Test("with only ephemeral keys signed, the third party is credited with a key that it does not even know")
    func unknownKeyShareWeakened() throws {
        let first = try WeakenedHandshake.Side(1, ephemeral: 11)
        let second = try WeakenedHandshake.Side(2, ephemeral: 12)
        let third = try WeakenedHandshake.Side(3, ephemeral: 13)
        var forged = try second.message(to: first.ephemeral)
        forged.signingKey = Array(third.signing.publicKey.rawRepresentation)
        forged.signature = Array(
            try third.signing.signature(for: WeakenedHandshake.ordered(first.ephemeral, second.ephemeral)))
        let credited = try #require(try first.key(forged, from: second.ephemeral))
        let real = try #require(try second.key(try first.message(to: second.ephemeral), from: first.ephemeral))
        #expect(credited == real)
    }

    // MARK: Reflection

    @Test("a server's own Hello coming back is reflection")
    func reflectedHello() throws {
        var handshake = try Sample.handshake(alpha, entropy: 1)
        let own = handshake.helloMessage
        let failure = failure { () throws(Handshake.Failure) in
            _ = try handshake.receive(hello: own, at: Sample.time)
        }
        #expect(failure == .reflected && failure?.closeCode == .reflected)
    }

    @Test("its own ephemeral key under another id is reflection")
    func reflectedEphemeral() throws {
        var handshake = try Sample.handshake(alpha, entropy: 1)
        let own = try HandshakeChallenge.decode(handshake.helloMessage, versions: .current)
        let disguised = HandshakeChallenge(
            versions: own.versions, server: Sample.beta, expectedPeer: nil, sentAt: own.sentAt, suites: own.suites,
            ephemeralKey: own.ephemeralKey, encapsulationKey: own.encapsulationKey)
        #expect(throws: Handshake.Failure.reflected) {
            try handshake.receive(hello: disguised.encoded(), at: Sample.time)
        }
    }

    @Test("its own Signature coming back is reflection")
    func reflectedSignature() throws {
        var handshake = try Sample.handshake(alpha, entropy: 1)
        let peer = try Sample.handshake(beta, entropy: 2)
        let own = try handshake.receive(hello: peer.helloMessage, at: Sample.time)
        #expect(throws: Handshake.Failure.reflected) { try handshake.receive(signature: own) }
    }

    @Test("without that, a server shakes hands with itself, and opens its own records")
    func reflectedWeakened() throws {
        let side = try WeakenedHandshake.Side(1, ephemeral: 11)
        let key = try #require(try side.key(try side.message(to: side.ephemeral), from: side.ephemeral))
        let record = try WeakenedHandshake.seal([1], counter: 0, key: key)
        #expect(try WeakenedHandshake.open(record, key: key) == [1])
    }

    @Test("a Signature of another handshake between the same two servers is refused")
    func replayedSignature() throws {
        var old = try Sample.handshake(alpha, entropy: 4)
        var peer = try Sample.handshake(beta, entropy: 2)
        _ = try old.receive(hello: peer.helloMessage, at: Sample.time)
        let recorded = try peer.receive(hello: old.helloMessage, at: Sample.time)
        var now = try Sample.handshake(alpha, entropy: 1)
        _ = try now.receive(hello: peer.helloMessage, at: Sample.time)
        #expect(throws: Handshake.Failure.invalidSignature) { try now.receive(signature: recorded) }
    }

    @Test("a changed byte anywhere in either Hello or Signature leaves no channel")
    func everyByte() throws {
        var peer = try Sample.handshake(beta, suites: [.classicalAES256GCM], entropy: 2)
        let ownHello = try Sample.handshake(alpha, suites: [.classicalAES256GCM], entropy: 1).helloMessage
        let hello = peer.helloMessage
        let signature = try peer.receive(hello: ownHello, at: Sample.time)
        for (message, isHello) in [(hello, true), (signature, false)] {
            for index in message.indices {
                var changed = message
                changed[index] ^= 0x01
                var machine = try Sample.handshake(alpha, suites: [.classicalAES256GCM], entropy: 1)
                #expect(throws: Handshake.Failure.self, "byte \(index)") {
                    _ = try machine.receive(hello: isHello ? changed : hello, at: Sample.time)
                    _ = try machine.receive(signature: isHello ? signature : changed)
                    _ = try machine.complete(trusting: beta.publicKey)
                }
            }
        }
    }
}
