import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

/// Who may put another key in the place of a server's key, and who may not.
@Suite("KeyBinding")
struct KeyBindingTests {
    struct Case: CustomTestStringConvertible {
        let testDescription: String
        let card: () throws -> ServerCard
        /// The change, or the code of the refusal.
        let outcome: String

        init(_ description: String, _ outcome: String, _ card: @autoclosure @escaping () throws -> ServerCard) {
            testDescription = description
            self.card = card
            self.outcome = outcome
        }
    }

    private static func outcome(_ binding: inout KeyBinding, _ card: ServerCard) -> String {
        do {
            switch try binding.accept(card, at: KeyLine.start) {
            case .none: return "none"
            case .committed: return "committed"
            case .rotated: return "rotated"
            case .revoked: return "revoked"
            }
        } catch {
            return error.refusal.code
        }
    }

    /// Against key 1, which has committed to key 2 and to the recovery key 100.
    private nonisolated(unsafe) static let cases: [Case] = [
        Case("the same key says the same", "none", try KeyLine.card(1, next: 2)),
        Case("another key without a word of the first", "server.keyMismatch", try KeyLine.card(2, next: 3)),
        Case(
            "the committed key, signed by both", "rotated",
            try KeyLine.card(2, next: 3, rotations: [KeyLine.rotation(1, 2, next: 3)])),
        Case(
            "a thief of the present key rotates to a key of their own", "key.notCommitted",
            try KeyLine.card(7, next: 8, rotations: [KeyLine.rotation(1, 7, next: 8)])),
        Case(
            "a thief of the present key puts their own next key in place", "key.commitmentChanged",
            try KeyLine.card(1, next: 7)),
        Case(
            "a thief of the present key takes the commitment back", "key.commitmentChanged",
            try KeyLine.card(1, next: nil)),
        Case(
            "a thief of the present key names another recovery key", "key.commitmentChanged",
            try KeyLine.card(1, next: 2, recovery: 107)),
        Case(
            "the next key alone, with a rotation that it has signed itself", "server.keyMismatch",
            try KeyLine.card(2, next: 3, rotations: [KeyLine.rotation(2, 2, next: 3)])),
        Case(
            "two rotations at once", "rotated",
            try KeyLine.card(
                3, next: 4, rotations: [KeyLine.rotation(1, 2, next: 3), KeyLine.rotation(2, 3, next: 4)])),
        Case(
            "the second of two rotations is not the committed one", "key.notCommitted",
            try KeyLine.card(
                7, next: 4, rotations: [KeyLine.rotation(1, 2, next: 3), KeyLine.rotation(2, 7, next: 4)])),
        Case(
            "older rotations stand before the one that matters", "rotated",
            try KeyLine.card(
                2, next: 3, rotations: [KeyLine.rotation(9, 1, next: 2), KeyLine.rotation(1, 2, next: 3)])),
        Case(
            "the new key commits to another than the old one said", "key.commitmentChanged",
            try KeyLine.card(2, next: 7, rotations: [KeyLine.rotation(1, 2, next: 3)])),
        Case(
            "the rotation drops the recovery key", "key.commitmentChanged",
            try KeyLine.card(2, next: 3, recovery: nil, rotations: [KeyLine.rotation(1, 2, next: 3)])),
        Case(
            "a rotation that another id has signed", "key.badRotation",
            try {
                let foreign = KeyRotation(
                    issuer: ServerID(unchecked: "gamma"), to: try KeyLine.identity(2).publicKey,
                    next: try KeyLine.hash(3), issuedAt: KeyLine.start
                ).issue(by: try KeyLine.identity(1, of: ServerID(unchecked: "gamma")))
                return try KeyLine.card(2, next: 3, rotations: [foreign])
            }()),
        Case(
            "the recovery key puts a new key in place, commitments or not", "revoked",
            try KeyLine.card(
                5, next: 6, revocation: KeyLine.revocation(to: 5, next: 6))),
        Case(
            "a rotation behind a revocation", "revoked",
            try KeyLine.card(
                6, next: 7, rotations: [KeyLine.rotation(5, 6, next: 7)],
                revocation: KeyLine.revocation(to: 5, next: 6))),
        Case(
            "a revocation by a key that was never the recovery key", "server.keyMismatch",
            try KeyLine.card(5, next: 6, revocation: KeyLine.revocation(by: 101, to: 5, next: 6))),
        Case(
            "a card after the id was revoked for good", "key.revoked",
            try KeyLine.card(5, next: 6, revocation: KeyLine.revocation(to: nil))),
    ]

    @Test("a card changes the key only when the key before it, or the recovery key, says so", arguments: cases.indices)
    func cards(index: Int) throws {
        let sample = Self.cases[index]
        var binding = try KeyLine.binding()
        let before = binding
        let card = try sample.card()
        let outcome = Self.outcome(&binding, card)
        #expect(outcome == sample.outcome, "\(sample.testDescription)")
        switch outcome {
        case "none": #expect(binding == before)
        case "rotated", "revoked": #expect(binding.key == card.publicKey && binding.commitment == card.commitment)
        default: #expect(binding == before, "what is refused changes nothing: \(sample.testDescription)")
        }
    }

    @Test("after a rotation the old key counts for an hour, and can never come back")
    func overlap() throws {
        var binding = try KeyLine.binding()
        let old = binding.key
        _ = try binding.accept(
            try KeyLine.card(2, next: 3, rotations: [KeyLine.rotation(1, 2, next: 3)]), at: KeyLine.start)
        #expect(binding.accepts(old, at: KeyLine.start + Limits.keyOverlap + .milliseconds(-1)))
        #expect(!binding.accepts(old, at: KeyLine.start + Limits.keyOverlap))
        #expect(Self.outcome(&binding, try KeyLine.card(1, next: 2)) == "key.retiredKey")
    }

    @Test("a revocation is obeyed at once, whatever rotated before: nothing signed by an earlier key counts")
    func revocation() throws {
        var binding = try KeyLine.binding()
        _ = try binding.accept(
            try KeyLine.card(2, next: 3, rotations: [KeyLine.rotation(1, 2, next: 3)]), at: KeyLine.start)
        let change = try binding.accept(
            revocation: try KeyLine.revocation(to: 5, next: 6, recovery: 101), at: KeyLine.start)
        #expect(change == .revoked(from: try KeyLine.identity(2).publicKey))
        for number in [1, 2] as [UInt8] {
            #expect(!binding.accepts(try KeyLine.identity(number).publicKey, at: KeyLine.start))
        }
        // The recovery key that was replaced is worth nothing now; the new one is.
        #expect(throws: KeyBinding.Failure.self) {
            try binding.accept(revocation: try KeyLine.revocation(number: 2, to: 7), at: KeyLine.start)
        }
        let last = try binding.accept(
            revocation: try KeyLine.revocation(by: 101, number: 2, to: nil), at: KeyLine.start)
        #expect(last == .revoked(from: try KeyLine.identity(5).publicKey))
        #expect(binding.isDead && !binding.accepts(binding.key, at: KeyLine.start))
    }

    @Test("a revocation with a lower number is refused, and one that is repeated does nothing")
    func numbers() throws {
        var binding = try KeyLine.binding()
        let second = try KeyLine.revocation(number: 2, to: 5, next: 6)
        #expect(try binding.accept(revocation: second, at: KeyLine.start) != .none)
        #expect(try binding.accept(revocation: second, at: KeyLine.start) == .none)
        #expect(
            try binding.accept(revocation: try KeyLine.revocation(by: 107, number: 2, to: 7), at: KeyLine.start)
                == .none)
        #expect(throws: KeyBinding.Failure.oldRevocation(KeyLine.id)) {
            try binding.accept(revocation: try KeyLine.revocation(number: 1, to: 7), at: KeyLine.start)
        }
        #expect(binding.key == (try KeyLine.identity(5).publicKey))
    }

    @Test("whoever has missed more rotations than a card shows follows by a revocation, and in no other way")
    func missedRotations() throws {
        var binding = try KeyLine.binding()
        let before = binding
        let rotations = try (3...6 as ClosedRange<UInt8>).map { try KeyLine.rotation($0, $0 + 1, next: $0 + 2) }
        #expect(rotations.count == ServerCard.maximumRotations)
        #expect(Self.outcome(&binding, try KeyLine.card(7, next: 8, rotations: rotations)) == "server.keyMismatch")
        #expect(binding == before)
        let change = try binding.accept(revocation: try KeyLine.revocation(to: 9, next: 10), at: KeyLine.start)
        #expect(change == .revoked(from: before.key))
        #expect(binding.key == (try KeyLine.identity(9).publicKey))
        // Where no recovery key is known nothing leads on.
        #expect(KeyBinding.Failure.noRecovery(KeyLine.id).refusal.remedy.contains("new id"))
    }

    @Test("a server that had committed to nothing may do so once")
    func firstCommitment() throws {
        var binding = try KeyBinding(first: try KeyLine.card(1, next: nil, recovery: nil), at: KeyLine.start)
        #expect(Self.outcome(&binding, try KeyLine.card(1, next: 2)) == "committed")
        #expect(Self.outcome(&binding, try KeyLine.card(1, next: 3)) == "key.commitmentChanged")
        #expect(throws: KeyBinding.Failure.self) {
            var unprotected = try KeyBinding(first: try KeyLine.card(1, next: nil, recovery: nil), at: KeyLine.start)
            _ = try unprotected.accept(revocation: try KeyLine.revocation(to: 5), at: KeyLine.start)
        }
    }

    @Test("of a server that rotates for ever, only the last retired keys are remembered")
    func bounded() throws {
        var binding = try KeyLine.binding()
        for number in 1...20 as ClosedRange<UInt8> {
            let card = try KeyLine.card(
                number + 1, next: number + 2, rotations: [KeyLine.rotation(number, number + 1, next: number + 2)])
            #expect(try binding.accept(card, at: KeyLine.start) != .none)
        }
        #expect(binding.retired.count == Limits.retiredKeys)
    }

    @Test("a retired key that the policy names is remembered however often the server rotates, besides the last ones")
    func named() throws {
        var binding = try KeyLine.binding()
        let named = [try KeyLine.identity(1).publicKey, try KeyLine.identity(4).publicKey]
        for number in 1...20 as ClosedRange<UInt8> {
            let card = try KeyLine.card(
                number + 1, next: number + 2, rotations: [KeyLine.rotation(number, number + 1, next: number + 2)])
            #expect(try binding.accept(card, at: KeyLine.start, keeping: named.contains) != .none)
        }
        let last = try (13...20 as ClosedRange<UInt8>).map { try KeyLine.identity($0).publicKey }
        #expect(binding.retired.map(\.key) == named + last)
    }

    @Test(
        "the first card's rotations tell its earlier keys, as far as they lead to its own, and these sign nothing more")
    func predecessors() throws {
        func retired(_ rotations: String...) throws -> [PublicKey] {
            let binding = try KeyBinding(
                first: try KeyLine.card(3, next: 4, rotations: rotations), at: KeyLine.start)
            #expect(!binding.retired.contains { binding.accepts($0.key, at: KeyLine.start) })
            return binding.retired.map(\.key)
        }
        let (first, second) = (try KeyLine.rotation(1, 2, next: 3), try KeyLine.rotation(2, 3, next: 4))
        let keys = [try KeyLine.identity(1).publicKey, try KeyLine.identity(2).publicKey]
        #expect(try retired(first, second) == keys)
        #expect(try retired(second) == [keys[1]])
        #expect(try retired(first).isEmpty, "it leads elsewhere")
        // Key 9 is named as the signer and has not signed.
        let parts = second.split(separator: ".")
        let other = try KeyLine.rotation(9, 3, next: 4).split(separator: ".")
        #expect(try retired("\(other[0]).\(parts[1]).\(parts[2])").isEmpty)
    }

    @Test("a server that was bound without a card tells its earlier keys by its first one, and by no later one")
    func predecessorsOfBound() throws {
        let (first, second) = (try KeyLine.rotation(1, 2, next: 3), try KeyLine.rotation(2, 3, next: nil))
        let keys = [try KeyLine.identity(1).publicKey, try KeyLine.identity(2).publicKey]
        for commitment in [(next: nil, recovery: nil), (next: 4, recovery: 100)] as [(next: UInt8?, recovery: UInt8?)] {
            func card(_ rotations: String...) throws -> ServerCard {
                try KeyLine.card(3, next: commitment.next, recovery: commitment.recovery, rotations: rotations)
            }
            var binding = KeyBinding(
                server: KeyLine.id, key: try KeyLine.identity(3).publicKey, since: KeyLine.start)
            #expect(Self.outcome(&binding, try card(first, second)) == "committed")
            #expect(binding.retired.map(\.key) == keys)
            #expect(!binding.retired.contains { binding.accepts($0.key, at: KeyLine.start) })
            let later = try card(try KeyLine.rotation(9, 3, next: nil))
            #expect(Self.outcome(&binding, later) == "none")
            #expect(binding.retired.map(\.key) == keys)
        }
        var known = try KeyLine.binding()
        let late = try KeyLine.card(1, next: 2, rotations: [KeyLine.rotation(9, 1, next: 2)])
        #expect(Self.outcome(&known, late) == "none" && known.retired.isEmpty)
    }

    @Test("the revocation that has led to a key does not end it where the key was bound before the card came")
    func revocationOfBound() throws {
        let led = try KeyLine.revocation(to: 9, next: 10)
        var binding = KeyBinding(server: KeyLine.id, key: try KeyLine.identity(9).publicKey, since: KeyLine.start)
        #expect(Self.outcome(&binding, try KeyLine.card(9, next: 10, revocation: led)) == "committed")
        // The server has gone on: what is known of old, and that everybody can read, does not bring key 9 back.
        let rotation = try KeyLine.rotation(9, 10, next: 11)
        #expect(
            Self.outcome(&binding, try KeyLine.card(10, next: 11, rotations: [rotation], revocation: led)) == "rotated")
        #expect(try binding.accept(revocation: led, at: KeyLine.start) == .none)
        #expect(binding.key == (try KeyLine.identity(10).publicKey))
    }
}
