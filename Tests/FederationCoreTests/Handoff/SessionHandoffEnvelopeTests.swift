import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

@Suite("SessionHandoffEnvelope")
struct SessionHandoffEnvelopeTests {
    private let samples = HandoffSamples.shared

    private func receive(
        _ compact: String, snapshot: [UInt8] = HandoffSamples.snapshot, handoff: UInt8 = 1,
        from peer: VerifiedPeer? = nil,
        audience: ServerID? = nil, at time: Duration = .zero
    ) throws -> SessionHandoffEnvelope {
        try SessionHandoffEnvelope(
            receiving: compact, snapshot: snapshot, handoff: HandoffSamples.id(handoff),
            from: peer ?? samples.verifiedSource, audience: audience ?? samples.destination.id,
            at: HandoffSamples.at(time).timestamp)
    }

    @Test("holds a token that the peer signed for this server, and the state that the token names")
    func accepted() throws {
        let compact = samples.token().issue(by: samples.source)
        let envelope = try receive(compact)
        #expect(envelope.token == samples.token())
        #expect(envelope.compact == compact)
        #expect(envelope.snapshot == HandoffSamples.snapshot)
        #expect(try receive(samples.token(snapshot: []).issue(by: samples.source), snapshot: []).snapshot.isEmpty)
    }

    @Test("a state over a mebibyte is refused before anything is looked at")
    func tooLarge() {
        #expect(throws: HandoffLedger.Failure.snapshotTooLarge(Limits.snapshotBytes + 1)) {
            try receive("not even a token", snapshot: [UInt8](repeating: 0, count: Limits.snapshotBytes + 1))
        }
    }

    @Test("a state that is not the token's is refused")
    func otherState() {
        let other = Array("a lamp and 300 coins".utf8)
        #expect(
            throws: HandoffLedger.Failure.snapshotHashMismatch(
                expected: ContentHash.of(HandoffSamples.snapshot), actual: ContentHash.of(other))
        ) { try receive(samples.token().issue(by: samples.source), snapshot: other) }
    }

    @Test("a token of another handoff is refused")
    func otherHandoff() {
        #expect(throws: HandoffLedger.Failure.playerMismatch(HandoffSamples.id(2))) {
            try receive(samples.token(1).issue(by: samples.source), handoff: 2)
        }
    }

    @Test("a token that leads back to the server that issued it is refused")
    func sameWorld() {
        #expect(throws: HandoffLedger.Failure.sameWorld(samples.source.id)) {
            try receive(
                samples.token(audience: samples.source.id).issue(by: samples.source), audience: samples.source.id)
        }
    }

    @Test("the token's own refusals are told as they are")
    func token() throws {
        let compact = samples.token().issue(by: samples.source)
        let forger = try ServerIdentity(id: samples.source.id, seed: [UInt8](repeating: 77, count: 32))
        let lifetime = Limits.tokenLifetime + Limits.tokenLeeway
        let elsewhere = samples.token(audience: ServerID(unchecked: "elsewhere")).issue(by: samples.source)
        let early = samples.token(issuedAt: .seconds(60)).issue(by: samples.source)
        #expect(throws: HandoffLedger.Failure.token(.badSignature)) {
            try receive(samples.token().issue(by: forger))
        }
        #expect(throws: HandoffLedger.Failure.token(.wrongAudience)) { try receive(elsewhere) }
        #expect(throws: HandoffLedger.Failure.token(.expired)) { try receive(compact, at: lifetime + .seconds(1)) }
        #expect(throws: HandoffLedger.Failure.token(.notYetValid)) { try receive(early) }
        #expect(throws: HandoffLedger.Failure.token(.badSignature)) {
            // The destination's own key proves nothing about the source.
            try receive(compact, from: samples.verifiedDestination)
        }
        #expect(throws: HandoffLedger.Failure.self) { try receive("a.b.c") }
        #expect(try receive(compact, at: lifetime - .seconds(2)).token == samples.token())
    }
}
