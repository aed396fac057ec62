import FederationModel
import Testing

@testable import FederationCrypto

@Suite("Inquiries and their answers")
struct InquiryTests {
    let alpha: ServerIdentity
    let beta: ServerIdentity
    let world = WorldID(unchecked: "harbour")

    init() throws {
        alpha = try Sample.identity(Sample.alpha, 1)
        beta = try Sample.identity(Sample.beta, 2)
    }

    private var inquiry: Inquiry {
        Inquiry(
            issuer: Sample.alpha, audience: Sample.beta, nonce: Array(0..<16), worlds: [world],
            issuedAt: Sample.time + .milliseconds(700))
    }

    private func answer(findings: [Finding] = [.ok("dns", "a name")]) -> InquiryAnswer {
        let refusal = Refusal(.forbidden, code: "server.suspended", reason: "suspended", remedy: "ask")
        return InquiryAnswer(
            to: inquiry, at: Sample.time + .milliseconds(1), sequence: 7, versions: .current, suites: [1, 2],
            standing: .init(
                sequence: 6, trust: "pinned", scopes: ["heartbeat"], refusal: .init(refusal), health: .healthy,
                isConnected: true),
            findings: findings, worlds: [.init(world, refusal: refusal), .init(world, refusal: nil)])
    }

    private func read(
        _ text: String, issuer: ServerID = Sample.alpha, key: PublicKey? = nil, audience: ServerID = Sample.beta,
        at seconds: Int64 = 0
    ) -> StatementFailure? {
        failure { () throws(StatementFailure) in
            _ = try Inquiry.verify(
                text, issuer: issuer, key: key ?? alpha.publicKey, audience: audience,
                at: Sample.time + .seconds(seconds))
        }
    }

    @Test("both say what was put into them; the answer's time is exact")
    func roundTrip() throws {
        let text = inquiry.issue(by: alpha)
        let read = try Inquiry.verify(
            text, issuer: Sample.alpha, key: alpha.publicKey, audience: Sample.beta, at: Sample.time)
        #expect(read == inquiry && read.issuedAt == Sample.time && read.expiresAt == Sample.time + .seconds(60))
        #expect(try Inquiry.unverifiedIssuer(text) == Sample.alpha)
        let answered = try InquiryAnswer.verify(answer().issue(by: beta), to: inquiry, key: beta.publicKey)
        #expect(answered == answer() && answered.time == Sample.time + .milliseconds(1))
    }

    @Test(
        "an inquiry is valid for a minute, give or take the clock",
        arguments: [(-301, StatementFailure.notYetValid), (-300, nil), (0, nil), (359, nil), (360, .expired)]
            as [(Int64, StatementFailure?)])
    func times(seconds: Int64, expected: StatementFailure?) {
        #expect(read(inquiry.issue(by: alpha), at: seconds) == expected)
    }

    @Test("it counts for whom it is meant, from whom it is, under their key, and as nothing else")
    func whose() {
        let text = inquiry.issue(by: alpha)
        #expect(read(text, audience: ServerID(unchecked: "gamma")) == .wrongAudience)
        #expect(read(text, issuer: ServerID(unchecked: "gamma")) == .wrongIssuer)
        #expect(read(text, key: beta.publicKey) == .badSignature)
        let heartbeat = HeartbeatStatement(issuer: Sample.alpha, sequence: 1, issuedAt: Sample.time).issue(by: alpha)
        guard case .malformed = read(heartbeat) else { Issue.record("a heartbeat passed"); return }
        guard case .malformed = read(String(repeating: "a", count: Limits.jwsBytes + 1)) else {
            Issue.record("an oversized inquiry passed")
            return
        }
    }

    @Test("an answer counts for its inquiry alone, and under the key of whoever was asked")
    func answersInquiry() {
        let text = answer().issue(by: beta)
        let other = Inquiry(issuer: Sample.alpha, audience: Sample.beta, nonce: Array(1..<17), issuedAt: Sample.time)
        let elsewhere = Inquiry(
            issuer: ServerID(unchecked: "gamma"), audience: Sample.beta, nonce: Array(0..<16), issuedAt: Sample.time)
        for (asked, key, expected) in [
            (other, beta.publicKey, StatementFailure.malformed("jti is that of another inquiry")),
            (elsewhere, beta.publicKey, .wrongAudience), (inquiry, alpha.publicKey, .badSignature),
        ] {
            let found = failure { () throws(StatementFailure) in
                _ = try InquiryAnswer.verify(text, to: asked, key: key)
            }
            #expect(found == expected)
        }
    }

    @Test(
        "an inquiry that is not in order is refused",
        arguments: [
            ("jti", JSONValue.string("00")), ("jti", .string(String(repeating: "G", count: 32))), ("jti", .null),
            ("aud", .string("-")), ("aud", .string("alpha")), ("exp", .integer(0)), ("exp", .integer(1 << 40)),
            ("iat", .integer(-1)), ("worlds", .string("a")), ("worlds", .array([.string("A")])),
            ("worlds", .array([.string("a"), .string("a")])),
            ("worlds", .array((0..<9).map { .string("w\($0)") })),
        ])
    func malformed(claim: String, value: JSONValue) {
        var claims = inquiry.claims
        claims[claim] = value
        let text = CompactJWS.sign(claims, for: .inquiry, by: alpha)
        guard case .malformed = read(text) else { Issue.record("\(claim) passed"); return }
    }

    @Test(
        "an answer that could harm a terminal, or has no bound, is refused",
        arguments: [
            ("findings", JSONValue.array((0..<13).map { _ in .object([:]) })), ("findings", .array([.string("dns")])),
            ("findings", Self.finding("check", .string("Dns"))),
            ("findings", Self.finding("check", .string(String(repeating: "d", count: 33)))),
            ("findings", Self.finding("status", .string("fine"))), ("findings", Self.finding("code", .string("a b"))),
            ("findings", Self.finding("found", .string("a\u{1B}[2J"))),
            ("findings", Self.finding("found", .string(""))),
            ("findings", Self.finding("found", .string(String(repeating: "x", count: 201)))),
            ("findings", Self.finding("remedy", .string("a\nb"))), ("you", .null), ("you", .object([:])),
            ("you", .object(["connected": .bool(true), "scopes": .array([.string("a\u{7}")])])),
            ("you", .object(["connected": .bool(true), "scopes": .array([]), "health": .string("well")])),
            ("worlds", .array((0..<9).map { _ in .object(["world": .string("w")]) })),
            ("suites", .array([.integer(70_000)])), ("time", .integer(-1)), ("min_version", .integer(0)),
        ])
    func malformedAnswer(claim: String, value: JSONValue) {
        var claims = answer().claims
        claims[claim] = value
        let text = CompactJWS.sign(claims, for: .inquiryAnswer, by: beta)
        let found = failure { () throws(StatementFailure) in
            _ = try InquiryAnswer.verify(text, to: inquiry, key: beta.publicKey)
        }
        guard case .malformed = found else { Issue.record("\(claim) passed"); return }
    }

    private static func finding(_ name: String, _ value: JSONValue) -> JSONValue {
        var members: [String: JSONValue] = [
            "check": .string("dns"), "status": .string("ok"), "code": .string("ok"), "found": .string("a name"),
        ]
        members[name] = value
        return .array([.object(members)])
    }

    @Test("the longest answer there can be fits into the bound; what is longer is cut, and no terminal is harmed")
    func longest() throws {
        let long = String(repeating: "ä\u{1B}", count: 500)
        let code = "c" + String(repeating: "0", count: 63)
        let check = "d" + String(repeating: "0", count: 31)
        let refusal = Refusal(.forbidden, code: code, reason: long, remedy: long)
        let full = InquiryAnswer(
            to: inquiry, at: Sample.time, sequence: .max, versions: .current, suites: Array(1...40),
            standing: .init(
                sequence: .max, trust: long, scopes: ["heartbeat", "route", "assets", "handoff"],
                refusal: .init(refusal), health: .unreachable, isConnected: true),
            findings: (0..<40).map { _ in Finding(check, .wrong, code: code, long, remedy: long) },
            worlds: (0..<40).map { _ in .init(WorldID(unchecked: String(repeating: "w", count: 64)), refusal: refusal) }
        )
        let text = full.issue(by: beta)
        #expect(text.utf8.count <= Limits.jwsBytes, "\(text.utf8.count)")
        let read = try InquiryAnswer.verify(text, to: inquiry, key: beta.publicKey)
        #expect(read.findings.count == Limits.findings && read.worlds.count == Limits.inquiryWorlds)
        #expect(read.findings.allSatisfy { Finding.isText($0.found) && !$0.found.contains("\u{1B}") })
    }
}
