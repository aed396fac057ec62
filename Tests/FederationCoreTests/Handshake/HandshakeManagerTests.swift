import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

@Suite("Handshake manager")
struct HandshakeManagerTests {
    @Test("a peer is trusted when its Ready has been opened, and not before", arguments: HandshakePair.Side.allCases)
    func completes(dialler: HandshakePair.Side) throws {
        let pair = try HandshakePair()
        let ready = try pair.runToReady(1, dialledBy: dialler)
        for side in HandshakePair.Side.allCases {
            #expect(pair.phase(side, 1) == .challengeReceived)
            #expect(pair.verified(side) == nil)
        }
        let early = pair.alpha.takeRecords(for: ChannelID(1))
        let isEarly = early != nil
        #expect(!isEarly)
        let step = try pair.receive(.alpha, ready.alpha, 1)
        let peer = try #require(pair.verified(.alpha))
        #expect(step == .completed(peer, superseding: nil))
        #expect(pair.verified(.beta) == nil)
        #expect(pair.phase(.alpha, 1) == .completed && pair.phase(.beta, 1) == .challengeReceived)
        #expect(peer.serverID == HandshakePair.betaID && peer.publicKey == pair.betaIdentity.publicKey)
        #expect(peer.channel == ChannelID(1) && peer.direction == (dialler == .alpha ? .outgoing : .incoming))
        #expect(peer.suite == .hybridAES256GCM && peer.version == 1 && peer.clockOffset == .zero)
        #expect(peer.expiresAt == pair.now.instant + Limits.trustLifetime)
        _ = try pair.receive(.beta, ready.beta, 1)
        let isTrusted = pair.beta.isTrusted(HandshakePair.alphaID, at: pair.now)
        let trustsItself = pair.beta.isTrusted(HandshakePair.betaID, at: pair.now)
        #expect(isTrusted && !trustsItself)
    }

    @Test("the records of both ends fit, and can be taken once")
    func records() throws {
        let pair = try HandshakePair()
        try pair.connect(1, dialledBy: .alpha)
        guard var one = pair.alpha.takeRecords(for: ChannelID(1)), var other = pair.beta.takeRecords(for: ChannelID(1))
        else {
            Issue.record("no records")
            return
        }
        let record = try one.seal([1, 2, 3], at: pair.now.instant)[0]
        let opened = try other.open(record)
        #expect(opened == .frame([1, 2, 3]))
        let again = pair.alpha.takeRecords(for: ChannelID(1))
        let unknown = pair.alpha.takeRecords(for: ChannelID(2))
        let isAgain = again != nil
        let isUnknown = unknown != nil
        #expect(!isAgain && !isUnknown)
        #expect(pair.phase(.alpha, 1) == .completed)
    }

    // MARK: One channel per peer

    /// In which order the two channels of a simultaneous dial are completed at an end.
    static let orders: [(alphaFirst: UInt64, betaFirst: UInt64)] = [(1, 1), (1, 2), (2, 1), (2, 2)]

    @Test("of two channels dialled at once, both ends keep the one that the lower id dialled", arguments: orders)
    func simultaneousDial(alphaFirst: UInt64, betaFirst: UInt64) throws {
        let pair = try HandshakePair()
        // Channel 1 is alpha's, channel 2 is beta's.
        let one = try pair.runToReady(1, dialledBy: .alpha)
        let two = try pair.runToReady(2, dialledBy: .beta)
        for (side, first) in [(HandshakePair.Side.alpha, alphaFirst), (.beta, betaFirst)] {
            for channel in [first, 3 - first] {
                let messages = channel == 1 ? one : two
                let message = side == .alpha ? messages.alpha : messages.beta
                var step: HandshakeStep?
                let failure = handshakeFailure { () throws(HandshakeManager.Failure) in
                    step = try pair.receive(side, message, channel)
                }
                if channel == 2, first == 1 {
                    #expect(failure == .duplicateChannel(side.other.id))
                } else {
                    let peer = try #require(pair.verified(side))
                    #expect(step == .completed(peer, superseding: channel == first ? nil : ChannelID(first)))
                }
            }
            #expect(pair.verified(side)?.channel == ChannelID(1))
            #expect(pair.phase(side, 1) == .completed)
            #expect(pair.phase(side, 2) == .failed(.duplicateChannel(side.other.id)))
        }
    }

    @Test("a new channel that the same side dialled supersedes the old", arguments: HandshakePair.Side.allCases)
    func redial(dialler: HandshakePair.Side) throws {
        let pair = try HandshakePair()
        try pair.connect(1, dialledBy: dialler)
        let ready = try pair.runToReady(2, dialledBy: dialler)
        let step = try pair.receive(.beta, ready.beta, 2)
        #expect(step == .completed(try #require(pair.verified(.beta)), superseding: ChannelID(1)))
        // Closing what was superseded takes nothing from what superseded it.
        pair.beta.close(ChannelID(1))
        #expect(pair.verified(.beta)?.channel == ChannelID(2))
    }

    @Test("a second dial of the same peer, or a second session on a channel, is refused")
    func alreadyInProgress() throws {
        let pair = try HandshakePair()
        _ = try pair.initiate(.alpha, 1, dialledBy: .alpha)
        for channel in [UInt64(1), 2] {
            let failure = handshakeFailure { () throws(HandshakeManager.Failure) in
                _ = try pair.initiate(.alpha, channel, dialledBy: .alpha)
            }
            #expect(failure == .alreadyInProgress)
        }
        // Whoever dials in claims an id without proof, and so keeps nobody out.
        _ = try pair.initiate(.alpha, 3, dialledBy: .beta)
        _ = try pair.initiate(.alpha, 4, dialledBy: .beta)
        pair.alpha.close(ChannelID(1))
        _ = try pair.initiate(.alpha, 2, dialledBy: .alpha)
        #expect(pair.unfinished == 3)
    }

    @Test("a server does not dial itself")
    func oneself() throws {
        let pair = try HandshakePair()
        let failure = handshakeFailure { () throws(HandshakeManager.Failure) in
            _ = try pair.initiate(.alpha, 1, dialledBy: .alpha, meaning: HandshakePair.alphaID)
        }
        #expect(failure == .reflected)
    }

    @Test("unfinished handshakes are bounded, and every ending makes room")
    func overloaded() throws {
        let pair = try HandshakePair()
        for channel in 0..<UInt64(Limits.openHandshakes) { _ = try pair.initiate(.alpha, channel, dialledBy: .beta) }
        func next() -> HandshakeManager.Failure? {
            handshakeFailure { () throws(HandshakeManager.Failure) in
                _ = try pair.initiate(.alpha, 10_000, dialledBy: .beta)
            }
        }
        #expect(next() == .overloaded)
        let failure = handshakeFailure { () throws(HandshakeManager.Failure) in _ = try pair.receive(.alpha, [9], 5) }
        #expect(failure != nil)
        #expect(next() == nil)
        pair.alpha.close(ChannelID(6))
        pair.advance(Limits.handshakeTimeout)
        #expect(pair.expire(.alpha).count == Limits.openHandshakes - 1)
        #expect(pair.unfinished == 0)
    }

    // MARK: Time

    @Test("a handshake has thirty seconds, at every stage", arguments: 0..<3)
    func timeout(stage: Int) throws {
        let pair = try HandshakePair()
        let alphaHello = try pair.initiate(.alpha, 1, dialledBy: .alpha)
        let betaHello = try pair.initiate(.beta, 1, dialledBy: .alpha)
        var message = betaHello
        if stage > 0 {
            _ = try pair.receive(.alpha, betaHello, 1)
            message = try sent(try pair.receive(.beta, alphaHello, 1))
        }
        if stage > 1 {
            let other = try HandshakePair()
            let messages = try other.runToReady(1, dialledBy: .alpha)
            _ = try pair.receive(.alpha, message, 1)
            message = messages.alpha
        }
        let deadline = HandshakePair.start.instant + Limits.handshakeTimeout
        #expect(pair.nextDeadline(.alpha) == deadline)
        pair.advance(Limits.handshakeTimeout - .nanoseconds(1))
        #expect(pair.expire(.alpha).isEmpty)
        pair.advance(.nanoseconds(1))
        let failure = handshakeFailure { () throws(HandshakeManager.Failure) in _ = try pair.receive(.alpha, message, 1)
        }
        #expect(failure == .timeout)
        #expect(pair.phase(.alpha, 1) == .failed(.timeout))
        let betaExpired = pair.expire(.beta)
        #expect(betaExpired.map(\.0) == [ChannelID(1)] && betaExpired.map(\.1) == [.timeout])
        #expect(pair.phase(.beta, 1) == .failed(.timeout))
        #expect(pair.nextDeadline(.alpha) == nil && pair.nextDeadline(.beta) == nil)
        #expect(pair.expire(.alpha).isEmpty)
    }

    @Test("what is due expires in the order of the deadlines")
    func expiryOrder() throws {
        let pair = try HandshakePair()
        for channel in [UInt64(5), 3, 9] {
            _ = try pair.initiate(.alpha, channel, dialledBy: .beta)
            pair.advance(.seconds(1))
        }
        pair.advance(Limits.handshakeTimeout - .seconds(2))
        #expect(pair.expire(.alpha).map(\.0) == [ChannelID(5), ChannelID(3)])
        #expect(pair.phase(.alpha, 9) == .initiated)
    }

    @Test("trust expires after a day unless a new handshake renews it")
    func trustExpiry() throws {
        let pair = try HandshakePair()
        try pair.connect(1, dialledBy: .alpha)
        #expect(pair.nextDeadline(.alpha) == pair.now.instant + Limits.trustLifetime)
        pair.advance(Limits.trustLifetime - .seconds(1))
        #expect(pair.verified(.alpha) != nil)
        try pair.connect(2, dialledBy: .alpha)
        pair.advance(.seconds(1))
        #expect(pair.verified(.alpha)?.channel == ChannelID(2))
        #expect(pair.expire(.alpha).isEmpty)
        pair.advance(Limits.trustLifetime - .seconds(1))
        #expect(pair.verified(.alpha) == nil)
        let expired = pair.expire(.alpha)
        #expect(expired.map(\.0) == [ChannelID(2)])
        #expect(expired.map(\.1) == [.trustExpired(HandshakePair.betaID)])
        #expect(pair.phase(.alpha, 2) == .failed(.trustExpired(HandshakePair.betaID)))
    }

    @Test("trust outlives its channel, but not its time")
    func lostChannel() throws {
        let pair = try HandshakePair()
        try pair.connect(1, dialledBy: .alpha)
        pair.alpha.close(ChannelID(1))
        #expect(pair.phase(.alpha, 1) == nil)
        #expect(pair.verified(.alpha) != nil)
        // The other side dials; nothing is left to be a duplicate of.
        let ready = try pair.runToReady(2, dialledBy: .beta)
        let step = try pair.receive(.alpha, ready.alpha, 2)
        #expect(step == .completed(try #require(pair.verified(.alpha)), superseding: nil))
        pair.alpha.close(ChannelID(2))
        pair.advance(Limits.trustLifetime)
        #expect(pair.verified(.alpha) == nil)
    }

    @Test("revoked trust is gone at once, with its channel or without")
    func revoke() throws {
        let pair = try HandshakePair()
        #expect(pair.revoke(.alpha) == nil)
        try pair.connect(1, dialledBy: .alpha)
        #expect(pair.revoke(.alpha) == ChannelID(1))
        #expect(pair.verified(.alpha) == nil)
        #expect(pair.phase(.alpha, 1) == .failed(.suspended(HandshakePair.betaID)))
        #expect(pair.revoke(.alpha) == nil)
        #expect(pair.revoke(.beta) == ChannelID(1))
        try pair.connect(2, dialledBy: .alpha)
        pair.alpha.close(ChannelID(2))
        #expect(pair.revoke(.alpha) == nil)
        #expect(pair.verified(.alpha) == nil)
    }

    // MARK: Failures

    @Test("every failure has a close code, one line for a person, and a code of its own")
    func failures() {
        let beta = HandshakePair.betaID
        let table: [(HandshakeManager.Failure, CloseCode)] = [
            (.alreadyInProgress, .duplicateChannel), (.sessionNotFound, .internalError), (.overloaded, .overloaded),
            (.invalidState("x"), .protocolError), (.malformed("x"), .protocolError), (.oversized(1), .oversized),
            (.incompatibleVersion(.current), .incompatibleVersion), (.noCommonSuite, .noCommonSuite),
            (.clockSkew(.seconds(400)), .clockSkew), (.wrongPeer(expected: beta, actual: beta), .wrongPeer),
            (.untrustedPeer(beta), .untrustedPeer), (.suspended(beta), .suspended), (.wrongKey(beta), .wrongKey),
            (.invalidSignature, .invalidSignature), (.reflected, .reflected), (.badRecord, .badRecord),
            (.timeout, .handshakeTimeout), (.duplicateChannel(beta), .duplicateChannel),
            (.trustExpired(beta), .trustExpired), (.unavailable, .internalError),
        ]
        for (failure, code) in table {
            #expect(failure.closeCode == code)
            #expect(failure.refusal.step == .handshake)
            #expect(!failure.refusal.reason.isEmpty && !failure.refusal.remedy.isEmpty)
            #expect(!failure.refusal.description.contains("\n"))
        }
        #expect(Set(table.map(\.0.refusal.code)).count == table.count)
    }
}
