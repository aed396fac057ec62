import FederationCrypto
import FederationModel
import Hummingbird
import TestKit
import Testing

@testable import FederationHTTP

@Suite("Who may use which route", .timeLimit(.minutes(patience)))
struct AccessTests {
    /// Everything that a stranger may use; the rest needs the key.
    static let open: Set<String> = [
        "GET /.well-known/aether-federation", "GET /healthz", "GET /metrics", "GET /v1/servers",
        "GET /v1/servers/{server}", "GET /v1/worlds", "GET /v1/worlds/{world}", "GET /v1/worlds/{world}/manifest",
        "GET /v1/assets/{sha256}", "GET /client", "GET /federation",
        "GET /v1/log/head", "GET /v1/log/entries", "GET /v1/log/inclusion", "GET /v1/log/consistency",
        "GET /v1/registries", "POST /v1/revocations", "GET /v1/equivocations", "POST /v1/inquiries",
    ]

    /// Those of them where strangers are counted and whoever has the key is not, or sees more: a wrong one is a guess.
    static let sparingTheKey: Set<String> = [
        "GET /v1/servers", "GET /v1/servers/{server}", "GET /v1/log/head", "GET /v1/log/entries",
        "GET /v1/log/inclusion", "GET /v1/log/consistency", "GET /v1/registries",
    ]

    /// A path of a route with something for each parameter.
    static func path(_ pattern: String) -> String {
        pattern.replacing("{server}", with: "beta").replacing("{world}", with: "harbour")
            .replacing("{portal}", with: "gate").replacing("{player}", with: "ada")
            .replacing("{handoff}", with: String(repeating: "0", count: 32))
            .replacing("{sha256}", with: String(repeating: "0", count: 64))
    }

    static func routes(_ server: TestServer, _ registry: FederationRoutes.RegistryAccess = .admin) -> [APIRoute] {
        FederationRoutes(
            server: server.server, admin: AdminAuthenticator(keyHash: ContentHash.of([])), metrics: server.metrics,
            registryAccess: registry
        ).routes
    }

    @Test(
        "each route lets in the stranger, the guesser and the admin as it should", arguments: TestServer.Caller.allCases
    )
    func everyRoute(_ caller: TestServer.Caller) async throws {
        try await TestServer.run { server async throws in
            let routes = Self.routes(server)
            #expect(routes.count > 35)
            for route in routes {
                let name = "\(route.method.rawValue) \(route.path)"
                let answer = try await server.request(route.method.rawValue, Self.path(route.path), as: caller)
                switch (Self.open.contains(name), caller) {
                case (true, .guesser) where Self.sparingTheKey.contains(name):
                    #expect(answer.status == 401 && answer.code == "admin.keyWrong", "\(name): \(answer)")
                case (true, _), (false, .admin):
                    #expect(![401, 429].contains(answer.status), "\(name): \(answer)")
                case (false, .stranger):
                    #expect(answer.status == 401 && answer.code == "admin.keyMissing", "\(name): \(answer)")
                    #expect(answer.headers["www-authenticate"] == "Bearer realm=\"aether\"")
                case (false, .guesser):
                    #expect(answer.status == 401 && answer.code == "admin.keyWrong", "\(name): \(answer)")
                    #expect(answer.headers["www-authenticate"]?.contains("invalid_token") == true)
                }
                // Out of the window in which wrong keys are counted.
                server.clock.advance(by: AttemptLimiter.window)
            }
            #expect(Self.open.isSubset(of: Set(routes.map { "\($0.method.rawValue) \($0.path)" })))
        }
    }

    @Test("inquiries of one address have a bound, also those that nobody answers")
    func inquiries() async throws {
        try await TestServer.run { server async throws in
            for _ in 0..<60 {
                let answer = try await server.request("POST", "/v1/inquiries", as: .stranger, jws: "a.b.c")
                #expect(answer.status == 422 && answer.code == "inquiry.malformed", "\(answer)")
            }
            let refused = try await server.request("POST", "/v1/inquiries", as: .stranger, jws: "a.b.c")
            #expect(refused.status == 429 && refused.code == "inquiry.tooMany", "\(refused)")
            #expect(refused.headers["retry-after"] == "1")
            server.clock.advance(by: .seconds(1))
            let large = String(repeating: "a", count: Limits.jwsBytes + 300)
            let tooLarge = try await server.request("POST", "/v1/inquiries", as: .stranger, jws: large)
            #expect(tooLarge.status == 413, "\(tooLarge)")
        }
    }

    @Test("an examination is for the operator, and says so where nothing can be examined")
    func examinations() async throws {
        try await TestServer.run { server async throws in
            for body in ["{}", #"{"peer":"beta"}"#] {
                let answer = try await server.request("POST", "/v1/examinations", json: body)
                #expect(answer.status == 503 && answer.code == "examination.unavailable", "\(answer)")
            }
            let other = try await server.request("POST", "/v1/examinations", json: #"{"endpoint":"ws://10.0.0.1:22"}"#)
            #expect(other.status == 400 && other.code == "body.unknownField", "\(other)")
        }
    }

    /// Would fail if the count of wrong keys were asked before the key is looked at: behind a proxy strangers have the
    /// operator's address.
    @Test("after ten wrong keys an address has to wait before it shows another, and the right one is let in anyway")
    func limit() async throws {
        try await TestServer.run { server async throws in
            for number in 0..<AttemptLimiter.allowed {
                let path = number % 2 == 0 ? "/v1/status" : "/v1/servers/beta/heartbeat"
                let answer = try await server.request(number % 2 == 0 ? "GET" : "POST", path, as: .guesser)
                #expect(answer.status == 401 && answer.code == "admin.keyWrong", "\(answer)")
            }
            #expect(try await server.request("GET", "/v1/status").status == 200)
            let refused = try await server.request("GET", "/v1/status", as: .guesser)
            #expect(refused.status == 429 && refused.code == "admin.tooManyAttempts")
            #expect(Int(refused.headers["retry-after"] ?? "").map { (1...61).contains($0) } == true)
            #expect(try await server.request("GET", "/v1/servers").status == 200)
            #expect(try await server.request("GET", "/v1/servers", as: .stranger).status == 200)
            server.clock.advance(by: .seconds(60))
            #expect(try await server.request("GET", "/v1/status", as: .guesser).status == 401)
        }
    }

    /// Would fail if strangers were counted in a registry only: what they ask costs every server the same.
    @Test(
        "strangers of one address may list servers and send heartbeats so often, and whoever has the key as they like",
        arguments: [FederationRoutes.RegistryAccess.admin, .signed])
    func strangers(_ access: FederationRoutes.RegistryAccess) async throws {
        try await TestServer.run(registryAccess: access) { server async throws in
            let beat = HeartbeatStatement(
                issuer: try TestServer.identity("beta").id, audience: server.server.id, sequence: 1,
                issuedAt: server.clock.now().timestamp
            )
            .issue(by: try ServerIdentity(id: ServerID(unchecked: "beta"), seed: [UInt8](repeating: 66, count: 32)))
            let bounds: [(method: String, path: String, body: String?, count: Int, status: Int)] = [
                ("GET", "/v1/servers?text=harbour", nil, 300, 200),
                ("POST", "/v1/servers/beta/heartbeat", beat, 60, access == .admin ? 401 : 404),
            ]
            for bound in bounds {
                func answer(_ caller: TestServer.Caller) async throws -> Answer {
                    guard let body = bound.body else {
                        return try await server.request(bound.method, bound.path, as: caller)
                    }
                    return try await server.request(bound.method, bound.path, as: caller, jws: body)
                }
                for _ in 0..<bound.count { #expect(try await answer(.stranger).status == bound.status) }
                let refused = try await answer(.stranger)
                #expect(refused.status == 429 && refused.code == "registry.tooManyRequests", "\(refused)")
                #expect(refused.headers["retry-after"] == "1")
                #expect(try await answer(.admin).status != 429)
            }
            // Both are counted as one.
            #expect(try await server.request("GET", "/v1/servers/beta", as: .stranger).status == 429)
            server.clock.advance(by: .seconds(1))
            for bound in bounds {
                let method = bound.method, path = bound.path
                #expect(try await server.request(method, path, as: .stranger).status != 429)
            }
        }
    }

    @Test(
        "only one well-formed Bearer field is a key",
        arguments: [
            ("Bearer \(TestServer.adminKey)", 200), ("bearer \(TestServer.adminKey)", 200),
            (TestServer.adminKey, 401), ("Basic \(TestServer.adminKey)", 401), ("Bearer", 401), ("Bearer ", 401),
            ("Bearer \(TestServer.adminKey)x", 401), ("Bearer \(TestServer.adminKey.dropLast())", 401), ("", 401),
        ])
    func field(_ value: String, _ status: Int) async throws {
        try await TestServer.run { server async throws in
            #expect(
                try await server.request("GET", "/v1/status", as: .stranger, ["Authorization": value]).status == status)
        }
    }

    @Test(
        "metrics are read as configured",
        arguments: [
            (FederationRoutes.MetricsAccess.loopback, [:], 200), (.loopback, ["X-Forwarded-For": "192.0.2.1"], 401),
            (.loopback, ["Forwarded": "for=192.0.2.1"], 401), (.loopback, ["Via": "1.1 proxy"], 401),
            (.everyone, [:], 200),
            (.everyone, ["X-Forwarded-For": "192.0.2.1"], 200), (.nobody, [:], 401),
        ])
    func metrics(_ access: FederationRoutes.MetricsAccess, _ headers: [String: String], _ status: Int) async throws {
        try await TestServer.run(metricsAccess: access) { server async throws in
            #expect(try await server.request("GET", "/metrics", as: .stranger, headers).status == status)
            #expect(try await server.request("GET", "/metrics", as: .admin, headers).status == 200)
        }
    }

    @Test("a signed registry takes cards and heartbeats without the key, and nothing else")
    func signedRegistry() async throws {
        let cards = StubCards()
        try await TestServer.run(registryAccess: .signed, cards: cards) { server async throws in
            let card = try server.card(of: "beta")
            try cards.serve(card, at: server.clock.now().timestamp)
            #expect(try await server.request("POST", "/v1/servers", as: .stranger, jws: card).status == 200)
            let beat = HeartbeatStatement(
                issuer: try TestServer.identity("beta").id, audience: server.server.id, sequence: 1,
                issuedAt: server.clock.now().timestamp
            )
            .issue(by: try TestServer.identity("beta"))
            let answer = try await server.request("POST", "/v1/servers/beta/heartbeat", as: .stranger, jws: beat)
            #expect(try answer.json["status"]?.text == "online")
            #expect(try await server.request("DELETE", "/v1/servers/beta", as: .stranger).status == 415)
            #expect(try await server.request("DELETE", "/v1/servers/beta", as: .guesser).status == 401)
            #expect(try await server.request("DELETE", "/v1/servers/beta", as: .stranger, jws: card).status == 403)
            for act in ["suspend", "reinstate"] {
                #expect(try await server.request("POST", "/v1/servers/beta/\(act)", as: .stranger).status == 401)
            }
            #expect(try await server.request("POST", "/v1/peers", as: .stranger, jws: card).status == 401)
        }
    }
}

@Suite("The counting of wrong keys")
struct AttemptLimiterTests {
    private let start = Instant(nanoseconds: 5_000_000_000)

    @Test("addresses are counted apart, and for a minute")
    func windows() {
        var limiter = AttemptLimiter()
        for _ in 0..<AttemptLimiter.allowed { limiter.recordFailure(of: "a", at: start) }
        #expect(limiter.wait(for: "a", at: start) == 61)
        #expect(limiter.wait(for: "a", at: start + .milliseconds(59_500)) == 1)
        #expect(limiter.wait(for: "a", at: start + .seconds(60)) == nil)
        #expect(limiter.wait(for: "b", at: start) == nil)
        limiter.recordFailure(of: "a", at: start + .seconds(60))
        #expect(limiter.wait(for: "a", at: start + .seconds(60)) == nil)
    }

    @Test("a flood of addresses pushes out the oldest and never grows over the bound")
    func bound() {
        var limiter = AttemptLimiter()
        for _ in 0..<AttemptLimiter.allowed { limiter.recordFailure(of: "first", at: start) }
        for index in 0..<AttemptLimiter.addresses {
            limiter.recordFailure(of: "address \(index)", at: start + .milliseconds(1))
        }
        #expect(limiter.wait(for: "first", at: start + .milliseconds(1)) == nil)
    }
}
