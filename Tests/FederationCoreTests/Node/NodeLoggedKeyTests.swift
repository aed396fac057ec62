import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

/// A server's keys change in many ways, and a stranger chooses which. Whatever comes, the log of a registry says it so that its
/// readers believe the key that the registry believes.
@Suite("FederationNode, a log that readers can follow")
struct NodeLoggedKeyTests {
    /// What happens to beta at a registry, one after the other.
    enum Step: Sendable {
        /// It registers this card.
        case registers(String)
        /// A card that is refused, by this code.
        case fails(String, code: String)
        /// The card comes by another's word, and names an address that is not proved.
        case isFollowed(String)
        case leaves
        /// It leaves by its own word, under this key and up to this number.
        case signsOff(UInt8, sequence: UInt64)
        case revokes(String)
        /// The operator excludes it, and takes it back.
        case isSuspended
        case isReinstated
        /// The registry is started again. It may begin to be one.
        case restarts
    }

    struct Story: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// Whether the log begins with the first restart, and not with the story.
        var beginsLate = false
        let steps: [Step]
        /// The key that everybody believes at the end.
        let key: UInt8
    }

    private typealias Line = KeyLine

    static func stories() throws -> [Story] {
        let first = try Line.compact(1, next: 2)
        let revoked = try Line.revocation(to: 2, next: 3)
        let renewed = try Line.revocation(to: 2, next: nil, recovery: 101)
        let rotated = try Line.rotation(1, 2, next: 3)
        let onwards = try [(2, 3), (3, 4), (4, 5), (5, 6), (6, 7)].map { from, to in
            try Line.rotation(UInt8(from), UInt8(to), next: UInt8(to + 1))
        }
        return [
            Story(
                testDescription: "it rotates",
                steps: [.registers(first), .registers(try Line.compact(2, next: 3, rotations: [rotated]))], key: 2),
            Story(
                testDescription: "it rotates while it is away",
                steps: [
                    .registers(first), .leaves,
                    .registers(try Line.compact(2, next: 3, rotations: [rotated], sequence: 2)),
                ], key: 2),
            Story(
                testDescription: "it revokes while it is away, and says no more of that",
                steps: [
                    .registers(first), .leaves, .revokes(revoked),
                    .registers(try Line.compact(2, next: 3, sequence: 2)),
                ], key: 2),
            Story(
                testDescription: "it revokes twice while it is away, and changes the recovery key between",
                steps: [
                    .registers(first), .leaves, .revokes(renewed),
                    .revokes(try Line.revocation(by: 101, number: 2, to: 4)),
                    .registers(try Line.compact(4, next: nil, recovery: 101, sequence: 2)),
                ], key: 4),
            Story(
                testDescription: "it revokes and rotates while it is away",
                steps: [
                    .registers(first), .leaves, .revokes(revoked),
                    .registers(
                        try Line.compact(
                            3, next: 4, rotations: [Line.rotation(2, 3, next: 4)], revocation: revoked, sequence: 2)),
                ], key: 3),
            Story(
                testDescription: "it comes again with a card that brings the revocation",
                steps: [
                    .registers(first), .leaves,
                    .registers(try Line.compact(2, next: 3, revocation: revoked, sequence: 2)),
                ], key: 2),
            Story(
                testDescription: "its id is dead while it is away",
                steps: [.registers(first), .leaves, .revokes(try Line.revocation(to: nil))], key: 1),
            Story(
                testDescription: "it is suspended, leaves, and revokes",
                steps: [
                    .registers(first), .isSuspended, .leaves, .revokes(revoked), .restarts,
                    .registers(try Line.compact(2, next: 3, sequence: 2)), .isReinstated,
                ], key: 2),
            Story(
                testDescription: "it numbers a card 0, which none is",
                steps: [
                    .registers(first),
                    .fails(try Line.compact(2, next: 3, rotations: [rotated], sequence: 0), code: "card.refused"),
                    .registers(try Line.compact(2, next: 3, rotations: [rotated], sequence: 1)), .restarts,
                ], key: 2),
            Story(
                testDescription: "it comes with a new key after it signed off",
                steps: [
                    .registers(first), .signsOff(1, sequence: 5),
                    .registers(try Line.compact(2, next: 3, rotations: [rotated], sequence: 1)), .restarts, .leaves,
                ], key: 2),
            Story(
                testDescription: "a thief signs it off for good, and it revokes",
                steps: [
                    .registers(first), .signsOff(1, sequence: (1 << 53) - 1), .revokes(revoked), .restarts,
                    .registers(try Line.compact(2, next: 3)),
                ], key: 2),
            Story(
                testDescription: "its id is dead and lives again under the same key, after it signed off",
                steps: [
                    .registers(first), .signsOff(1, sequence: 5), .revokes(try Line.revocation(to: nil)),
                    .revokes(try Line.revocation(number: 2, to: 1, next: 2)),
                    .fails(try Line.compact(1, next: 2, sequence: 5), code: "server.hasLeft"),
                    .registers(try Line.compact(1, next: 2, sequence: 6)),
                ], key: 1),
            Story(
                testDescription: "its id is dead and lives again under the same key",
                steps: [
                    .registers(try Line.compact(1, next: 2, sequence: 5)), .revokes(try Line.revocation(to: nil)),
                    .revokes(try Line.revocation(number: 2, to: 1, next: 2)), .isReinstated, .restarts,
                    .fails(try Line.compact(1, next: 2, sequence: 4), code: "server.alreadyRegistered"),
                    .registers(try Line.compact(1, next: 2, sequence: 6)),
                ], key: 1),
            Story(
                testDescription: "it signs off, and the registry starts again before it comes",
                steps: [
                    .registers(first), .signsOff(1, sequence: 5), .restarts,
                    .fails(try Line.compact(1, next: 2, sequence: 5), code: "server.hasLeft"),
                    .registers(try Line.compact(1, next: 2, sequence: 6)),
                ], key: 1),
            Story(
                testDescription: "it revokes, twice, and changes the recovery key between",
                steps: [
                    .registers(first), .revokes(renewed), .revokes(try Line.revocation(by: 101, number: 2, to: 4)),
                    .registers(try Line.compact(4, next: nil, recovery: 101)),
                ], key: 4),
            Story(
                testDescription: "its id is dead, and lives again",
                steps: [
                    .registers(first), .revokes(try Line.revocation(to: nil)),
                    .revokes(try Line.revocation(number: 2, to: 2, next: 3)), .isReinstated,
                    .registers(try Line.compact(2, next: 3)),
                ], key: 2),
            Story(
                testDescription: "it puts a revocation among its rotations and comes again",
                steps: [
                    .registers(first), .leaves,
                    .registers(
                        try Line.compact(2, next: 3, rotations: [rotated, Line.revocation(to: 9)], sequence: 2)),
                ], key: 2),
            Story(
                testDescription: "it has revoked before it came, and rotates more often than its card can say",
                steps: [
                    .registers(
                        try Line.compact(6, next: 7, rotations: Array(onwards.prefix(4)), revocation: revoked)),
                    .registers(
                        try Line.compact(
                            7, next: 8, rotations: Array(onwards.suffix(4)), revocation: revoked, sequence: 2)),
                ], key: 7),
            Story(
                testDescription: "it commits itself where its address is not proved, and rotates there",
                steps: [
                    .registers(try Line.compact(1, next: nil, recovery: nil)),
                    .isFollowed(try Line.compact(1, next: 2, sequence: 2, endpoint: "ws://moved.example")),
                    .isFollowed(
                        try Line.compact(2, next: 3, rotations: [rotated], sequence: 3, endpoint: "ws://moved.example")),
                ], key: 1),
            Story(
                testDescription: "it rotates where its address is not proved",
                steps: [
                    .registers(first),
                    .isFollowed(
                        try Line.compact(2, next: 3, rotations: [rotated], sequence: 2, endpoint: "ws://moved.example")),
                ], key: 2),
            Story(
                testDescription: "it has left before the log began, and comes with another key", beginsLate: true,
                steps: [
                    .registers(first), .leaves, .restarts,
                    .registers(try Line.compact(2, next: 3, rotations: [rotated], sequence: 2)),
                ], key: 2),
            Story(
                testDescription: "it has left before the log began, and revokes", beginsLate: true,
                steps: [
                    .registers(first), .leaves, .restarts, .revokes(revoked),
                    .registers(try Line.compact(2, next: 3, sequence: 2)),
                ], key: 2),
            Story(
                testDescription: "it was there when the log began", beginsLate: true,
                steps: [
                    .registers(first), .restarts, .registers(try Line.compact(2, next: 3, rotations: [rotated])),
                ], key: 2),
        ]
    }

    @Test("readers believe the key that the registry believes, now and after a restart", arguments: try stories())
    func told(_ story: Story) throws {
        let federation = try TestFederation(["alpha"], configure: { $1.servesRegistry = !story.beginsLate })
        let alpha = federation.node("alpha")
        for step in story.steps {
            try take(step, alpha, federation)
            try federation.settle()
        }
        let key = try KeyLine.identity(story.key).publicKey
        #expect(alpha.node.bindings[KeyLine.id]?.key == key)
        let audit = try LogReader.audit(alpha, at: federation.now)
        let reader = try #require(audit.subjects[KeyLine.id]?.binding)
        #expect(reader.key == key && reader.commitment == alpha.node.bindings[KeyLine.id]?.commitment)
        // Of a revocation from before the log nothing is left that could be shown.
        #expect(story.beginsLate || reader.isDead == alpha.node.bindings[KeyLine.id]?.isDead)
        let isListed = alpha.node.registry.server(KeyLine.id) != nil
        #expect(audit.listedByLog.contains(KeyLine.id) == isListed)
        if isListed {
            let other = try KeyLine.compact(story.key, next: nil, sequence: 77)
            // Also by a clock that is wrong, by more than what a registry allows a server's.
            for shift in [Duration.zero, .seconds(-1_000), .seconds(2_000_000)] {
                let findings = audit.check(
                    listed: KeyLine.id, alpha.node.cards[KeyLine.id], later: [], at: KeyLine.start + shift)
                #expect(findings.isEmpty)
                let unlogged = audit.check(listed: KeyLine.id, other, later: [], at: KeyLine.start + shift)
                #expect(unlogged.map(\.code) == ["card.unlogged"])
            }
        }
        try alpha.restart(at: federation.now)
        #expect(alpha.node.bindings[KeyLine.id]?.key == key)
    }

    @Test("a card that may last longer than any is a finding, at whatever time it is looked at")
    func tooLong() throws {
        let identity = try KeyLine.identity(1)
        let card = ServerCard(
            id: KeyLine.id, name: "Beta", endpoint: TableSamples.endpoint("ws://beta.example"),
            publicKey: identity.publicKey, sequence: 1, worlds: [], issued: KeyLine.start,
            expires: KeyLine.start + Limits.serverCardLifetime + .seconds(1)
        ).issue(by: identity)
        let audit = RegistryAudit(
            registry: ServerID(unchecked: "alpha"),
            binding: KeyBinding(server: ServerID(unchecked: "alpha"), key: identity.publicKey, since: KeyLine.start))
        for shift in [Duration.zero, .seconds(-1_000), Limits.serverCardLifetime + .seconds(1_000)] {
            let findings = audit.check(listed: KeyLine.id, card, later: [], at: KeyLine.start + shift)
            #expect(findings.map(\.code) == ["card.refused"])
        }
    }

    @Test("a key that its owner has made void for good signs nobody off")
    func deadKey() throws {
        let federation = try TestFederation(["alpha"], configure: { $1.servesRegistry = true })
        let alpha = federation.node("alpha")
        for step in [Step.registers(try Line.compact(1, next: 2)), .revokes(try Line.revocation(to: nil))] {
            try take(step, alpha, federation)
            try federation.settle()
        }
        let size = alpha.node.log.count
        let word = try Self.signOff(1, sequence: 5, from: alpha, at: federation.now)
        #expect(
            Self.code { try alpha.node.deregister(KeyLine.id, statement: word, at: federation.now) } == "key.revoked")
        #expect(alpha.node.registry.status(of: KeyLine.id) == .suspended && alpha.node.log.count == size)
    }

    private static func signOff(
        _ key: UInt8, sequence: UInt64, from registry: TestNode, at now: Now
    ) throws -> String {
        DeregistrationStatement(
            issuer: KeyLine.id, registry: registry.id, sequence: sequence, issuedAt: now.timestamp
        ).issue(by: try KeyLine.identity(key))
    }

    private func take(_ step: Step, _ alpha: TestNode, _ federation: TestFederation) throws {
        let now = federation.now
        switch step {
        case .registers(let card):
            alpha.enqueue(try alpha.node.register(card, at: now).effects)
        case .fails(let card, let code):
            #expect(Self.code { try alpha.node.register(card, at: now).effects } == code)
        case .isFollowed(let card):
            // What is not believed is refused, and nothing becomes of it.
            alpha.enqueue((try? alpha.node.follow(try ServerCard.verify(card, at: now.timestamp), at: now)) ?? [])
        case .leaves:
            alpha.enqueue(try alpha.node.deregister(KeyLine.id, at: now))
        case .signsOff(let key, let sequence):
            let word = try Self.signOff(key, sequence: sequence, from: alpha, at: now)
            alpha.enqueue(try alpha.node.deregister(KeyLine.id, statement: word, at: now))
        case .revokes(let word):
            alpha.enqueue(try alpha.node.revoke(word, at: now))
        case .isSuspended:
            alpha.enqueue(try alpha.node.suspend(KeyLine.id, reason: "spam", at: now))
        case .isReinstated:
            alpha.enqueue(try alpha.node.reinstate(KeyLine.id, at: now))
        case .restarts:
            alpha.configuration.servesRegistry = true
            try alpha.restart(at: now)
            alpha.enqueue(alpha.node.start(at: now))
        }
    }

    private static func code(_ body: () throws -> [Effect]) -> String? {
        do {
            _ = try body()
            return nil
        } catch {
            return (error as? Refusal)?.code
        }
    }
}
