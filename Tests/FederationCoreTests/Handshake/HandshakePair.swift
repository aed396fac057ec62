import FederationCrypto
import FederationModel
import FederationWire

@testable import FederationCore

/// Two servers with a handshake manager each, and channels between them. `alpha` has the lower id. A class, because
/// the macros of the testing library cannot look into what cannot be copied.
final class HandshakePair {
    static let alphaID = ServerID(unchecked: "alpha")
    static let betaID = ServerID(unchecked: "beta")
    static let start = Now(instant: Instant(nanoseconds: 0), timestamp: Timestamp(seconds: 1_800_000_000))

    enum Side: CaseIterable {
        case alpha
        case beta

        var other: Side { self == .alpha ? .beta : .alpha }
        var id: ServerID { self == .alpha ? HandshakePair.alphaID : HandshakePair.betaID }
    }

    let alphaIdentity: ServerIdentity
    let betaIdentity: ServerIdentity
    var alpha: HandshakeManager
    var beta: HandshakeManager
    var now = HandshakePair.start
    /// What each side's trust policy says of the other.
    var alphaTrust: PeerTrust
    var betaTrust: PeerTrust
    private var draws: UInt8 = 0

    convenience init() throws {
        try self.init(
            ServerIdentity(id: Self.alphaID, seed: [UInt8](repeating: 1, count: 32)),
            ServerIdentity(id: Self.betaID, seed: [UInt8](repeating: 2, count: 32)))
    }

    private init(_ alphaIdentity: ServerIdentity, _ betaIdentity: ServerIdentity) {
        self.alphaIdentity = alphaIdentity
        self.betaIdentity = betaIdentity
        alpha = HandshakeManager(identity: alphaIdentity)
        beta = HandshakeManager(identity: betaIdentity)
        alphaTrust = .bound(betaIdentity.publicKey)
        betaTrust = .bound(alphaIdentity.publicKey)
    }

    func entropy() -> HandshakeEntropy {
        draws &+= 1
        return HandshakeEntropy(
            x25519: [UInt8](repeating: draws, count: 32), mlkem: [UInt8](repeating: draws, count: 64))
    }

    func advance(_ duration: Duration) {
        now = Now(instant: now.instant + duration, timestamp: now.timestamp + duration)
    }

    /// Opens a session on one side only and returns its Hello.
    func initiate(
        _ side: Side, _ channel: UInt64, dialledBy dialler: Side, meaning peer: ServerID? = nil
    ) throws(HandshakeManager.Failure) -> [UInt8] {
        let entropy = entropy()
        let direction: ChannelDirection = side == dialler ? .outgoing : .incoming
        let expected = peer ?? (side == dialler ? side.other.id : nil)
        switch side {
        case .alpha:
            return try alpha.initiate(
                ChannelID(channel), direction: direction, expecting: expected, entropy: entropy, at: now)
        case .beta:
            return try beta.initiate(
                ChannelID(channel), direction: direction, expecting: expected, entropy: entropy, at: now)
        }
    }

    func receive(_ side: Side, _ message: [UInt8], _ channel: UInt64) throws(HandshakeManager.Failure) -> HandshakeStep
    {
        switch side {
        case .alpha:
            let trust = alphaTrust
            return try alpha.receive(message, on: ChannelID(channel), at: now) { $0 == Self.betaID ? trust : .unknown }
        case .beta:
            let trust = betaTrust
            return try beta.receive(message, on: ChannelID(channel), at: now) { $0 == Self.alphaID ? trust : .unknown }
        }
    }

    /// Opens a channel and runs it until each side has the other's Ready in hand, not yet delivered. Returns the
    /// Ready for alpha and the one for beta.
    func runToReady(_ channel: UInt64, dialledBy dialler: Side) throws -> (alpha: [UInt8], beta: [UInt8]) {
        let alphaHello = try initiate(.alpha, channel, dialledBy: dialler)
        let betaHello = try initiate(.beta, channel, dialledBy: dialler)
        let alphaSignature = try sent(try receive(.alpha, betaHello, channel))
        let betaSignature = try sent(try receive(.beta, alphaHello, channel))
        let alphaReady = try sent(try receive(.alpha, betaSignature, channel))
        let betaReady = try sent(try receive(.beta, alphaSignature, channel))
        return (alpha: betaReady, beta: alphaReady)
    }

    /// Opens a channel and completes it on both sides.
    func connect(_ channel: UInt64, dialledBy dialler: Side) throws {
        let ready = try runToReady(channel, dialledBy: dialler)
        _ = try receive(.alpha, ready.alpha, channel)
        _ = try receive(.beta, ready.beta, channel)
    }

    func expire(_ side: Side) -> [(ChannelID, HandshakeManager.Failure)] {
        switch side {
        case .alpha: alpha.expire(at: now)
        case .beta: beta.expire(at: now)
        }
    }

    func revoke(_ side: Side) -> ChannelID? {
        switch side {
        case .alpha: alpha.revoke(Self.betaID)
        case .beta: beta.revoke(Self.alphaID)
        }
    }

    func nextDeadline(_ side: Side) -> Instant? {
        switch side {
        case .alpha: alpha.nextDeadline
        case .beta: beta.nextDeadline
        }
    }

    var unfinished: Int { alpha.unfinishedCount }

    func phase(_ side: Side, _ channel: UInt64) -> HandshakePhase? {
        switch side {
        case .alpha: alpha.phase(of: ChannelID(channel))
        case .beta: beta.phase(of: ChannelID(channel))
        }
    }

    func verified(_ side: Side) -> VerifiedPeer? {
        switch side {
        case .alpha: alpha.verifiedPeer(Self.betaID, at: now)
        case .beta: beta.verifiedPeer(Self.alphaID, at: now)
        }
    }
}

struct UnexpectedStep: Error {
    let step: HandshakeStep
}

/// The message of a `send` step.
func sent(_ step: HandshakeStep) throws -> [UInt8] {
    guard case .send(let message) = step else { throw UnexpectedStep(step: step) }
    return message
}

/// The failure that `body` throws; nil when it throws none.
func handshakeFailure(
    _ body: () throws(HandshakeManager.Failure) -> Void
) -> HandshakeManager.Failure? {
    do {
        try body()
        return nil
    } catch {
        return error
    }
}
