import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

@Suite("Refusals of handoffs and players")
struct HandoffRefusalTests {
    private static let id = HandoffSamples.id(1)
    private static let player = HandoffSamples.player
    private static let server = ServerID(unchecked: "target")
    private static let hash = ContentHash.of([])

    static let ledgerFailures: [HandoffLedger.Failure] = [
        .notFound(id), .invalidState(id, .committed), .wrongPeer(id, expected: server), .alreadyOpen(player, id),
        .unconfirmed(player),
        .staleEpoch(player, offered: Epoch(1), known: Epoch(2)), .playerMismatch(id), .snapshotTooLarge(9),
        .snapshotHashMismatch(expected: hash, actual: hash), .sameWorld(server), .replayed(id), .timeout(id), .full,
        .invalidReceipt(id), .token(.malformed("x")), .token(.badSignature), .token(.wrongIssuer),
        .token(.wrongAudience), .token(.expired), .token(.notYetValid),
    ]

    static let playerFailures: [PlayerTable.Failure] = [
        .notFound(player), .foreign(player), .frozen(player, id), .departed(player, to: server), .notPlaying(player),
        .wrongWorld(player, actual: HandoffSamples.world), .staleEpoch(player, offered: Epoch(1), known: Epoch(2)),
        .stateTooLarge(9), .full,
    ]

    @Test("every one has a code of its own that may be sent to a peer, and one line each for reason and remedy")
    func codes() {
        let refusals = Self.ledgerFailures.map(\.refusal) + Self.playerFailures.map(\.refusal)
        #expect(Set(refusals.map(\.code)).count == refusals.count)
        for refusal in refusals {
            #expect(Refusal.isCode(refusal.code), "\(refusal.code) cannot be sent to a peer")
            for line in [refusal.reason, refusal.remedy] { #expect(!line.isEmpty && !line.contains("\n")) }
        }
    }

    @Test("whatever a handoff refuses, it names its step", arguments: ledgerFailures)
    func step(_ failure: HandoffLedger.Failure) {
        #expect(failure.refusal.step == .handoff)
    }
}
