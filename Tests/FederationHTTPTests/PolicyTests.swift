import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import TestKit
import Testing

@testable import FederationHTTP

@Suite("The trust policy over HTTP", .timeLimit(.minutes(1 * patience)))
struct PolicyTests {
    private static let plain = #"{"allow":[],"deny":[],"introduces":true}"#
    private static let full = """
        {"allow":["id:*.guild"],"deny":["address:10.0.0.0/8","host:*.example"],\
        "firstUse":{"scopes":["heartbeat"]},"introducedBy":{"count":2,"scopes":["heartbeat","route"]},\
        "introduces":false,"registryListed":{"scopes":["heartbeat","route","assets","handoff"]}}
        """

    private static func text(_ answer: Answer) throws -> String { try answer.json.serializedText() }

    @Test("is off by default, is shown as it was set, is durable, and is taken back whole")
    func roundTrip() async throws {
        try await TestServer.run { server async throws in
            #expect(try await Self.text(server.request("GET", "/v1/policy")) == Self.plain)
            let set = try await server.request("PUT", "/v1/policy", json: Self.full)
            #expect(try set.status == 200 && Self.text(set) == Self.full)
            #expect(try await Self.text(server.request("GET", "/v1/policy")) == Self.full)
            #expect(try await server.store.load().policy.json.serializedText() == Self.full)
            let short = try await server.request("PUT", "/v1/policy", json: "{}")
            #expect(try short.status == 200 && Self.text(short) == Self.plain)
        }
    }

    @Test("a change that was made on an older policy is refused when it says so, and nothing of the newer one is lost")
    func conditional() async throws {
        try await TestServer.run { server async throws in
            let read = try await server.request("GET", "/v1/policy")
            let tag = try #require(read.headers["etag"])
            func put(_ json: String, ifMatch: String?) async throws -> Answer {
                try await server.request(
                    "PUT", "/v1/policy",
                    ["Content-Type": "application/json"].merging(ifMatch.map { ["If-Match": $0] } ?? [:]) { $1 },
                    body: Array(json.utf8))
            }
            let first = try await put(#"{"deny":["id:one"]}"#, ifMatch: tag)
            let next = try #require(first.headers["etag"])
            #expect(first.status == 200 && next != tag)
            for stale in [tag, "\"\"", "W/\(next)", "nonsense", "\(tag), \"other\""] {
                let second = try await put(#"{"deny":["id:two"]}"#, ifMatch: stale)
                #expect(second.status == 412 && second.code == "policy.changed", "\(stale): \(second)")
            }
            #expect(try await server.request("GET", "/v1/policy").headers["etag"] == next)
            #expect(await server.server.policy().deny == [.id("one")])
            for (matching, id) in [("\"other\", \(next)", "two"), ("*", "three"), (nil, "four")] {
                #expect(try await put(#"{"deny":["id:\#(id)"]}"#, ifMatch: matching).status == 200)
                #expect(await server.server.policy().deny == [.id(id)])
            }
        }
    }

    private static let bodies: [(String, Int, String)] =
        [
            ("", 400, "body.notJSON"), ("{", 400, "body.notJSON"), (#"{"deny":[],"deny":[]}"#, 400, "body.notJSON"),
            (String(repeating: "[", count: 40), 400, "body.notJSON"),
            ("[]", 422, "policy.invalid"), ("null", 422, "policy.invalid"), (#""deny""#, 422, "policy.invalid"),
            (#"{"denied":[]}"#, 422, "policy.invalid"), (#"{"deny":"id:a"}"#, 422, "policy.invalid"),
            (#"{"deny":[7]}"#, 422, "policy.invalid"), (#"{"deny":["id:A"]}"#, 422, "policy.invalid"),
            (#"{"deny":["id:аlpha"]}"#, 422, "policy.invalid"), (#"{"deny":["id:alpha."]}"#, 422, "policy.invalid"),
            (#"{"deny":["address:10.0.0.1/8"]}"#, 422, "policy.invalid"),
            (#"{"allow":["key:00"]}"#, 422, "policy.invalid"), (#"{"allow":null}"#, 422, "policy.invalid"),
            (#"{"firstUse":true}"#, 422, "policy.invalid"), (#"{"firstUse":{"scopes":[]}}"#, 422, "policy.invalid"),
            (#"{"firstUse":{"scopes":["fly"]}}"#, 422, "scopes.invalid"),
            (#"{"firstUse":{"scopes":["handoff"]}}"#, 422, "scopes.heartbeatMissing"),
            (#"{"introducedBy":{"count":0}}"#, 422, "policy.invalid"),
            (#"{"introducedBy":{"count":1e1}}"#, 422, "policy.invalid"),
            (#"{"introducedBy":2}"#, 422, "policy.invalid"), (#"{"introduces":"no"}"#, 422, "policy.invalid"),
            (
                "{\"deny\":[\(Array(repeating: "\"id:a\"", count: Limits.policyPatterns + 1).joined(separator: ","))]}",
                422, "policy.invalid"
            ),
            (String(repeating: " ", count: Limits.jsonBytes + 1), 413, "body.tooLarge"),
        ]

    private static let others: [MalformedTests.Case] = [
        .get("/v1/policy?x=1", 400, "query.unknown"), .get("/v1/introductions?limit=1", 400, "query.unknown"),
        .json("PATCH", "/v1/peers/beta", "{}", 400, "body.missingField"),
        .json("PATCH", "/v1/peers/beta", #"{"scopes":["heartbeat"],"trust":"pinned"}"#, 400, "body.unknownField"),
        .json("PATCH", "/v1/peers/beta", #"{"scopes":"all"}"#, 422, "scopes.invalid"),
        .json("PATCH", "/v1/peers/beta", #"{"scopes":["route"]}"#, 422, "scopes.heartbeatMissing"),
        .json("PATCH", "/v1/peers/nobody", #"{"scopes":["heartbeat"]}"#, 404, "peer.unknown"),
        .json("PATCH", "/v1/peers/No", #"{"scopes":["heartbeat"]}"#, 400, "path.invalid"),
    ]

    @Test("what is not wholly understood changes nothing")
    func refused() async throws {
        try await TestServer.run { server async throws in
            _ = try await server.request("POST", "/v1/peers", jws: try server.card(of: "beta"))
            _ = try await server.request("PUT", "/v1/policy", json: Self.full)
            let peer = try await Self.text(server.request("GET", "/v1/peers/beta"))
            let bodies = Self.bodies.map { MalformedTests.Case.json("PUT", "/v1/policy", $0.0, $0.1, $0.2) }
            for example in bodies + Self.others {
                let answer = try await server.request(
                    example.method, example.path, example.headers, body: example.body.map { Array($0.utf8) })
                #expect(answer.status == example.status && answer.code == example.code, "\(example): \(answer)")
            }
            let form = try await server.request(
                "PUT", "/v1/policy", ["Content-Type": "text/plain"], body: Array("{}".utf8))
            #expect(form.status == 415)
            #expect(try await Self.text(server.request("GET", "/v1/policy")) == Self.full)
            #expect(try await Self.text(server.request("GET", "/v1/peers/beta")) == peer)
        }
    }

    @Test("scopes of a peer are set and shown, and a peer that is denied is refused")
    func scopes() async throws {
        try await TestServer.run { server async throws in
            let added = try await server.request("POST", "/v1/peers", jws: try server.card(of: "beta"))
            #expect(try added.json["trust"]?.text == "pinned" && added.json["scopes"]?.elements?.count == 4)
            #expect(try added.json["keySince"]?.text != nil)
            let set = try await server.request("PATCH", "/v1/peers/beta", json: #"{"scopes":["route","heartbeat"]}"#)
            #expect(try set.status == 200 && set.json["scopes"] == .array([.string("heartbeat"), .string("route")]))
            #expect(try await server.store.load().peers.first?.scopes == [.heartbeat, .route])
            let none = try await server.request("PATCH", "/v1/peers/beta", json: #"{"scopes":[]}"#)
            #expect(try none.status == 200 && none.json["scopes"] == .array([]))
            _ = try await server.request("PUT", "/v1/policy", json: #"{"deny":["gam*"]}"#)
            let denied = try await server.request("POST", "/v1/peers", jws: try server.card(of: "gamma"))
            #expect(denied.status == 403 && denied.code == "policy.denied")
            #expect(try await server.request("GET", "/v1/servers/gamma").status == 404)
        }
    }

    @Test("whoever was heard of is listed with who said so")
    func heardOf() async throws {
        try await TestServer.run { server async throws in
            let empty = try await server.request("GET", "/v1/introductions")
            #expect(try empty.status == 200 && empty.json["servers"] == .array([]))
        }
        let issued = Timestamp(seconds: 1_767_225_600)
        let introduction = Introduction(
            issuer: ServerID(unchecked: "beta"), subject: ServerID(unchecked: "gamma"),
            key: try TestServer.identity("gamma").publicKey, endpoint: try #require(Endpoint("wss://gamma.example")),
            issuedAt: issued, expiresAt: issued + .seconds(60))
        let heard = HeardOf(
            server: introduction.subject,
            introductions: [HeardIntroduction(introduction: introduction, heardAt: issued)],
            trust: .introduced([introduction.issuer]))
        #expect(heard.json["id"]?.text == "gamma" && heard.json["trust"]?.text == "introduced:beta")
        let said = try #require(heard.json["introductions"]?.elements?.first)
        #expect(said["introducer"]?.text == "beta" && said["endpoint"]?.text == "wss://gamma.example:7700")
        #expect(said["expiresAt"]?.text == "2026-01-01T00:01:00.000Z" && said["fingerprint"]?.text?.count == 39)
    }
}
