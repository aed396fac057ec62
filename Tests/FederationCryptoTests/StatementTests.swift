import FederationModel
import Foundation
import Testing

@testable import FederationCrypto

@Suite("Signed statements")
struct StatementTests {
    let alpha: ServerIdentity
    let beta: ServerIdentity

    init() throws {
        alpha = try Sample.identity(Sample.alpha, 1)
        beta = try Sample.identity(Sample.beta, 2)
    }

    func card(worlds: [WorldID] = [WorldID(unchecked: "harbour"), WorldID(unchecked: "attic")], name: String = "Alpha")
        throws -> ServerCard
    {
        ServerCard(
            id: Sample.alpha, name: name, endpoint: try #require(Endpoint("ws://127.0.0.1:7700")),
            publicKey: alpha.publicKey, sequence: 3, worlds: worlds, issued: Sample.time + .milliseconds(700),
            expires: Sample.time + .seconds(60))
    }

    @Test("a card says what was put into it, with its worlds sorted and its times in whole seconds")
    func cardRoundTrip() throws {
        let card = try card()
        let read = try ServerCard.verify(card.issue(by: alpha), at: Sample.time)
        #expect(read == card)
        #expect(read.worlds.map(\.rawValue) == ["attic", "harbour"])
        #expect(read.issued == Sample.time)
    }

    @Test(
        "a card is valid from its issue, give or take the clock, until it expires",
        arguments: [(-301, StatementFailure.notYetValid), (-300, nil), (0, nil), (59, nil), (60, .expired)]
            as [(Int64, StatementFailure?)])
    func cardTimes(seconds: Int64, expected: StatementFailure?) throws {
        let text = try card().issue(by: alpha)
        let failure = failure { () throws(StatementFailure) in
            _ = try ServerCard.verify(text, at: Sample.time + .seconds(seconds))
        }
        #expect(failure == expected)
    }

    @Test("a card that names another key than the one that signed it is refused")
    func cardKey() throws {
        var claims = try card().claims
        claims["key"] = .string(beta.publicKey.description)
        let text = CompactJWS.sign(claims, for: .serverCard, by: alpha)
        #expect(throws: StatementFailure.badSignature) { try ServerCard.verify(text, at: Sample.time) }
    }

    @Test(
        "a card that is not in order is refused",
        arguments: [
            ("name", JSONValue.string("")), ("name", .string(" x")), ("endpoint", .string("http://x")),
            ("key", .string("00")),
            ("key", .string(String(repeating: "0", count: 64))), ("seq", .integer(-1)), ("seq", .integer(0)),
            ("seq", .number(0.5)),
            ("seq", .integer(1 << 53)), ("min_version", .integer(2)), ("min_version", .integer(0)),
            ("max_version", .integer(65_536)), ("worlds", .null), ("worlds", .array([.string("b"), .string("a")])),
            ("worlds", .array([.string("a"), .string("a")])), ("worlds", .array([.string("A")])), ("iat", .integer(-1)),
            ("iat", .string("0")), ("exp", .integer(0)), ("iss", .string("-")), ("iss", .null),
            ("worlds", .array((100..<251).map { .string("w\($0)") })),
        ])
    func cardMalformed(claim: String, value: JSONValue) throws {
        var claims = try card().claims
        claims[claim] = value
        let text = CompactJWS.sign(claims, for: .serverCard, by: alpha)
        let failure = failure { () throws(StatementFailure) in _ = try ServerCard.verify(text, at: Sample.time) }
        guard case .malformed = failure else { Issue.record("\(String(describing: failure))"); return }
    }

    @Test("the largest card there can be fits into the bound")
    func largestCard() throws {
        let worlds = (0..<1_000).map { number in
            let digits = String(number)
            return WorldID(unchecked: String(repeating: "w", count: 64 - digits.count) + digits)
        }
        let host = (0..<4).map { _ in String(repeating: "h", count: 61) }.joined(separator: ".")
        let endpoint = try #require(Endpoint("wss://\(host):65535"))
        let commitment = KeyCommitment(next: beta.publicKey.commitment, recovery: beta.publicKey.commitment)
        let rotation = KeyRotation(
            issuer: Sample.alpha, to: beta.publicKey, next: beta.publicKey.commitment,
            issuedAt: Timestamp(milliseconds: .max)
        ).issue(by: alpha)
        let revocation = KeyRevocation(
            issuer: Sample.alpha, number: .max, replacement: .init(key: beta.publicKey, commitment: commitment),
            issuedAt: Timestamp(milliseconds: .max)
        ).issue(by: alpha)
        let card = ServerCard(
            id: Sample.alpha, name: String(repeating: "\"", count: 128),
            endpoint: endpoint, alternatives: [endpoint, endpoint, endpoint], publicKey: alpha.publicKey,
            commitment: commitment, rotations: Array(repeating: rotation, count: ServerCard.maximumRotations),
            revocation: revocation, sequence: .max, worlds: worlds, contact: String(repeating: "\"", count: 128),
            issued: Sample.time, expires: Sample.time + Limits.serverCardLifetime)
        #expect(card.worlds.count == ServerCard.maximumWorlds)
        let text = card.issue(by: alpha)
        #expect(text.utf8.count <= Limits.jwsBytes)
        let read = try ServerCard.verify(text, at: Sample.time)
        #expect(read.sequence == (1 << 53) - 1)
        #expect(read.rotations == card.rotations && read.revocation == revocation && read.commitment == commitment)
        #expect(read.endpoints == [endpoint, endpoint, endpoint, endpoint] && read.contact == card.contact)
    }

    @Test(
        "a revocation is numbered by the time, and above the earlier ones whatever the time is",
        arguments: [
            ([], 1_000, 1_000), ([], 0, 1), ([], -5, 1), ([999], 1_000, 1_000), ([1_000], 1_000, 1_001),
            ([5_000], 1_000, 5_001), ([5_000, 7_000, 6_000], 1_000, 7_001), ([5_000], .min, 5_001),
        ] as [([UInt64], Int64, UInt64)])
    func revocationNumber(_ earlier: [UInt64], _ time: Int64, _ number: UInt64) {
        let revocations = earlier.map {
            KeyRevocation(issuer: Sample.alpha, number: $0, replacement: nil, issuedAt: Sample.time).issue(by: alpha)
        }
        let time = Timestamp(milliseconds: time)
        #expect(KeyRevocation.number(at: time, after: revocations) == number)
        #expect(KeyRevocation.number(at: time, after: revocations + ["", "a.b.c"]) == number)
    }

    @Test("a statement changed anywhere is refused")
    func everyCharacter() throws {
        let text = try card().issue(by: alpha)
        let characters = Array(text.utf8)
        for index in characters.indices {
            var changed = characters
            changed[index] = changed[index] == 0x41 ? 0x42 : 0x41
            let mutant = String(decoding: changed, as: UTF8.self)
            #expect(throws: StatementFailure.self, "character \(index)") {
                try ServerCard.verify(mutant, at: Sample.time)
            }
        }
        #expect(throws: StatementFailure.self) { try ServerCard.verify(text + "A", at: Sample.time) }
        #expect(throws: StatementFailure.self) { try ServerCard.verify(text + ".", at: Sample.time) }
        #expect(throws: StatementFailure.self) { try ServerCard.verify("", at: Sample.time) }
        #expect(throws: StatementFailure.self) {
            try ServerCard.verify(String(repeating: "A", count: Limits.jwsBytes + 1), at: Sample.time)
        }
    }

    /// Headers that must never verify, whatever the signature.
    static let headers = [
        #"{"alg":"none","kid":"KEY","typ":"aether-receipt+jwt"}"#,
        #"{"alg":"HS256","kid":"KEY","typ":"aether-receipt+jwt"}"#,
        #"{"alg":"EdDSA","kid":"KEY"}"#, #"{"alg":"EdDSA","typ":"aether-receipt+jwt"}"#,
        #"{"alg":"EdDSA","kid":"KEY","typ":"JWT"}"#, #"{"alg":"EdDSA","kid":"KEY","typ":"aether-session+jwt"}"#,
        #"{"alg":"EdDSA","kid":"KEY","typ":"aether-receipt+jwt","crit":["exp"]}"#,
        #"{"alg":"EdDSA","kid":"KEY","typ":"aether-receipt+jwt","jwk":{}}"#,
        #"{"alg":"EdDSA","alg":"EdDSA","kid":"KEY","typ":"aether-receipt+jwt"}"#,
        #"{"alg":"EdDSA","kid":"other","typ":"aether-receipt+jwt"}"#, "[]", "",
    ]

    @Test("only the one header is accepted", arguments: headers)
    func header(header: String) throws {
        let receipt = receipt()
        let named = header.replacingOccurrences(of: "KEY", with: alpha.publicKey.description)
        let input =
            "\(Base64URL.encode(Array(named.utf8))).\(Base64URL.encode(JSONValue.object(receipt.claims).serialized()))"
        // Signed without the identity's own checks, as another program could.
        let signature = try RawSigner(seed: 1).sign(Array(input.utf8))
        let text = "\(input).\(Base64URL.encode(signature))"
        #expect(throws: StatementFailure.self) {
            try AdmissionReceipt.verify(text, issuer: Sample.alpha, key: alpha.publicKey, audience: Sample.beta)
        }
        #expect(throws: StatementFailure.self) {
            try AdmissionReceipt.verify("\(input).", issuer: Sample.alpha, key: alpha.publicKey, audience: Sample.beta)
        }
    }

    func receipt() -> AdmissionReceipt {
        AdmissionReceipt(
            issuer: Sample.alpha, audience: Sample.beta, handoff: Sample.handoff, player: Sample.player,
            epoch: Epoch(4),
            issuedAt: Sample.time)
    }

    @Test("a receipt is for its audience, from its issuer, under its key")
    func receiptChecks() throws {
        let text = receipt().issue(by: alpha)
        #expect(
            try AdmissionReceipt.verify(text, issuer: Sample.alpha, key: alpha.publicKey, audience: Sample.beta)
                == receipt())
        #expect(throws: StatementFailure.wrongAudience) {
            try AdmissionReceipt.verify(text, issuer: Sample.alpha, key: alpha.publicKey, audience: Sample.gamma)
        }
        #expect(throws: StatementFailure.wrongIssuer) {
            try AdmissionReceipt.verify(text, issuer: Sample.beta, key: alpha.publicKey, audience: Sample.beta)
        }
        #expect(throws: StatementFailure.badSignature) {
            try AdmissionReceipt.verify(text, issuer: Sample.alpha, key: beta.publicKey, audience: Sample.beta)
        }
    }

    @Test(
        "a heartbeat counts while it is fresh",
        arguments: [(-301, StatementFailure.notYetValid), (-300, nil), (300, nil), (301, .expired)]
            as [(Int64, StatementFailure?)])
    func heartbeat(seconds: Int64, expected: StatementFailure?) throws {
        let statement = HeartbeatStatement(
            issuer: Sample.alpha, audience: Sample.beta, sequence: 9, issuedAt: Sample.time)
        let text = statement.issue(by: alpha)
        let failure = failure { () throws(StatementFailure) in
            let read = try HeartbeatStatement.verify(
                text, server: Sample.alpha, key: alpha.publicKey, by: Sample.beta,
                at: Sample.time + .seconds(seconds))
            #expect(read == statement)
        }
        #expect(failure == expected)
    }

    @Test(
        "a heartbeat for another server, or for nobody, is refused",
        arguments: [ServerID(unchecked: "elsewhere"), nil])
    func heartbeatElsewhere(audience: ServerID?) {
        let text = HeartbeatStatement(
            issuer: Sample.alpha, audience: audience, sequence: 9, issuedAt: Sample.time
        ).issue(by: alpha)
        let failure = failure { () throws(StatementFailure) in
            _ = try HeartbeatStatement.verify(
                text, server: Sample.alpha, key: alpha.publicKey, by: Sample.beta, at: Sample.time)
        }
        #expect(failure == .wrongAudience)
    }

    @Test(
        "a ticket is its own server's and expires",
        arguments: [nil, ClientTicket.Source(server: Sample.beta, revocation: 0)])
    func ticket(source: ClientTicket.Source?) throws {
        let ticket = ClientTicket(
            issuer: Sample.alpha, player: Sample.player, world: WorldID(unchecked: "harbour"), epoch: Epoch(2),
            expiresAt: Sample.time + .seconds(10), source: source)
        let text = ticket.issue(by: alpha)
        #expect(
            try ClientTicket.verify(text, issuer: Sample.alpha, key: alpha.publicKey, at: Sample.time + .seconds(9))
                == ticket)
        #expect(throws: StatementFailure.expired) {
            try ClientTicket.verify(text, issuer: Sample.alpha, key: alpha.publicKey, at: Sample.time + .seconds(10))
        }
        #expect(throws: StatementFailure.badSignature) {
            try ClientTicket.verify(text, issuer: Sample.beta, key: beta.publicKey, at: Sample.time)
        }
        // A ticket is not a token, though the same key signs both.
        #expect(throws: SessionToken.Failure.self) {
            try SessionToken.verify(
                text, issuer: Sample.alpha, key: alpha.publicKey, audience: Sample.beta, at: Sample.time)
        }
    }
}
