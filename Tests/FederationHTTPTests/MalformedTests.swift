import FederationCrypto
import FederationModel
import TestKit
import Testing

@testable import FederationHTTP

@Suite("Requests that are wrong", .timeLimit(.minutes(patience)))
struct MalformedTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let method: String
        let path: String
        var headers: [String: String] = [:]
        var body: String?
        let status: Int
        let code: String

        var testDescription: String { "\(method) \(path.prefix(60)) \(body?.prefix(60) ?? "") → \(status) \(code)" }

        static func json(_ method: String, _ path: String, _ body: String, _ status: Int, _ code: String) -> Case {
            Case(
                method: method, path: path, headers: ["Content-Type": "application/json"], body: body, status: status,
                code: code)
        }

        static func get(_ path: String, _ status: Int, _ code: String) -> Case {
            Case(method: "GET", path: path, status: status, code: code)
        }
    }

    static let paths: [Case] = [
        .get("/", 404, "path.unknown"), .get("/v1", 404, "path.unknown"), .get("/v1/nothing", 404, "path.unknown"),
        .get("/v1/servers/", 404, "path.unknown"), .get("/v1//servers", 404, "path.unknown"),
        .get("//v1/servers", 404, "path.unknown"), .get("/V1/servers", 404, "path.unknown"),
        .get("/v1/assets/../servers", 404, "path.unknown"), .get("/v1/servers/%2e%2e", 400, "path.invalid"),
        .get("/v1/servers/Beta", 400, "path.invalid"), .get("/v1/servers/%ff", 400, "path.invalid"),
        .get("/v1/servers/\(String(repeating: "a", count: 65))", 400, "path.invalid"),
        .get("/v1/servers/beta", 404, "server.unknown"), .get("/v1/peers/beta", 404, "peer.unknown"),
        .get("/v1/routes/gate", 404, "route.unknown"), .get("/v1/routes/gate/destination", 404, "route.unknown"),
        .get("/v1/worlds/nowhere", 404, "world.unknown"), .get("/v1/worlds/nowhere/manifest", 404, "world.unknown"),
        .get("/v1/worlds/nowhere/players", 404, "world.unknown"),
        .get("/v1/worlds/w/players/ada", 404, "player.unknown"),
        .get("/v1/worlds/w/players/a@b@c", 400, "path.invalid"), .get("/v1/worlds/w/players/@b", 400, "path.invalid"),
        .get("/v1/assets/abc", 400, "path.invalid"),
        .get("/v1/assets/\(String(repeating: "A", count: 64))", 400, "path.invalid"),
        .get("/v1/assets/\(String(repeating: "a", count: 64))", 404, "asset.unknown"),
        .get("/v1/handoffs/xyz", 400, "path.invalid"),
        .get("/v1/handoffs/\(String(repeating: "0", count: 32))", 404, "handoff.unknown"),
    ]

    static let queries: [Case] = [
        .get("/v1/servers?limit=0", 400, "query.invalid"), .get("/v1/servers?limit=1001", 400, "query.invalid"),
        .get("/v1/servers?limit=x", 400, "query.invalid"), .get("/v1/servers?limit=", 400, "query.invalid"),
        .get("/v1/servers?limit=%2B1", 400, "query.invalid"), .get("/v1/servers?limit=-1", 400, "query.invalid"),
        .get("/v1/servers?limit=1&limit=2", 400, "query.duplicate"),
        .get("/v1/servers?color=red", 400, "query.unknown"),
        .get("/v1/servers?status=gone", 400, "query.invalid"), .get("/v1/servers?after=A", 400, "query.invalid"),
        .get("/v1/servers?status=%zz", 400, "query.encoding"), .get("/v1/routes?to=B", 400, "query.invalid"),
        .get("/v1/handoffs?state=lost", 400, "query.invalid"), .get("/v1/assets?after=12", 400, "query.invalid"),
        .get("/v1/status?x", 400, "query.unknown"),
        .get("/v1/assets/\(String(repeating: "a", count: 64))?type=a%20b", 400, "query.invalid"),
    ]

    static let bodies: [Case] = [
        .json("POST", "/v1/routes", "", 400, "body.notJSON"), .json("POST", "/v1/routes", "{", 400, "body.notJSON"),
        .json("POST", "/v1/routes", "[]", 400, "body.notObject"),
        .json("POST", "/v1/routes", "{}", 400, "body.missingField"),
        .json("POST", "/v1/routes", #"{"portal":"a","portal":"b"}"#, 400, "body.notJSON"),
        .json("POST", "/v1/routes", #"{"portal":"gate","color":1}"#, 400, "body.unknownField"),
        .json("POST", "/v1/routes", #"{"portal":7}"#, 400, "body.invalidField"),
        .json("POST", "/v1/routes", #"{"portal":"Gate"}"#, 400, "body.invalidField"),
        .json(
            "POST", "/v1/routes", #"{"portal":"g","destination":"b","world":"w","spawn":"1,2"}"#, 400,
            "body.invalidField"),
        .json(
            "POST", "/v1/routes", #"{"portal":"g","destination":"b","world":"w","active":"yes"}"#, 400,
            "body.invalidField"),
        .json("POST", "/v1/routes", String(repeating: "[", count: 100), 400, "body.notJSON"),
        .json(
            "POST", "/v1/routes", "\"" + String(repeating: "x", count: Limits.jsonBytes) + "\"", 413, "body.tooLarge"),
        .json("PATCH", "/v1/routes/gate", "{}", 400, "body.missingField"),
        .json("PATCH", "/v1/routes/gate", #"{"active":true}"#, 404, "route.unknown"),
        .json("POST", "/v1/portals/gate/travel", #"{"player":"A"}"#, 400, "body.invalidField"),
        .json("POST", "/v1/portals/gate/travel", #"{"player":"a","epoch":"2"}"#, 400, "body.invalidField"),
        .json("POST", "/v1/portals/gate/travel", #"{"player":"a","epoch":-1}"#, 400, "body.invalidField"),
        .json("POST", "/v1/portals/gate/travel", #"{"player":"a","epoch":1.5}"#, 400, "body.invalidField"),
        .json("POST", "/v1/peers/beta/suspend", #"{"reason":"a\nb"}"#, 400, "body.invalidField"),
        .json("POST", "/v1/peers/beta/suspend", #"{"reason":"noise"}"#, 404, "server.unknown"),
        .json("PUT", "/v1/worlds/harbour", "{}", 422, "manifest.invalid"),
        .json(
            "PUT", "/v1/worlds/harbour", #"{"files":[],"name":"The other","version":1,"world":"other"}"#, 400,
            "manifest.world"),
        Case(method: "POST", path: "/v1/routes", body: "{}", status: 415, code: "body.mediaType"),
        Case(
            method: "POST", path: "/v1/routes", headers: ["Content-Type": "text/html"], body: "{}", status: 415,
            code: "body.mediaType"),
        Case(
            method: "POST", path: "/v1/routes",
            headers: ["Content-Type": "application/json", "Content-Encoding": "gzip"],
            body: "{}", status: 415, code: "body.encoding"),
    ]

    static let statements: [Case] = [
        .json("POST", "/v1/servers", "{}", 400, "body.missingField"),
        .json(
            "POST", "/v1/servers", #"{"protected":"a","payload":"b","signature":"c","header":{}}"#, 400,
            "body.unknownField"),
        .json("POST", "/v1/servers", #"{"protected":"a","payload":"b","signature":"c"}"#, 422, "card.refused"),
        .json("POST", "/v1/peers", "nonsense", 422, "card.refused"),
        .json("POST", "/v1/peers", #"{"card":"a.b.c"}"#, 422, "card.refused"),
        .json("POST", "/v1/servers", String(repeating: "x", count: Limits.jwsBytes + 257), 413, "body.tooLarge"),
        .json("POST", "/v1/servers/beta/heartbeat", "a.b.c", 404, "server.unknown"),
        Case(
            method: "POST", path: "/v1/servers", headers: ["Content-Type": "text/plain"], body: "a.b.c", status: 415,
            code: "body.mediaType"),
    ]

    static let players: [Case] = [
        Case(
            method: "PUT", path: "/v1/worlds/w/players/ada", headers: ["Aether-Epoch": "-1"], body: "x", status: 400,
            code: "header.invalid"),
        Case(
            method: "PUT", path: "/v1/worlds/w/players/ada", headers: ["Aether-Epoch": "1.0"], body: "x", status: 400,
            code: "header.invalid"),
        Case(
            method: "PUT", path: "/v1/worlds/w/players/ada", headers: ["Aether-Client-Key": "ab"], body: "x",
            status: 400,
            code: "header.invalid"),
        Case(
            method: "PUT", path: "/v1/worlds/w/players/ada",
            headers: ["Aether-Client-Key": String(repeating: "0", count: 64)], body: "x", status: 400,
            code: "header.invalid"),
        Case(method: "PUT", path: "/v1/worlds/w/players/ada", body: "x", status: 404, code: "world.unknown"),
        Case(
            method: "PUT", path: "/v1/worlds/w/players/ada",
            body: String(repeating: "x", count: Limits.snapshotBytes + 1),
            status: 413, code: "player.stateTooLarge"),
        Case(method: "DELETE", path: "/v1/worlds/w/players/ada", status: 404, code: "player.unknown"),
        Case(method: "POST", path: "/v1/worlds/w/players/ada/ticket", status: 404, code: "player.unknown"),
        Case(method: "DELETE", path: "/v1/worlds/w", status: 404, code: "world.unknown"),
    ]

    static let methods: [Case] = [
        Case(method: "POST", path: "/healthz", status: 405, code: "method.notAllowed"),
        Case(method: "PUT", path: "/v1/servers", status: 405, code: "method.notAllowed"),
        Case(method: "PATCH", path: "/v1/servers/beta", status: 405, code: "method.notAllowed"),
        Case(method: "PATCH", path: "/v1/worlds/w", status: 405, code: "method.notAllowed"),
        Case(method: "OPTIONS", path: "/v1/routes", status: 405, code: "method.notAllowed"),
        Case(method: "GET", path: "/v1/portals/gate/travel", status: 405, code: "method.notAllowed"),
        Case(method: "POST", path: "/v1/nothing", status: 404, code: "path.unknown"),
    ]

    @Test(
        "each is refused with its own status and code, as problem details",
        arguments: [paths, queries, bodies, statements, players, methods])
    func refused(_ cases: [Case]) async throws {
        try await TestServer.run { server async throws in
            for wrong in cases {
                let answer = try await server.request(
                    wrong.method, wrong.path, wrong.headers, body: wrong.body.map { Array($0.utf8) })
                #expect(
                    answer.status == wrong.status && answer.code == wrong.code, "\(wrong.testDescription): \(answer)")
                try Self.expectProblem(answer)
            }
        }
    }

    /// The shape of RFC 9457, with what every problem here has.
    static func expectProblem(_ answer: Answer) throws {
        #expect(answer.headers["content-type"] == "application/problem+json")
        #expect(answer.headers["cache-control"] == "no-store")
        #expect(answer.headers["x-content-type-options"] == "nosniff")
        #expect(answer.headers["x-request-id"]?.isEmpty == false)
        let members = try #require(try answer.json.members)
        #expect(members["type"] == .string("about:blank"))
        #expect(members["status"] == .integer(Int64(answer.status)))
        #expect(Refusal.isCode(members["code"]?.text ?? ""), "\(answer)")
        for name in ["title", "detail", "remedy"] {
            let text = members[name]?.text ?? ""
            #expect(!text.isEmpty && !text.contains("\n"), "\(name): \(answer)")
        }
        #expect(
            Set(members.keys).isSubset(of: [
                "type", "title", "status", "code", "detail", "remedy", "step", "expected", "actual",
            ]))
    }

    @Test("a method that a path does not have is answered with those that it has")
    func allow() async throws {
        try await TestServer.run { server async throws in
            let answer = try await server.request("PUT", "/v1/routes/gate")
            #expect(answer.headers["allow"] == "DELETE, GET, HEAD, PATCH")
        }
    }

    @Test(
        "a refused HEAD has no body", arguments: ["/v1/nothing", "/v1/servers/beta", "/v1/status", "/v1/servers?x=1"])
    func head(_ path: String) async throws {
        try await TestServer.run { server async throws in
            let answer = try await server.request("HEAD", path, as: .stranger)
            #expect([400, 401, 404].contains(answer.status) && answer.body.isEmpty)
        }
    }

    @Test("two requests on one connection are answered in turn, also when the first is refused with its body unread")
    func keepAlive() async throws {
        try await TestServer.run { server async throws in
            let first = "POST /v1/routes HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello"
            let second = RawRequest(method: "GET", path: "/healthz").bytes
            let received = String(
                decoding: try await server.exchange(Array(first.utf8) + second, closing: false), as: UTF8.self)
            #expect(received.hasPrefix("HTTP/1.1 401"))
            #expect(received.contains("HTTP/1.1 200 OK"))
        }
    }

    @Test("what does not parse on a used connection is answered as well, and so is a body that breaks")
    func laterNonsense() async throws {
        try await TestServer.run { server async throws in
            let first = Array("GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n".utf8)
            let head =
                "PUT /v1/worlds/w/players/ada HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"
                + "Authorization: Bearer \(TestServer.adminKey)\r\n\r\n"
            for (bytes, code) in [
                (Array("nonsense\r\n\r\n".utf8), "request.malformed"),
                (Array((head + "zz\r\n").utf8), "body.incomplete"),
            ] {
                let received = String(
                    decoding: try await server.exchange(first + bytes, closing: true), as: UTF8.self)
                #expect(received.hasPrefix("HTTP/1.1 200") && received.contains("HTTP/1.1 400"))
                #expect(received.contains(code), "\(received)")
            }
        }
    }

    /// Would fail if only the first request of a connection were looked at, or if what comes behind were answered.
    @Test(
        "a request of HTTP/1.1 that does not name its host once is refused",
        arguments: ["", "Host: a\r\nHost: a\r\n"])
    func hosts(_ lines: String) async throws {
        try await TestServer.run { server async throws in
            let good = "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"
            let bad = "GET /healthz HTTP/1.1\r\n\(lines)\r\n"
            for (text, answered) in [(bad, 0), (good + bad, 1), (good + bad + good, 1)] {
                let received = String(
                    decoding: try await server.exchange(Array(text.utf8), closing: false), as: UTF8.self)
                #expect(received.ranges(of: "HTTP/1.1 200").count == answered, "\(received)")
                #expect(received.ranges(of: "HTTP/1.1 400").count == 1 && received.contains("request.malformed"))
            }
            let old = Array("GET /healthz HTTP/1.0\r\nConnection: close\r\n\r\n".utf8)
            let received = String(decoding: try await server.exchange(old, closing: false), as: UTF8.self)
            #expect(received.contains(" 200 OK"))
        }
    }

    @Test("what cannot be had at this moment says when to try again, also when no refusal of the service is behind it")
    func unavailable() {
        #expect(Problem(.serviceUnavailable, code: "server.stopping", "a", remedy: "b").headers[.retryAfter] == "5")
        #expect(Problem(.internalServerError, code: "server.failed", "a", remedy: "b").headers[.retryAfter] == nil)
    }

    @Test("a WebSocket's path says so to who does not upgrade, on a new connection and on a used one")
    func sockets() async throws {
        try await TestServer.run { server async throws in
            for path in ["/client", "/client?x=1"] {
                let answer = try await server.request("GET", path, as: .stranger)
                #expect(answer.status == 426 && answer.code == "websocket.required")
                #expect(try answer.json["remedy"]?.text?.isEmpty == false)
                #expect(answer.headers["upgrade"] == "websocket")
            }
            let first = "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"
            let second = RawRequest(method: "GET", path: "/client").bytes
            let received = String(
                decoding: try await server.exchange(Array(first.utf8) + second, closing: false), as: UTF8.self)
            #expect(received.contains("HTTP/1.1 426") && received.contains("websocket.required"))
        }
    }

    @Test(
        "what is not HTTP is answered with 400",
        arguments: ["nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "FROB / HTTP/1.1\r\n\r\n"])
    func notHTTP(_ text: String) async throws {
        try await TestServer.run { server async throws in
            let received = try await server.exchange(Array(text.utf8), closing: true)
            #expect(String(decoding: received.prefix(12), as: UTF8.self) == "HTTP/1.1 400")
            #expect(String(decoding: received, as: UTF8.self).contains("application/problem+json"))
        }
    }
}
