import FederationModel
import Testing

@testable import FederationCrypto

@Suite("Session tokens")
struct SessionTokenTests {
    let alpha: ServerIdentity
    let beta: ServerIdentity

    init() throws {
        alpha = try Sample.identity(Sample.alpha, 1)
        beta = try Sample.identity(Sample.beta, 2)
    }

    func token(
        spawn: SpawnPoint? = SpawnPoint(x: 1, y: -2.5, z: 0), size: Int? = 5, clientKey: PublicKey? = nil,
        lifetime: Duration = .seconds(60)
    ) -> SessionToken {
        SessionToken(
            issuer: Sample.alpha, player: Sample.player, audience: Sample.beta, handoff: Sample.handoff,
            issuedAt: Sample.time, notBefore: Sample.time, expiresAt: Sample.time + lifetime,
            world: WorldID(unchecked: "harbour"), portal: PortalID(unchecked: "gate"), spawn: spawn, epoch: Epoch(2),
            snapshot: ContentHash.of(Array("state".utf8)), size: size, revision: 17, clientKey: clientKey)
    }

    func verify(_ text: String, at seconds: Int64 = 0, leeway: Duration = .zero) throws(SessionToken.Failure)
        -> SessionToken
    {
        try SessionToken.verify(
            text, issuer: Sample.alpha, key: alpha.publicKey, audience: Sample.beta,
            at: Sample.time + .seconds(seconds),
            leeway: leeway)
    }

    @Test("a token says what was put into it")
    func roundTrip() throws {
        for token in [token(), token(spawn: nil, size: nil), token(clientKey: beta.publicKey)] {
            #expect(try verify(token.issue(by: alpha)) == token)
        }
    }

    @Test("the claims are those of RFC 7519, RFC 7800 and RFC 8037 by name")
    func names() throws {
        let claims = token(clientKey: beta.publicKey).claims
        #expect(
            claims.keys.sorted() == [
                "aud", "cnf", "epoch", "exp", "iat", "iss", "jti", "nbf", "portal", "rev", "size", "snapshot", "spawn",
                "sub",
                "world",
            ])
        #expect(claims["exp"] == .integer(1_800_000_060))
        #expect(claims["sub"] == .string("ada@alpha"))
        #expect(claims["cnf"]?["jwk"]?["crv"] == .string("Ed25519"))
        #expect(claims["cnf"]?["jwk"]?["x"] == .string(Base64URL.encode(beta.publicKey.bytes)))
    }

    @Test(
        "a token is valid from nbf until exp, with leeway on both sides",
        arguments: [
            (-1, 0, SessionToken.Failure.notYetValid), (0, 0, nil), (59, 0, nil), (60, 0, .expired), (-5, 5, nil),
            (-6, 5, .notYetValid), (64, 5, nil), (65, 5, .expired),
        ] as [(Int64, Int64, SessionToken.Failure?)])
    func times(seconds: Int64, leeway: Int64, expected: SessionToken.Failure?) {
        let text = token().issue(by: alpha)
        let failure = failure { () throws(SessionToken.Failure) in
            _ = try verify(text, at: seconds, leeway: .seconds(leeway))
        }
        #expect(failure == expected)
    }

    @Test("a token for another destination, from another issuer, or under another key is refused")
    func parties() {
        let text = token().issue(by: alpha)
        #expect(throws: SessionToken.Failure.wrongAudience) {
            try SessionToken.verify(
                text, issuer: Sample.alpha, key: alpha.publicKey, audience: Sample.gamma, at: Sample.time)
        }
        #expect(throws: SessionToken.Failure.wrongIssuer) {
            try SessionToken.verify(
                text, issuer: Sample.gamma, key: alpha.publicKey, audience: Sample.beta, at: Sample.time)
        }
        #expect(throws: SessionToken.Failure.badSignature) {
            try SessionToken.verify(
                text, issuer: Sample.alpha, key: beta.publicKey, audience: Sample.beta, at: Sample.time)
        }
    }

    @Test(
        "a token that is not in order is refused, though its signature is good",
        arguments: [
            ("size", JSONValue.integer(Int64(Limits.snapshotBytes) + 1)), ("size", .integer(-1)),
            ("size", .string("5")),
            ("exp", .integer(1_800_000_061)), ("exp", .integer(1_800_000_000)), ("nbf", .integer(1_800_000_060)),
            ("iat", .null), ("jti", .string("00")), ("sub", .string("ada")), ("sub", .string("ada@alpha@x")),
            ("aud", .array([.string("beta")])), ("epoch", .number(1.5)), ("epoch", .integer(-1)),
            // A member that the reader does not know is no place to keep things.
            ("extra", .string(String(repeating: "x", count: Limits.tokenBytes))),
            ("snapshot", .string("AB")), ("spawn", .string("nan,0,0")), ("spawn", .null), ("world", .string("../x")),
            ("cnf", .object([:])),
            ("cnf", .object(["jwk": .object(["kty": .string("OKP"), "crv": .string("X25519")])])),
            (
                "cnf",
                .object([
                    "jwk": .object([
                        "kty": .string("OKP"), "crv": .string("Ed25519"),
                        "x": .string(Base64URL.encode([UInt8](repeating: 0, count: 32))),
                    ])
                ])
            ),
        ])
    func malformed(claim: String, value: JSONValue) {
        var claims = token().claims
        claims[claim] = value
        let text = CompactJWS.sign(claims, for: .sessionToken, by: alpha)
        let failure = failure { () throws(SessionToken.Failure) in _ = try verify(text) }
        guard case .malformed = failure else { Issue.record("\(String(describing: failure))"); return }
    }

    @Test("a missing claim is refused, and an unknown one ignored")
    func presence() throws {
        let claims = token().claims
        for name in claims.keys.sorted() where name != "spawn" && name != "size" {
            var fewer = claims
            fewer[name] = nil
            let text = CompactJWS.sign(fewer, for: .sessionToken, by: alpha)
            #expect(throws: SessionToken.Failure.self, "\(name)") { try verify(text) }
        }
        var more = claims
        more["later"] = .bool(true)
        #expect(try verify(CompactJWS.sign(more, for: .sessionToken, by: alpha)) == token())
    }

    @Test("the issuer can be read without proof, to find the key")
    func unverified() throws {
        let text = token().issue(by: alpha)
        #expect(try SessionToken.unverifiedIssuer(text) == Sample.alpha)
        #expect(throws: SessionToken.Failure.self) { try SessionToken.unverifiedIssuer("x.y.z") }
    }

    @Test("every refusal names its step, a code and a remedy")
    func refusals() {
        let failures: [SessionToken.Failure] = [
            .malformed("x"), .badSignature, .wrongIssuer, .wrongAudience, .expired, .notYetValid,
        ]
        for failure in failures {
            #expect(failure.refusal.step == .handoff)
            #expect(failure.refusal.code.hasPrefix("token."))
            #expect(!failure.refusal.remedy.isEmpty)
        }
        #expect(Set(failures.map(\.refusal.code)).count == failures.count)
    }
}
