import FederationModel
import FederationWire
import Testing

@testable import FederationCore
@testable import FederationCrypto

/// The attacks that are about trust rather than about one message, each with the close code that the peer is told.
@Suite("Attacks on the handshake manager")
struct HandshakeManagerAttackTests {
    private func refusal(
        _ pair: HandshakePair, _ side: HandshakePair.Side, _ message: [UInt8], _ channel: UInt64
    ) -> HandshakeManager.Failure? {
        handshakeFailure { () throws(HandshakeManager.Failure) in _ = try pair.receive(side, message, channel) }
    }

    @Test("a peer that never sends Ready is not trusted, however long one waits")
    func readyNeverSent() throws {
        let pair = try HandshakePair()
        _ = try pair.runToReady(1, dialledBy: .alpha)
        // A manager that trusted whoever it has sent its own Ready to would be satisfied here.
        #expect(pair.phase(.alpha, 1) == .challengeReceived)
        #expect(pair.verified(.alpha) == nil)
        pair.advance(Limits.handshakeTimeout)
        let expired = pair.expire(.alpha)
        #expect(expired.map(\.1) == [.timeout] && expired.first?.1.closeCode == .handshakeTimeout)
        #expect(pair.verified(.alpha) == nil)
    }

    /// Records that are somebody's Ready, but not this peer's on this channel.
    enum ForeignReady: CaseIterable {
        /// Of another channel between the same two servers.
        case otherChannel
        /// One's own.
        case reflected
        /// The peer's second record.
        case later
    }

    @Test("a Ready under the wrong key, or out of its place, does not open", arguments: ForeignReady.allCases)
    func readyUnderTheWrongKey(kind: ForeignReady) throws {
        let pair = try HandshakePair()
        let ready = try pair.runToReady(1, dialledBy: .alpha)
        let message: [UInt8]
        switch kind {
        case .otherChannel: message = try HandshakePair().runToReady(1, dialledBy: .beta).alpha
        case .reflected: message = ready.beta
        case .later:
            _ = try pair.receive(.beta, ready.beta, 1)
            guard var records = pair.beta.takeRecords(for: ChannelID(1)) else {
                Issue.record("no records")
                return
            }
            message = try records.seal(
                try FrameCodec.encode(.ready(FederationFrame.Ready(server: HandshakePair.betaID))), at: pair.now.instant
            )[0]
        }
        let failure = refusal(pair, .alpha, message, 1)
        #expect(failure == .badRecord && failure?.closeCode == .badRecord)
        #expect(pair.verified(.alpha) == nil)
    }

    /// Gamma is allowed as well, and stands between alpha and beta: it puts its id into beta's Hello and signs beta's keys
    /// as its own. All secrets are then the same at both ends; only what was said differs.
    @Test("an allowed third party that passes another's keys on as its own is never trusted: no Ready of anybody opens")
    func unknownKeyShare() throws {
        let pair = try HandshakePair()
        let configuration = HandshakeConfiguration(suites: [.classicalAES256GCM])
        let gamma = try ServerIdentity(id: ServerID(unchecked: "gamma"), seed: [UInt8](repeating: 3, count: 32))
        func start(_ identity: ServerIdentity, entropy number: UInt8) throws -> Handshake {
            try Handshake(
                identity: identity, expecting: nil, configuration: configuration,
                entropy: HandshakeEntropy(
                    x25519: [UInt8](repeating: number, count: 32), mlkem: [UInt8](repeating: number, count: 64)),
                at: pair.now.timestamp)
        }
        pair.alpha = HandshakeManager(identity: pair.alphaIdentity, configuration: configuration)
        let alphaHello = try pair.initiate(.alpha, 1, dialledBy: .beta)
        // What alpha would say to beta, with the same fresh keys: the strongest case for the attacker.
        var honest = try start(pair.alphaIdentity, entropy: 1)
        try #require(honest.helloMessage == alphaHello)
        var beta = try start(pair.betaIdentity, entropy: 2)
        let betaHello = beta.helloMessage

        let said = try HandshakeChallenge.decode(betaHello, versions: .current)
        let forgedHello = HandshakeChallenge(
            versions: said.versions, server: gamma.id, expectedPeer: nil, sentAt: said.sentAt, suites: said.suites,
            ephemeralKey: said.ephemeralKey, encapsulationKey: said.encapsulationKey
        ).encoded()
        let own = try HandshakeChallenge.decode(alphaHello, versions: .current)
        let alphaIsLow = own.ephemeralKey.lexicographicallyPrecedes(said.ephemeralKey)
        let helloHash =
            alphaIsLow
            ? canonicalTranscript(low: alphaHello, high: forgedHello)
            : canonicalTranscript(low: forgedHello, high: alphaHello)
        let signed = signedTranscript(
            role: alphaIsLow ? .high : .low, helloHash: helloHash, server: gamma.id, signingKey: gamma.publicKey,
            exchangeKey: pair.betaIdentity.exchangeKey, ciphertext: [])
        let forgedSignature = HandshakeResponse(
            signingKey: gamma.publicKey, exchangeKey: pair.betaIdentity.exchangeKey, ciphertext: [],
            signature: try gamma.sign(signed, for: .handshake)
        ).encoded()
        func alphaHears(_ message: [UInt8]) throws(HandshakeManager.Failure) -> HandshakeStep {
            try pair.alpha.receive(message, on: ChannelID(1), at: pair.now) {
                $0 == gamma.id ? .bound(gamma.publicKey) : .unknown
            }
        }
        _ = try alphaHears(forgedHello)
        // Gamma is allowed and proves its key, so alpha goes along, and would send its own Ready.
        _ = try sent(try alphaHears(forgedSignature))

        _ = try beta.receive(hello: alphaHello, at: pair.now.timestamp)
        _ = try beta.receive(signature: try honest.receive(hello: betaHello, at: pair.now.timestamp))
        var records = try beta.complete(trusting: pair.alphaIdentity.publicKey).records()
        let ready = try records.seal(
            try FrameCodec.encode(.ready(FederationFrame.Ready(server: gamma.id))), at: pair.now.instant)[0]
        let failure = handshakeFailure { () throws(HandshakeManager.Failure) in _ = try alphaHears(ready) }
        #expect(failure == .badRecord && failure?.closeCode == .badRecord)
        #expect(pair.alpha.verifiedPeer(gamma.id, at: pair.now) == nil && pair.verified(.alpha) == nil)
    }

    /// When alpha's registry learns of beta's new key.
    enum Rotation: CaseIterable {
        case beforeSignature
        case beforeReady
    }

    @Test("a key that is rotated in mid-handshake ends it, and the next handshake is measured by the new one")
    func rotatedKey() throws {
        let newKey = try ServerIdentity(id: HandshakePair.betaID, seed: [UInt8](repeating: 7, count: 32)).publicKey
        for rotation in Rotation.allCases {
            let pair = try HandshakePair()
            let hello = try pair.initiate(.alpha, 1, dialledBy: .alpha)
            let betaHello = try pair.initiate(.beta, 1, dialledBy: .alpha)
            let alphaSignature = try sent(try pair.receive(.alpha, betaHello, 1))
            let signature = try sent(try pair.receive(.beta, hello, 1))
            let ready = try sent(try pair.receive(.beta, alphaSignature, 1))
            if rotation == .beforeSignature { pair.alphaTrust = .bound(newKey) }
            var failure = refusal(pair, .alpha, signature, 1)
            if rotation == .beforeReady {
                #expect(failure == nil)
                pair.alphaTrust = .bound(newKey)
                failure = refusal(pair, .alpha, ready, 1)
            }
            #expect(failure == .wrongKey(HandshakePair.betaID) && failure?.closeCode == .wrongKey, "\(rotation)")
            #expect(pair.verified(.alpha) == nil)
        }
    }

    @Test("a clock hours off is refused by both ends, and neither is kept waiting", arguments: [-4, -1, 1, 4])
    func clockHoursOff(hours: Int) throws {
        let pair = try HandshakePair()
        let offset = Duration.seconds(hours * 3_600)
        let alphaHello = try pair.initiate(.alpha, 1, dialledBy: .alpha)
        let right = pair.now
        pair.now = Now(instant: right.instant, timestamp: right.timestamp + offset)
        let betaHello = try pair.initiate(.beta, 1, dialledBy: .alpha)
        let behind = refusal(pair, .beta, alphaHello, 1)
        pair.now = right
        let ahead = refusal(pair, .alpha, betaHello, 1)
        #expect(ahead == .clockSkew(offset) && ahead?.closeCode == .clockSkew)
        #expect(behind == .clockSkew(.zero - offset) && behind?.closeCode == .clockSkew)
        #expect(pair.unfinished == 0)
        // A manager that is not so strict about clocks takes the same Hello.
        pair.alpha = HandshakeManager(
            identity: pair.alphaIdentity, configuration: HandshakeConfiguration(clockSkew: .seconds(86_400)))
        _ = try pair.initiate(.alpha, 2, dialledBy: .alpha)
        #expect(throws: Never.self) { try pair.receive(.alpha, betaHello, 2) }
    }

    @Test("of two channels dialled at once the one that goes is closed as a duplicate, not as a fault")
    func simultaneousDials() throws {
        let pair = try HandshakePair()
        let one = try pair.runToReady(1, dialledBy: .alpha)
        let two = try pair.runToReady(2, dialledBy: .beta)
        // By the rule that whoever comes first stays, alpha would keep the first channel and beta the second: none.
        _ = try pair.receive(.alpha, one.alpha, 1)
        _ = try pair.receive(.beta, two.beta, 2)
        let failure = refusal(pair, .alpha, two.alpha, 2)
        #expect(failure == .duplicateChannel(HandshakePair.betaID) && failure?.closeCode == .duplicateChannel)
        _ = try pair.receive(.beta, one.beta, 1)
        #expect(pair.verified(.alpha)?.channel == ChannelID(1) && pair.verified(.beta)?.channel == ChannelID(1))
    }
}
