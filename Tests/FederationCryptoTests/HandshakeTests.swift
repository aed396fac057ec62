import FederationModel
import Testing

@testable import FederationCrypto

@Suite("Handshake")
struct HandshakeTests {
    static func sameExport(
        _ one: borrowing SecureChannel, _ label: String, _ other: borrowing SecureChannel, _ otherLabel: String
    ) -> Bool {
        let secret = one.export(label, count: 32)
        return secret.equals(other.export(otherLabel, count: 32))
    }

    @Test("both sides complete, agree, and open each other's records", arguments: CipherSuite.allCases)
    func completes(suite: CipherSuite) throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        let beta = try Sample.identity(Sample.beta, 2)
        // Both orders of the ephemeral keys, so that each side is low once.
        for (first, second) in [(UInt8(1), UInt8(2)), (2, 1)] {
            let ends = try complete(
                try Sample.handshake(alpha, expecting: Sample.beta, suites: [suite], entropy: first),
                try Sample.handshake(beta, suites: [suite], entropy: second), keys: (alpha.publicKey, beta.publicKey))
            #expect(ends.first.peer == Handshake.PeerClaim(server: Sample.beta, publicKey: beta.publicKey))
            #expect(ends.second.peer == Handshake.PeerClaim(server: Sample.alpha, publicKey: alpha.publicKey))
            #expect(ends.first.suite == suite && ends.second.suite == suite)
            #expect(ends.first.version == 1 && ends.second.version == 1)
            let same1 = Self.sameExport(ends.first, "test", ends.second, "test")
            #expect(same1)
            let same2 = Self.sameExport(ends.first, "test", ends.second, "other")
            #expect(!same2)
            var records = ends.records()
            for number in 0..<3 {
                let frame = [UInt8](repeating: UInt8(number), count: number * 100)
                let there = try records.first.seal(frame, at: Sample.instant)
                let back = try records.second.seal(frame, at: Sample.instant)
                #expect(there.count == 1 && back.count == 1 && there != back)
                #expect(try records.second.open(there[0]) == .frame(frame))
                #expect(try records.first.open(back[0]) == .frame(frame))
            }
        }
    }

    @Test("fresh ephemeral keys give other keys to the same two servers")
    func fresh() throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        let beta = try Sample.identity(Sample.beta, 2)
        let one = try complete(
            try Sample.handshake(alpha, entropy: 1), try Sample.handshake(beta, entropy: 2),
            keys: (alpha.publicKey, beta.publicKey))
        let two = try complete(
            try Sample.handshake(alpha, entropy: 3), try Sample.handshake(beta, entropy: 2),
            keys: (alpha.publicKey, beta.publicKey))
        let same3 = Self.sameExport(one.first, "test", two.first, "test")
        #expect(!same3)
    }

    @Test("the suite is the first of the low side's that the high side offers")
    func suiteChoice() throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        let beta = try Sample.identity(Sample.beta, 2)
        let all = CipherSuite.allCases
        let first = try Sample.handshake(alpha, suites: all, entropy: 1)
        let second = try Sample.handshake(beta, suites: all.reversed(), entropy: 2)
        let firstKey = try HandshakeChallenge.decode(first.helloMessage, versions: .current).ephemeralKey
        let secondKey = try HandshakeChallenge.decode(second.helloMessage, versions: .current).ephemeralKey
        let ends = try complete(first, second, keys: (alpha.publicKey, beta.publicKey))
        let firstIsLow = firstKey.lexicographicallyPrecedes(secondKey)
        #expect(ends.first.suite == (firstIsLow ? all[0] : all[all.count - 1]))
        #expect(ends.second.suite == ends.first.suite)
    }

    @Test("a classical suite is never chosen unless both offer it")
    func classicalOnlyWhereAllowed() throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        let beta = try Sample.identity(Sample.beta, 2)
        var strict = try Sample.handshake(alpha, entropy: 1)
        let lax = try Sample.handshake(beta, suites: [.classicalAES256GCM], entropy: 2)
        #expect(throws: Handshake.Failure.noCommonSuite) {
            try strict.receive(hello: lax.helloMessage, at: Sample.time)
        }
    }

    @Test(
        "clocks may be off by the bound and not by more",
        arguments: [(-300_001, false), (-300_000, true), (0, true), (300_000, true), (300_001, false)])
    func clockSkew(milliseconds: Int64, isAllowed: Bool) throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        let beta = try Sample.identity(Sample.beta, 2)
        var handshake = try Sample.handshake(alpha, entropy: 1)
        let offset = Duration.milliseconds(milliseconds)
        let peer = try Sample.handshake(beta, entropy: 2, at: Sample.time + offset)
        let failure = failure { () throws(Handshake.Failure) in
            _ = try handshake.receive(hello: peer.helloMessage, at: Sample.time)
        }
        #expect(failure == (isAllowed ? nil : .clockSkew(offset)))
    }

    struct Versions: Sendable {
        let mine: (UInt16, UInt16)
        let theirs: (UInt16, UInt16)
        let agreed: UInt16?
    }

    @Test(
        "the highest version in common is spoken, or none",
        arguments: [
            Versions(mine: (1, 1), theirs: (1, 1), agreed: 1), Versions(mine: (1, 1), theirs: (1, 3), agreed: 1),
            Versions(mine: (1, 2), theirs: (1, 3), agreed: 2), Versions(mine: (1, 1), theirs: (2, 3), agreed: nil),
            Versions(mine: (2, 3), theirs: (1, 1), agreed: nil), Versions(mine: (2, 3), theirs: (1, 2), agreed: 2),
        ])
    func versions(row: Versions) throws {
        let mine = try #require(ProtocolVersions(minimum: row.mine.0, maximum: row.mine.1))
        let theirs = try #require(ProtocolVersions(minimum: row.theirs.0, maximum: row.theirs.1))
        #expect(mine.highestInCommon(with: theirs) == row.agreed)
        let alpha = try Sample.identity(Sample.alpha, 1)
        let beta = try Sample.identity(Sample.beta, 2)
        var handshake = try Sample.handshake(alpha, versions: mine, entropy: 1)
        let peer = try Sample.handshake(beta, versions: theirs, entropy: 2)
        let failure = failure { () throws(Handshake.Failure) in
            _ = try handshake.receive(hello: peer.helloMessage, at: Sample.time)
        }
        #expect(failure == (row.agreed == nil ? .incompatibleVersion(theirs) : nil))
    }

    @Test("versions are compared before the rest of a Hello is read")
    func versionsFirst() throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        var handshake = try Sample.handshake(alpha, entropy: 1)
        let later = try #require(ProtocolVersions(minimum: 7, maximum: 9))
        #expect(throws: Handshake.Failure.incompatibleVersion(later)) {
            try handshake.receive(hello: [1, 0, 9, 0, 7, 0xFF, 0xFF], at: Sample.time)
        }
    }

    @Test("what a later version appends to its Hello is ignored, and hashed")
    func laterVersion() throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        let beta = try Sample.identity(Sample.beta, 2)
        let later = try #require(ProtocolVersions(minimum: 1, maximum: 2))
        var first = try Sample.handshake(alpha, entropy: 1)
        var second = try Sample.handshake(beta, versions: later, entropy: 2)
        _ = try first.receive(hello: second.helloMessage + [1, 2, 3], at: Sample.time)
        let signature = try second.receive(hello: first.helloMessage, at: Sample.time)
        #expect(throws: Handshake.Failure.invalidSignature) { try first.receive(signature: signature) }
    }

    @Test("whoever is not meant is refused, on either side")
    func wrongPeer() throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        let beta = try Sample.identity(Sample.beta, 2)
        var dialler = try Sample.handshake(alpha, expecting: Sample.gamma, entropy: 1)
        var acceptor = try Sample.handshake(beta, entropy: 2)
        #expect(throws: Handshake.Failure.wrongPeer(expected: Sample.gamma, actual: Sample.beta)) {
            try dialler.receive(hello: acceptor.helloMessage, at: Sample.time)
        }
        #expect(throws: Handshake.Failure.wrongPeer(expected: Sample.gamma, actual: Sample.beta)) {
            try acceptor.receive(hello: dialler.helloMessage, at: Sample.time)
        }
    }

    @Test("nothing is signed for a peer that the caller does not admit")
    func admission() throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        let beta = try Sample.identity(Sample.beta, 2)
        var handshake = try Sample.handshake(alpha, entropy: 1)
        let peer = try Sample.handshake(beta, entropy: 2)
        #expect(throws: Handshake.Failure.untrustedPeer(Sample.beta)) {
            try handshake.receive(hello: peer.helloMessage, at: Sample.time) { (id) throws(Handshake.Failure) in
                throw .untrustedPeer(id)
            }
        }
    }

    @Test("a peer that proves another key than the one bound to its id gets no keys")
    func wrongKey() throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        let impostor = try Sample.identity(Sample.beta, 3)
        let beta = try Sample.identity(Sample.beta, 2)
        #expect(throws: Handshake.Failure.wrongKey(Sample.beta)) {
            _ = try complete(
                try Sample.handshake(alpha, entropy: 1), try Sample.handshake(impostor, entropy: 2),
                keys: (alpha.publicKey, beta.publicKey))
        }
    }

    @Test("an ephemeral key of small order is refused, since it contributes nothing")
    func smallOrderEphemeral() throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        let beta = try Sample.identity(Sample.beta, 2)
        var handshake = try Sample.handshake(alpha, suites: [.classicalAES256GCM], entropy: 1)
        // The attacker is an allowed peer that would make the ephemeral part of the secret known to everybody.
        let hello = HandshakeChallenge(
            versions: .current, server: Sample.beta, expectedPeer: nil, sentAt: Sample.time,
            suites: [CipherSuite.classicalAES256GCM.rawValue], ephemeralKey: [UInt8](repeating: 0, count: 32),
            encapsulationKey: []
        ).encoded()
        _ = try handshake.receive(hello: hello, at: Sample.time)
        let signed = signedTranscript(
            role: .low, helloHash: canonicalTranscript(low: hello, high: handshake.helloMessage), server: Sample.beta,
            signingKey: beta.publicKey, exchangeKey: beta.exchangeKey, ciphertext: [])
        let response = HandshakeResponse(
            signingKey: beta.publicKey, exchangeKey: beta.exchangeKey, ciphertext: [],
            signature: try beta.sign(signed, for: .handshake))
        _ = try handshake.receive(signature: response.encoded())
        #expect(throws: Handshake.Failure.weakKey) {
            _ = try handshake.complete(trusting: beta.publicKey)
        }
    }

    @Test(
        "a hybrid suite without an encapsulation key, or with an invalid one, is refused",
        arguments: [[], [UInt8](repeating: 0xFF, count: 1184)])
    func encapsulationKey(key: [UInt8]) throws {
        let alpha = try Sample.identity(Sample.alpha, 1)
        var handshake = try Sample.handshake(alpha, entropy: 1)
        let hello = HandshakeChallenge(
            versions: .current, server: Sample.beta, expectedPeer: nil, sentAt: Sample.time,
            suites: [CipherSuite.hybridAES256GCM.rawValue], ephemeralKey: [UInt8](repeating: 5, count: 32),
            encapsulationKey: key
        ).encoded()
        let failure = failure { () throws(Handshake.Failure) in
            _ = try handshake.receive(hello: hello, at: Sample.time)
        }
        guard case .malformed = failure else { Issue.record("\(String(describing: failure))"); return }
    }

    @Test("every failure tells the peer why, and only our own faults are internal errors")
    func closeCodes() {
        let failures: [(Handshake.Failure, CloseCode)] = [
            (.malformed(""), .protocolError), (.oversized(1), .oversized), (.invalidState(""), .protocolError),
            (.incompatibleVersion(.current), .incompatibleVersion), (.noCommonSuite, .noCommonSuite),
            (.clockSkew(.zero), .clockSkew), (.wrongPeer(expected: Sample.alpha, actual: Sample.beta), .wrongPeer),
            (.untrustedPeer(Sample.beta), .untrustedPeer), (.suspended(Sample.beta), .suspended),
            (.wrongKey(Sample.beta), .wrongKey), (.invalidSignature, .invalidSignature), (.reflected, .reflected),
            (.weakKey, .protocolError), (.unavailable, .internalError),
        ]
        for (failure, code) in failures { #expect(failure.closeCode == code) }
    }
}
