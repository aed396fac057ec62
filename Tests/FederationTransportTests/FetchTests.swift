import FederationModel
import NIOCore
import NIOHTTP1
import NIOSSL
import Synchronization
import TestKit
import Testing

@testable import FederationTransport

@Suite("Fetching from servers that somebody named", .timeLimit(.minutes(5 * patience)))
struct FetchTests {
    private func fetcher(
        _ resolver: any NameResolver, allowsPrivate: Bool = false, limit: Duration = unhurried,
        concurrent: Int = 8
    ) throws -> GuardedFetcher {
        var configuration = GuardedFetcher.Configuration()
        configuration.policy = AddressPolicy(allowsPrivate: allowsPrivate)
        configuration.timeLimit = limit
        configuration.concurrent = concurrent
        configuration.tls.trustRoots = .certificates([try TestCertificate.certificate()])
        return try GuardedFetcher(configuration: configuration, resolver: resolver)
    }

    private func origin(_ host: String, _ port: Int, secure: Bool = false) throws -> Endpoint {
        try #require(Endpoint("\(secure ? "wss" : "ws")://\(host):\(port)"))
    }

    private func failure(
        _ fetcher: GuardedFetcher, _ request: FetchRequest
    ) async -> FetchFailure? {
        do throws(FetchFailure) {
            _ = try await fetcher.fetch(request)
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "a card is fetched from an address of the name, with the name as its host and nothing of ours",
        arguments: [false, true])
    func card(secure: Bool) async throws {
        let server = try await ScriptedServer.start(tls: secure ? TestCertificate.serverContext() : nil) { _ in
            .full(.ok, ["Content-Type": "application/jose"], body: "a.b.c")
        }
        // The certificate is for this name; 127.0.7.9 has nobody, and the next address is tried.
        let resolver = ScriptedResolver(["localhost": [["127.0.7.9", "127.0.0.1"]]])
        let document = try await fetcher(resolver, allowsPrivate: true)
            .fetch(.card(of: try origin("localhost", server.port, secure: secure)))
        #expect(document.status == 200 && document.body == Array("a.b.c".utf8))
        #expect(document.headers["content-type"] == "application/jose")
        let head = try #require(server.asked.first)
        #expect(head.uri == "/.well-known/aether-federation" && head.method == .GET)
        #expect(head.headers["Host"] == ["localhost:\(server.port)"])
        #expect(head.headers["Accept"] == ["application/jose"])
        #expect(!head.headers.contains(name: "Authorization") && !head.headers.contains(name: "Cookie"))
        #expect(resolver.asked == ["localhost"])
        try await server.stop()
    }

    @Test("the certificate must be the name's, whatever address was dialled")
    func certificate() async throws {
        // The certificate is also for 127.0.0.1 itself.
        let server = try await ScriptedServer.start(host: "127.0.7.13", tls: TestCertificate.serverContext()) { _ in
            .full(.ok)
        }
        let resolver = ScriptedResolver(["beta.test": [["127.0.7.13"]]])
        let failure = await failure(
            try fetcher(resolver, allowsPrivate: true), .card(of: try origin("beta.test", server.port, secure: true)))
        #expect(failure == .tls(.otherName))
        #expect(server.asked.isEmpty)
        try await server.stop()
    }

    @Test("a server whose TLS is wrong is there, and what is said to do is about that", arguments: TLSFault.allCases)
    func tlsFault(_ fault: TLSFault) throws {
        let request = FetchRequest.card(of: try origin("beta.test", 7_700, secure: true))
        let refusal = FetchFailure.tls(fault).refusal(of: request)
        #expect(refusal.reason == "a server answers at https://beta.test:7700, but \(fault.reason)")
        #expect(refusal.remedy == fault.remedy && refusal.code == "tls.\(fault.code)")
        #expect(!refusal.description.contains("\n"))
    }

    static let forbidden: [[String]] = [
        ["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["0.0.0.0"], ["fe80::1"], ["fd00::1"],
        ["100.64.0.1"], ["224.0.0.1"],
    ]

    @Test("a name with one address that is not public is refused, and nobody is called", arguments: forbidden)
    func privateNames(_ addresses: [String]) async throws {
        let server = try await ScriptedServer.start { _ in .full(.ok) }
        let resolver = ScriptedResolver(["beta.test": [addresses]])
        let failure = await failure(try fetcher(resolver), .card(of: try origin("beta.test", server.port)))
        guard case .address(let refusal)? = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(refusal.code == "address.refused")
        #expect(server.asked.isEmpty)
        try await server.stop()
    }

    @Test(
        "an address in the URL is judged as one that a name has",
        arguments: ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
    func literals(_ host: String) async throws {
        let resolver = ScriptedResolver([:])
        let failure = await failure(try fetcher(resolver), .card(of: try origin(host, 7700)))
        guard case .address? = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(resolver.asked.isEmpty)
    }

    @Test(
        "nothing is fetched from a denied address, not even by the operator's choice or behind a redirect",
        arguments: [false, true])
    func denied(isOperatorsChoice: Bool) async throws {
        let server = try await ScriptedServer.start(host: "127.0.7.41") { _ in .full(.ok, body: "a.b.c") }
        let leading = try await ScriptedServer.start { _ in
            .full(.found, ["Location": "http://beta.test:\(server.port)/.well-known/aether-federation"])
        }
        let resolver = ScriptedResolver(["beta.test": [["127.0.7.41"]]])
        let fetcher = try fetcher(resolver, allowsPrivate: true)
        for (host, port) in [("beta.test", server.port), ("127.0.7.41", server.port), ("127.0.0.1", leading.port)] {
            var request = FetchRequest.card(of: try origin(host, port))
            request.isOperatorsChoice = isOperatorsChoice
            request.denied = [try #require(AddressRange("127.0.7.0/24"))]
            guard case .address(let refusal)? = await failure(fetcher, request) else {
                Issue.record("\(host) was asked")
                continue
            }
            #expect(refusal.code == "address.denied")
        }
        #expect(server.asked.isEmpty && leading.asked.count == 1)
        try await server.stop()
        try await leading.stop()
    }

    @Test("a name that changes its address between the check and the connection leads nowhere else")
    func rebinding() async throws {
        let outer = try await ScriptedServer.start { _ in .full(.ok, body: "outer") }
        let inner = try await ScriptedServer.start(host: "127.0.7.10", port: outer.port) { _ in
            .full(.ok, body: "inner")
        }
        let resolver = ScriptedResolver(["beta.test": [["127.0.0.1"], ["127.0.7.10"]]])
        let document = try await fetcher(resolver, allowsPrivate: true)
            .fetch(.card(of: try origin("beta.test", outer.port)))
        #expect(document.body == Array("outer".utf8))
        #expect(resolver.asked.count == 1 && inner.asked.isEmpty)
        try await outer.stop()
        try await inner.stop()
    }

    @Test("where an operator's own choice leads on is judged again")
    func redirectInside() async throws {
        let inner = try await ScriptedServer.start(host: "127.0.7.11") { _ in .full(.ok, body: "inner") }
        let target = "http://inner.test:\(inner.port)/.well-known/aether-federation"
        let server = try await ScriptedServer.start { _ in .full(.found, ["Location": target]) }
        let resolver = ScriptedResolver(["outer.test": [["127.0.0.1"]], "inner.test": [["127.0.7.11"]]])
        var request = FetchRequest.card(of: try origin("outer.test", server.port))
        request.isOperatorsChoice = true
        guard case .address? = await failure(try fetcher(resolver), request) else {
            Issue.record("the redirect was followed")
            return
        }
        #expect(server.asked.count == 1 && inner.asked.isEmpty)
        // With leave it is followed.
        let document = try await fetcher(resolver, allowsPrivate: true).fetch(request)
        #expect(document.body == Array("inner".utf8) && document.origin.host.name == "inner.test")
        try await server.stop()
        try await inner.stop()
    }

    @Test("three redirects are followed and no more")
    func redirectLoop() async throws {
        let server = try await ScriptedServer.start { head in
            let count = head.uri.split(separator: "=").last.flatMap { Int($0) } ?? 0
            return count == 3
                ? .full(.ok, body: "there") : .full(.permanentRedirect, ["Location": "/v1/servers?n=\(count + 1)"])
        }
        let fetcher = try fetcher(ScriptedResolver([:]), allowsPrivate: true)
        let origin = try origin("127.0.0.1", server.port)
        #expect(try await fetcher.fetch(try #require(FetchRequest(origin, "/v1/servers"))).body == Array("there".utf8))
        #expect(server.asked.count == 4)
        let endless = try await ScriptedServer.start { head in .full(.found, ["Location": head.uri]) }
        let loop = FetchRequest.card(of: try self.origin("127.0.0.1", endless.port))
        #expect(await failure(fetcher, loop) == .tooManyRedirects)
        #expect(endless.asked.count == 4)
        try await server.stop()
        try await endless.stop()
    }

    static let redirects: [(from: String, location: String, to: String?)] = [
        ("wss://a.test:443", "https://b.test/.well-known/aether-federation", "wss://b.test:443"),
        ("ws://a.test:80", "https://b.test/.well-known/aether-federation", "wss://b.test:443"),
        ("ws://a.test:80", "http://b.test:7700/.well-known/aether-federation", "ws://b.test:7700"),
        ("ws://a.test:80", "http://[::1]/.well-known/aether-federation", "ws://[::1]:80"),
        ("ws://a.test:80", "http://[::1]:81/.well-known/aether-federation", "ws://[::1]:81"),
        ("wss://a.test:443", "http://b.test/.well-known/aether-federation", nil),
        ("wss://a.test:443", "http://a.test:443/.well-known/aether-federation", nil),
        ("ws://a.test:80", "http://b.test/admin", nil), ("ws://a.test:80", "http://b.test", nil),
        ("ws://a.test:80", "http://b.test?/.well-known/aether-federation", nil),
        ("ws://a.test:80", "http://u:p@b.test/.well-known/aether-federation", nil),
        ("ws://a.test:80", "//b.test/.well-known/aether-federation", nil),
        ("ws://a.test:80", "ftp://b.test/.well-known/aether-federation", nil),
        ("ws://a.test:80", "file:///etc/passwd", nil), ("ws://a.test:80", "", nil),
        ("ws://a.test:80", "http://b.test:0/.well-known/aether-federation", nil),
        ("ws://a.test:80", "/.well-known/aether-federation", "ws://a.test:80"),
        ("ws://a.test:80", "/v1/../metrics", nil), ("ws://a.test:80", "/v1/servers/../../metrics", nil),
        ("ws://a.test:80", "/v1/servers%2f..%2f..%2fmetrics", nil), ("ws://a.test:80", "/v1/serversx", nil),
        ("ws://a.test:80", "/v1/servers\r\nX: y", nil), ("ws://a.test:80", "/v1/players", nil),
    ]

    @Test("a redirect leads to the federation's own paths and never out of TLS", arguments: redirects)
    func redirect(_ from: String, _ location: String, _ to: String?) throws {
        let request = FetchRequest.card(of: try #require(Endpoint(from)))
        #expect(request.redirected(to: location)?.origin.description == to)
    }

    @Test("a server that drips or says nothing is given up when the time is over", arguments: [true, false])
    func slow(isDripping: Bool) async throws {
        let server = try await ScriptedServer.start { _ in isDripping ? .drip(every: .milliseconds(20)) : .silence }
        let fetcher = try fetcher(ScriptedResolver([:]), allowsPrivate: true, limit: .milliseconds(300))
        #expect(await failure(fetcher, .card(of: try origin("127.0.0.1", server.port))) == .timedOut)
        try await server.stop()
    }

    @Test("a name server that says nothing is given up when the time is over")
    func silentNames() async throws {
        let fetcher = try fetcher(SilentResolver(), limit: .milliseconds(200))
        #expect(await failure(fetcher, .card(of: try origin("beta.test", 7700))) == .timedOut)
    }

    static let large: [ScriptedServer.Answer] = [
        .full(.ok, ["Content-Length": "65537"], body: ""), .chunks(count: 9, bytes: 8_192),
        .full(.ok, body: String(repeating: "x", count: 65_537)),
    ]

    @Test("a document that is too large is refused as soon as that is known", arguments: large.indices)
    func oversized(_ index: Int) async throws {
        let answer = Self.large[index]
        let server = try await ScriptedServer.start { _ in answer }
        let fetcher = try fetcher(ScriptedResolver([:]), allowsPrivate: true)
        #expect(await failure(fetcher, .card(of: try origin("127.0.0.1", server.port))) == .oversized(65_536))
        try await server.stop()
        let fits = try await ScriptedServer.start { _ in .chunks(count: 8, bytes: 8_192) }
        #expect(try await fetcher.fetch(.card(of: try origin("127.0.0.1", fits.port))).body.count == 65_536)
        try await fits.stop()
    }

    @Test("strangers' words bring about one question at a time to one server, and everybody's together so many")
    func concurrency() async throws {
        let server = try await ScriptedServer.start { _ in .silence }
        let other = try await ScriptedServer.start { _ in .silence }
        let fetcher = try fetcher(ScriptedResolver([:]), allowsPrivate: true, concurrent: 3)
        let ports = (server.port, other.port)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for port in [ports.0, ports.1] {
                var request = FetchRequest.card(of: try origin("127.0.0.1", port))
                request.isProvoked = true
                group.addTask {
                    let answer = try await fetcher.fetch(request)
                    #expect(answer.status == 404)
                }
            }
            while server.asked.isEmpty || other.asked.isEmpty, !Task.isCancelled { await Task.yield() }
            var again = FetchRequest.card(of: try origin("127.0.0.1", ports.0))
            again.isProvoked = true
            // Where it is not refused at once nobody answers it.
            again.timeLimit = .milliseconds(200)
            #expect(await failure(fetcher, again) == .busy)
            // The operator need not wait for what strangers do, as long as there is room.
            again.isProvoked = false
            again.timeLimit = nil
            group.addTask { [again] in
                let answer = try await fetcher.fetch(again)
                #expect(answer.status == 404)
            }
            while server.asked.count < 2, !Task.isCancelled { await Task.yield() }
            #expect(await failure(fetcher, .card(of: try origin("127.0.0.1", 9))) == .busy)
            for server in [server, other] { server.breakSilence() }
            try await group.waitForAll()
        }
        #expect(server.asked.count == 2)
        try await server.stop()
        try await other.stop()
    }

    @Test("a closed port and a name without address say what they are, to the operator only")
    func closed() async throws {
        let server = try await ScriptedServer.start(host: "127.0.7.12") { _ in .silence }
        let port = server.port
        try await server.stop()
        let fetcher = try fetcher(ScriptedResolver(["empty.test": [[]]]), allowsPrivate: true)
        #expect(
            await failure(fetcher, .card(of: try origin("127.0.7.12", port))) == .unreachable("Connection refused"))
        #expect(
            await failure(fetcher, .card(of: try origin("empty.test", port)))
                == .unresolved("empty.test has no address"))
        #expect(
            await failure(fetcher, .card(of: try origin("gone.test", port))) == .unresolved("gone.test: no such name"))
    }
}

@Suite("What strangers make this server look at", .timeLimit(.minutes(5 * patience)))
struct ProvokedFetchTests {
    @Test("an address is called so often in a minute, whatever its names and ports, and others still are")
    func budget() throws {
        var budget = TargetBudget()
        func address(_ text: String) throws -> NetworkAddress { try #require(NetworkAddress(text)) }
        let start = NIODeadline.uptimeNanoseconds(600_000_000_000)
        for _ in 0..<TargetBudget.perAddress { #expect(budget.admit(try address("8.8.8.8"), at: start) == true) }
        #expect(budget.admit(try address("8.8.8.8"), at: start) == false)
        #expect(budget.admit(try address("::ffff:8.8.8.8"), at: start) == false)
        #expect(budget.admit(try address("8.8.4.4"), at: start) == true)
        for number in 0..<TargetBudget.perAddress {
            #expect(budget.admit(try address("2606:4700:1:2::\(number)"), at: start) == true)
        }
        #expect(budget.admit(try address("2606:4700:1:2:ffff::"), at: start) == false)
        #expect(budget.admit(try address("2606:4700:1:3::"), at: start) == true)
        for number in 0..<200 { _ = budget.admit(try address("9.9.9.\(number)"), at: start) }
        #expect(budget.admit(try address("1.1.1.1"), at: start + .seconds(59)) == false)
        #expect(budget.admit(try address("1.1.1.1"), at: start + .seconds(60)) == true)
    }

    @Test("one network brings about a quarter of all calls at most, and the others still have theirs")
    func fairness() throws {
        var budget = TargetBudget()
        let start = NIODeadline.uptimeNanoseconds(600_000_000_000)
        func network(_ text: String) throws -> AddressRange { try #require(NetworkAddress(text)).network }
        let (greedy, modest) = (try network("198.51.100.1"), try network("2001:db8:1:2::1"))
        func target(_ number: Int) throws -> NetworkAddress { try #require(NetworkAddress("9.9.9.\(number)")) }
        for number in 0..<TargetBudget.perCaller {
            #expect(budget.admit(try target(number), for: greedy, at: start) == true)
        }
        #expect(budget.admit(try target(200), for: greedy, at: start) == false)
        #expect(budget.admit(try target(200), for: modest, at: start) == true)
        #expect(budget.admit(try target(201), at: start) == true)
        // What was refused has not been counted.
        #expect(TargetBudget.perCaller * 4 == TargetBudget.inAll)
        for number in 0..<TargetBudget.perCaller - 1 {
            #expect(budget.admit(try target(number), for: modest, at: start) == true)
        }
        #expect(budget.admit(try target(202), for: modest, at: start) == false)
        #expect(budget.admit(try target(202), for: greedy, at: start + TargetBudget.window) == true)
    }

    @Test("one network has half of the places at most, so that slow answers to it keep nobody else waiting")
    func places() async throws {
        let servers = [
            try await ScriptedServer.start(host: "127.0.7.61") { _ in .silence },
            try await ScriptedServer.start(host: "127.0.7.62") { _ in .silence },
        ]
        let good = try await ScriptedServer.start(host: "127.0.7.63") { _ in .full(.ok, body: "a.b.c") }
        var configuration = GuardedFetcher.Configuration()
        configuration.policy = AddressPolicy(allowsPrivate: true)
        configuration.timeLimit = unhurried
        configuration.concurrent = 4
        let fetcher = try GuardedFetcher(configuration: configuration, resolver: ScriptedResolver([:]))
        func request(_ host: String, _ port: Int, from caller: String) throws -> FetchRequest {
            var request = FetchRequest.card(of: try #require(Endpoint("ws://\(host):\(port)")))
            request.isProvoked = true
            request.caller = try #require(NetworkAddress(caller)).network
            return request
        }
        let slow = [
            try request("127.0.7.61", servers[0].port, from: "198.51.100.1"),
            try request("127.0.7.62", servers[1].port, from: "198.51.100.1"),
        ]
        let third = try request("127.0.7.63", good.port, from: "198.51.100.1")
        let other = try request("127.0.7.63", good.port, from: "198.51.100.2")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for request in slow {
                group.addTask {
                    let answer = try await fetcher.fetch(request)
                    #expect(answer.status == 404)
                }
            }
            while servers.contains(where: { $0.asked.isEmpty }), !Task.isCancelled { await Task.yield() }
            await #expect(throws: FetchFailure.busy) { try await fetcher.fetch(third) }
            #expect(try await fetcher.fetch(other).body == Array("a.b.c".utf8))
            for server in servers { server.breakSilence() }
            try await group.waitForAll()
        }
        // Its places are free again.
        #expect(try await fetcher.fetch(third).status == 200)
        for server in servers + [good] { try await server.stop() }
    }

    static let bodies: [(String, String?)] = [
        ("a.b.c", "a.b.c"), (" a.b.c\n", "a.b.c"), ("a..c", "a..c"), ("a.b", nil), ("a.b.c.d", nil), ("", nil),
        (#"{"protected":"a","payload":"b","signature":"c"}"#, "a.b.c"), (#"{"protected":"a","payload":"b"}"#, nil),
        (#"{"protected":"a","payload":"b","signature":"c""#, nil), ("<html>a.b.c</html>", "<html>a.b.c</html>"),
        (#"{"protected":1,"payload":"b","signature":"c"}"#, nil), ("\u{E4}.b.c", nil),
    ]

    @Test("a card is a compact or a flattened JWS", arguments: bodies)
    func forms(_ body: String, _ card: String?) {
        #expect(GuardedCards.compact(Array(body.utf8)) == card)
    }

    @Test("a closed port, a silent one, another server and a private name look the same from outside")
    func sameAnswer() async throws {
        let closed = try await ScriptedServer.start(host: "127.0.7.30") { _ in .silence }
        let port = closed.port
        try await closed.stop()
        let silent = try await ScriptedServer.start(host: "127.0.7.31") { _ in .silence }
        let other = try await ScriptedServer.start(host: "127.0.7.32") { _ in .full(.notFound, body: "no") }
        let large = try await ScriptedServer.start(host: "127.0.7.33") { _ in .chunks(count: 20, bytes: 8_192) }
        let resolver = ScriptedResolver(["meta.test": [["0.0.0.0"]]])
        let reasons = Mutex<[String]>([])
        func cards(within limit: Duration) throws -> GuardedCards {
            var configuration = GuardedFetcher.Configuration()
            configuration.policy = AddressPolicy(allowsPrivate: true)
            configuration.timeLimit = limit
            return GuardedCards(try GuardedFetcher(configuration: configuration, resolver: resolver)) { _, refusal in
                reasons.withLock { $0.append(refusal.code) }
            }
        }
        // The one answer that never comes is not waited for; the others have all the time that the machine needs.
        let (patient, hasty) = (try cards(within: unhurried), try cards(within: .milliseconds(200)))
        for (host, port) in [
            ("127.0.7.30", port), ("127.0.7.31", silent.port), ("127.0.7.32", other.port), ("127.0.7.33", large.port),
            ("meta.test", 7_700), ("gone.test", 7_700),
        ] {
            let endpoint = try #require(Endpoint("ws://\(host):\(port)"))
            do throws(Refusal) {
                _ = try await (host == "127.0.7.31" ? hasty : patient).card(at: endpoint)
                Issue.record("\(endpoint) has a card")
            } catch {
                #expect(error.code == "endpoint.unproven" && error.kind == .conflict)
                #expect(error.reason == "no card was found at \(endpoint)")
            }
        }
        let told = reasons.withLock { $0 }
        #expect(
            told == [
                "server.unreachable", "fetch.timedOut", "card.malformed", "fetch.oversized", "address.refused",
                "fetch.unresolved",
            ])
        for server in [silent, other, large] { try await server.stop() }
    }
}
