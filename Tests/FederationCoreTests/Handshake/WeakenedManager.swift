import FederationCrypto
import FederationModel
import FederationWire

@testable import FederationCore

/// A handshake manager on the real handshake and the real records, from which one check can be left out. With none left
/// out it refuses what the real one refuses: the gap, and nothing else, lets an attack through.
final class WeakenedManager {
    enum Gap {
        /// A peer is trusted when its Signature verifies.
        case readyNotAwaited
        /// Whatever comes behind the Signature counts as Ready, unopened.
        case readyNotOpened
        /// The key that is bound to a peer's id is asked for at its Hello, and not again.
        case keyAskedOnce
        /// The first channel with a peer stays, whoever dialled it.
        case firstChannelStays
    }

    private enum Stage: ~Copyable {
        case awaitingHello(Handshake)
        case awaitingSignature(Handshake, bound: PublicKey)
        case awaitingReady(RecordLayer, Handshake.PeerClaim)
        case over
    }

    private final class Session {
        let direction: ChannelDirection
        private var stage: Stage

        init(_ direction: ChannelDirection, _ handshake: consuming Handshake) {
            self.direction = direction
            stage = .awaitingHello(handshake)
        }

        func become(_ next: consuming Stage) { stage = next }

        func takeStage() -> Stage {
            var taken = Stage.over
            swap(&taken, &stage)
            return taken
        }
    }

    private let identity: ServerIdentity
    private let gap: Gap?
    /// What is bound to the other server's id now.
    var bound: PublicKey
    private var sessions: [UInt64: Session] = [:]
    /// The channel on which the other server is trusted.
    private(set) var trusted: UInt64?

    init(identity: ServerIdentity, bound: PublicKey, without gap: Gap?) {
        self.identity = identity
        self.bound = bound
        self.gap = gap
    }

    func initiate(
        _ channel: UInt64, _ direction: ChannelDirection, entropy: consuming HandshakeEntropy
    ) throws -> [UInt8] {
        let handshake = try Handshake(
            identity: identity, expecting: nil, configuration: HandshakeConfiguration(), entropy: entropy,
            at: HandshakePair.start.timestamp)
        let hello = handshake.helloMessage
        sessions[channel] = Session(direction, handshake)
        return hello
    }

    /// What to send, unless the handshake is over.
    func receive(_ message: [UInt8], _ channel: UInt64) throws(HandshakeManager.Failure) -> [UInt8]? {
        guard let session = sessions[channel] else { throw .sessionNotFound }
        do {
            return try advance(session, with: message, channel)
        } catch let failure as Handshake.Failure {
            throw HandshakeManager.Failure(failure)
        } catch let failure as RecordLayer.Failure {
            throw HandshakeManager.Failure(failure)
        } catch let failure as HandshakeManager.Failure {
            throw failure
        } catch {
            throw .malformed("\(error)")
        }
    }

    private func advance(_ session: Session, with message: [UInt8], _ channel: UInt64) throws -> [UInt8]? {
        switch session.takeStage() {
        case .awaitingHello(var handshake):
            let signature = try handshake.receive(hello: message, at: HandshakePair.start.timestamp)
            session.become(.awaitingSignature(handshake, bound: bound))
            return signature
        case .awaitingSignature(var handshake, let boundAtHello):
            let claim = try handshake.receive(signature: message)
            let key = gap == .keyAskedOnce ? boundAtHello : bound
            var records = try handshake.complete(trusting: key).records()
            let ready = try records.seal(
                try FrameCodec.encode(HandshakeComplete(server: identity.id).frame), at: HandshakePair.start.instant)
            session.become(.awaitingReady(records, claim))
            if gap == .readyNotAwaited { try trust(claim, channel, session.direction) }
            return ready[0]
        case .awaitingReady(var records, let claim):
            if gap != .readyNotOpened { _ = try records.open(message) }
            if gap != .keyAskedOnce, bound != claim.publicKey {
                throw HandshakeManager.Failure.wrongKey(claim.server)
            }
            try trust(claim, channel, session.direction)
            return nil
        case .over:
            throw HandshakeManager.Failure.invalidState("a message after the handshake")
        }
    }

    private func trust(_ claim: Handshake.PeerClaim, _ channel: UInt64, _ direction: ChannelDirection) throws {
        let lower: ChannelDirection = identity.id < claim.server ? .outgoing : .incoming
        guard trusted == nil || (gap != .firstChannelStays && direction == lower) else {
            throw HandshakeManager.Failure.duplicateChannel(claim.server)
        }
        trusted = channel
    }

    /// One more record with this server's Ready in it, behind those that were sent.
    func laterReady(_ channel: UInt64) throws -> [UInt8]? {
        guard let session = sessions[channel], case .awaitingReady(var records, let claim) = session.takeStage() else {
            return nil
        }
        let record = try records.seal(
            try FrameCodec.encode(HandshakeComplete(server: identity.id).frame), at: HandshakePair.start.instant)[0]
        session.become(.awaitingReady(records, claim))
        return record
    }
}

/// Two servers with such a manager each; `alpha` has the lower id.
struct WeakenedPair {
    let alpha: WeakenedManager
    let beta: WeakenedManager
    private let real: HandshakePair

    init(without gap: WeakenedManager.Gap?) throws {
        real = try HandshakePair()
        alpha = WeakenedManager(identity: real.alphaIdentity, bound: real.betaIdentity.publicKey, without: gap)
        beta = WeakenedManager(identity: real.betaIdentity, bound: real.alphaIdentity.publicKey, without: gap)
    }

    /// Opens a channel that alpha has dialled, or beta, and runs it until each side is owed the other's Signature.
    func runToSignature(
        _ channel: UInt64, dialledBy dialler: HandshakePair.Side
    ) throws -> (alpha: [UInt8], beta: [UInt8]) {
        let alphaHello = try alpha.initiate(
            channel, dialler == .alpha ? .outgoing : .incoming, entropy: real.entropy())
        let betaHello = try beta.initiate(channel, dialler == .beta ? .outgoing : .incoming, entropy: real.entropy())
        let alphaSignature = try alpha.receive(betaHello, channel)
        let betaSignature = try beta.receive(alphaHello, channel)
        return (alpha: betaSignature ?? [], beta: alphaSignature ?? [])
    }

    /// The same until each side is owed the other's Ready.
    func runToReady(
        _ channel: UInt64, dialledBy dialler: HandshakePair.Side
    ) throws -> (alpha: [UInt8], beta: [UInt8]) {
        let signatures = try runToSignature(channel, dialledBy: dialler)
        let alphaReady = try alpha.receive(signatures.alpha, channel)
        let betaReady = try beta.receive(signatures.beta, channel)
        return (alpha: betaReady ?? [], beta: alphaReady ?? [])
    }
}
