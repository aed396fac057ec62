import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

@Suite("Handshake manager: every message in every state, every answer of trust policy")
struct HandshakeManagerStateTests {
    enum State: CaseIterable {
        case awaitingHello
        case awaitingSignature
        case awaitingReady
        case completed
        case failed
    }

    enum Message: CaseIterable {
        case hello
        case signature
        case ready
        case garbage
        case nothing
        case tooLong
    }

    /// A pair with alpha in `state`, and what beta sends.
    struct Scene {
        let pair: HandshakePair
        let messages: [Message: [UInt8]]

        init(_ state: State) throws {
            let pair = try HandshakePair()
            let alphaHello = try pair.initiate(.alpha, 1, dialledBy: .alpha)
            let hello = try pair.initiate(.beta, 1, dialledBy: .alpha)
            let signature = try sent(try pair.receive(.beta, alphaHello, 1))
            var ready = [UInt8](repeating: 7, count: 40)
            if state != .awaitingHello {
                let alphaSignature = try sent(try pair.receive(.alpha, hello, 1))
                ready = try sent(try pair.receive(.beta, alphaSignature, 1))
            }
            if state == .awaitingReady || state == .completed { _ = try pair.receive(.alpha, signature, 1) }
            if state == .completed { _ = try pair.receive(.alpha, ready, 1) }
            if state == .failed { _ = try? pair.receive(.alpha, [], 1) }
            self.pair = pair
            messages = [
                .hello: hello, .signature: signature, .ready: ready, .garbage: [UInt8](repeating: 0xAB, count: 64),
                .nothing: [],
                .tooLong: [UInt8](repeating: 1, count: Limits.handshakeMessageBytes + 1),
            ]
        }
    }

    static func due(in state: State) -> Message? {
        switch state {
        case .awaitingHello: .hello
        case .awaitingSignature: .signature
        case .awaitingReady: .ready
        case .completed, .failed: nil
        }
    }

    static let afterFailure = HandshakeManager.Failure.invalidState("a message after the handshake had failed")

    /// Why `message` is refused in `state`; nil where it is due.
    static func refusal(of message: Message, _ bytes: [UInt8], in state: State) -> HandshakeManager.Failure? {
        if message == due(in: state) { return nil }
        func kind(_ due: String) -> HandshakeManager.Failure {
            bytes.first.map { .invalidState("a message of kind \($0) where \(due) is due") }
                ?? .malformed("the kind of message is cut short")
        }
        switch (state, message) {
        case (.completed, _): return .invalidState("a handshake message after the end of the handshake")
        case (.failed, _): return afterFailure
        case (_, .tooLong): return .oversized(bytes.count)
        case (.awaitingHello, _): return kind("Hello")
        case (.awaitingSignature, _): return kind("Signature")
        // From here on everything is a record.
        case (.awaitingReady, _): return .badRecord
        }
    }

    /// What the peer is told.
    static func closeCode(of message: Message, in state: State) -> CloseCode {
        switch (state, message) {
        case (.completed, _), (.failed, _): .protocolError
        case (_, .tooLong): .oversized
        case (.awaitingHello, _), (.awaitingSignature, _): .protocolError
        case (.awaitingReady, _): .badRecord
        }
    }

    @Test(
        "only what is due is taken; everything else fails the channel for good", arguments: State.allCases,
        Message.allCases)
    func table(state: State, message: Message) throws {
        let scene = try Scene(state)
        let bytes = try #require(scene.messages[message])
        let failure = handshakeFailure { () throws(HandshakeManager.Failure) in
            _ = try scene.pair.receive(.alpha, bytes, 1)
        }
        if message == Self.due(in: state) {
            #expect(failure == nil)
            return
        }
        let refusal = try #require(failure)
        #expect(refusal.closeCode == Self.closeCode(of: message, in: state))
        // A record may begin like any message; then it is its next field that does not fit.
        if message != .ready || bytes[0] > 2 { #expect(refusal == Self.refusal(of: message, bytes, in: state)) }
        #expect(scene.pair.verified(.alpha) == nil)
        #expect(scene.pair.unfinished == 0)
        guard case .failed = scene.pair.phase(.alpha, 1) else {
            Issue.record("\(state) \(message) \(refusal)")
            return
        }
        for later in Message.allCases {
            let bytes = try #require(scene.messages[later])
            let failure = handshakeFailure { () throws(HandshakeManager.Failure) in
                _ = try scene.pair.receive(.alpha, bytes, 1)
            }
            #expect(failure == Self.afterFailure, "\(state) \(message) then \(later)")
        }
        scene.pair.alpha.close(ChannelID(1))
        let gone = handshakeFailure { () throws(HandshakeManager.Failure) in
            _ = try scene.pair.receive(.alpha, bytes, 1)
        }
        #expect(gone == .sessionNotFound)
    }

    @Test("a failed handshake keeps the reason that it failed for")
    func firstReason() throws {
        let scene = try Scene(.awaitingSignature)
        let bytes = try #require(scene.messages[.hello])
        for _ in 0..<2 {
            _ = handshakeFailure { () throws(HandshakeManager.Failure) in _ = try scene.pair.receive(.alpha, bytes, 1) }
        }
        guard case .failed(.invalidState(let reason)) = scene.pair.phase(.alpha, 1) else {
            Issue.record("\(String(describing: scene.pair.phase(.alpha, 1)))")
            return
        }
        #expect(reason.contains("Signature is due"))
    }

    struct Policy: Sendable {
        let trust: PeerTrust
        let failure: HandshakeManager.Failure
    }

    static let policies =
        [
            Policy(trust: .unknown, failure: .untrustedPeer(HandshakePair.betaID)),
            Policy(trust: .suspended, failure: .suspended(HandshakePair.betaID)),
        ]
        + [PublicKey(bytes: [UInt8](repeating: 9, count: 32))].compactMap(\.self).map {
            Policy(trust: .bound($0), failure: .wrongKey(HandshakePair.betaID))
        }

    @Test(
        "trust policy is asked at every message, so what changes in between counts", arguments: policies,
        [State.awaitingHello, .awaitingSignature, .awaitingReady])
    func policy(policy: Policy, state: State) throws {
        let scene = try Scene(state)
        scene.pair.alphaTrust = policy.trust
        let due = try #require(Self.due(in: state))
        let bytes = try #require(scene.messages[due])
        let failure = handshakeFailure { () throws(HandshakeManager.Failure) in
            _ = try scene.pair.receive(.alpha, bytes, 1)
        }
        if case .bound = policy.trust, state == .awaitingHello {
            // No key has been proved yet.
            #expect(failure == nil)
        } else {
            #expect(failure == policy.failure)
        }
        #expect(scene.pair.verified(.alpha) == nil)
    }

    /// A peer that follows the handshake but says something else where Ready is due.
    static let frames: [(FederationFrame?, HandshakeManager.Failure?)] =
        firstFrames
        + ChannelStateTests.table.map(\.frame).filter { ChannelStateTests.Kind($0) != .ready }.map {
            ($0, .malformed("the first record is not Ready"))
        }

    private static let firstFrames: [(FederationFrame?, HandshakeManager.Failure?)] = [
        (.ready(FederationFrame.Ready(server: HandshakePair.betaID)), nil),
        (
            .ready(FederationFrame.Ready(server: ServerID(unchecked: "gamma"))),
            .wrongPeer(expected: HandshakePair.betaID, actual: ServerID(unchecked: "gamma"))
        ),
        (nil, .malformed("the first record is not Ready")),
    ]

    @Test("the first record must be the peer's own Ready", arguments: frames)
    func firstRecord(frame: FederationFrame?, expected: HandshakeManager.Failure?) throws {
        let pair = try HandshakePair()
        let alphaHello = try pair.initiate(.alpha, 1, dialledBy: .alpha)
        var peer = try Handshake(
            identity: pair.betaIdentity, expecting: nil, configuration: HandshakeConfiguration(),
            entropy: pair.entropy(),
            at: pair.now.timestamp)
        let alphaSignature = try sent(try pair.receive(.alpha, peer.helloMessage, 1))
        let signature = try peer.receive(hello: alphaHello, at: pair.now.timestamp)
        _ = try pair.receive(.alpha, signature, 1)
        _ = try peer.receive(signature: alphaSignature)
        var records = try peer.complete(trusting: pair.alphaIdentity.publicKey).records()
        let bytes = try frame.map { try FrameCodec.encode($0) } ?? [0xFF, 0xFF]
        let record = try records.seal(bytes, at: pair.now.instant)[0]
        let failure = handshakeFailure { () throws(HandshakeManager.Failure) in _ = try pair.receive(.alpha, record, 1)
        }
        #expect(failure == expected)
        #expect((pair.verified(.alpha) != nil) == (expected == nil))
    }

    @Test("a peer without the keys cannot make a Ready")
    func forgedReady() throws {
        let scene = try Scene(.awaitingReady)
        var ready = try #require(scene.messages[.ready])
        ready[0] ^= 1
        let failure = handshakeFailure { () throws(HandshakeManager.Failure) in
            _ = try scene.pair.receive(.alpha, ready, 1)
        }
        #expect(failure == .badRecord)
        #expect(scene.pair.verified(.alpha) == nil)
    }
}
