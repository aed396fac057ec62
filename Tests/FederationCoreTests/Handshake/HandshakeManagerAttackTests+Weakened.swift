import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

/// The same attacks where one check is missing: they succeed there, and fail where it is put back.
extension HandshakeManagerAttackTests {
    private func refusal(_ side: WeakenedManager, _ message: [UInt8], _ channel: UInt64) -> HandshakeManager.Failure? {
        handshakeFailure { () throws(HandshakeManager.Failure) in _ = try side.receive(message, channel) }
    }

    @Test("a manager that does not wait for Ready trusts a peer that never sends it")
    func readyNeverSentWeakened() throws {
        let complete = try WeakenedPair(without: nil)
        _ = try complete.runToReady(1, dialledBy: .alpha)
        #expect(complete.alpha.trusted == nil)
        let weakened = try WeakenedPair(without: .readyNotAwaited)
        _ = try weakened.runToReady(1, dialledBy: .alpha)
        #expect(weakened.alpha.trusted == 1)
    }

    /// A foreign Ready against a manager; nil when it opened.
    private func answer(to kind: ForeignReady?, without gap: WeakenedManager.Gap?) throws -> HandshakeManager.Failure? {
        let pair = try WeakenedPair(without: gap)
        let ready = try pair.runToReady(1, dialledBy: .alpha)
        let message: [UInt8]? =
            switch kind {
            case .otherChannel: try WeakenedPair(without: gap).runToReady(1, dialledBy: .beta).alpha
            case .reflected: ready.beta
            case .later: try pair.beta.laterReady(1)
            // All that a third party has which signed another's exchange key.
            case nil: [UInt8](repeating: 0, count: ready.alpha.count)
            }
        let failure = refusal(pair.alpha, try #require(message), 1)
        #expect((pair.alpha.trusted == 1) == (failure == nil))
        return failure
    }

    @Test(
        "a manager that does not open Ready trusts under any key",
        arguments: [.otherChannel, .reflected, .later, nil] as [ForeignReady?])
    func readyUnderTheWrongKeyWeakened(kind: ForeignReady?) throws {
        #expect(try answer(to: kind, without: nil) == .badRecord)
        #expect(try answer(to: kind, without: .readyNotOpened) == nil)
    }

    /// A handshake in the midst of which another key is bound to beta's id; nil when alpha trusts beta nevertheless.
    private func answer(to rotation: Rotation, without gap: WeakenedManager.Gap?) throws -> HandshakeManager.Failure? {
        let pair = try WeakenedPair(without: gap)
        let newKey = try ServerIdentity(id: HandshakePair.betaID, seed: [UInt8](repeating: 7, count: 32)).publicKey
        let signatures = try pair.runToSignature(1, dialledBy: .alpha)
        let ready = try pair.beta.receive(signatures.beta, 1)
        if rotation == .beforeSignature { pair.alpha.bound = newKey }
        if let failure = refusal(pair.alpha, signatures.alpha, 1) { return failure }
        pair.alpha.bound = newKey
        let failure = refusal(pair.alpha, try #require(ready), 1)
        #expect((pair.alpha.trusted == 1) == (failure == nil))
        return failure
    }

    @Test("a manager that asks for the key once trusts one that was rotated away from", arguments: Rotation.allCases)
    func rotatedKeyWeakened(rotation: Rotation) throws {
        #expect(try answer(to: rotation, without: nil) == .wrongKey(HandshakePair.betaID))
        #expect(try answer(to: rotation, without: .keyAskedOnce) == nil)
    }

    @Test("two managers that keep the first channel keep different ones, and each closes the other's")
    func simultaneousDialsWeakened() throws {
        for gap in [nil, WeakenedManager.Gap.firstChannelStays] {
            let pair = try WeakenedPair(without: gap)
            let one = try pair.runToReady(1, dialledBy: .alpha)
            let two = try pair.runToReady(2, dialledBy: .beta)
            _ = try pair.alpha.receive(one.alpha, 1)
            _ = try pair.beta.receive(two.beta, 2)
            #expect(refusal(pair.alpha, two.alpha, 2) == .duplicateChannel(HandshakePair.betaID))
            let failure = refusal(pair.beta, one.beta, 1)
            #expect(failure == (gap == nil ? nil : .duplicateChannel(HandshakePair.alphaID)))
            #expect(pair.alpha.trusted == 1 && pair.beta.trusted == (gap == nil ? 1 : 2))
        }
    }
}
