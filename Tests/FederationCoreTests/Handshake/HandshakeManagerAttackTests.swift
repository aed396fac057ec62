import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

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

    @Test("an allowed third party that signs another's exchange key is never trusted, as it cannot make a Ready")
    func unknownKeyShare() throws {
        let pair = try HandshakePair()
        let ready = try pair.runToReady(1, dialledBy: .alpha)
        // Whatever is not sealed with the channel's keys: the third party has nothing better.
        let failure = refusal(pair, .alpha, [UInt8](repeating: 0, count: ready.alpha.count), 1)
        #expect(failure == .badRecord && failure?.closeCode == .badRecord)
        #expect(pair.verified(.alpha) == nil)
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
