import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import TestKit
import Testing

@testable import FederationHTTP
@testable import FederationService

@Suite("A registry for everybody", .timeLimit(.minutes(2 * patience)))
struct RegistryServiceTests {
    @Test("does not ask at an address that the deny list names, and so registers nobody there")
    func denied() async throws {
        let cards = StubCards()
        try await TestServer.run("registry", registryAccess: .signed, cards: cards) { registry async throws in
            let beta = try Stranger("beta")
            cards.serve(beta.card, at: beta.endpoints[0])
            for (policy, status, asked) in [(#"{"deny":["address:127.0.0.0/8"]}"#, 409, 0), ("{}", 200, 1)] {
                #expect(try await registry.request("PUT", "/v1/policy", json: policy).status == 200)
                let answer = try await registry.request("POST", "/v1/servers", as: .stranger, jws: beta.card)
                #expect(answer.status == status && cards.asked == asked, "\(policy): \(answer)")
            }
        }
    }

    @Test("asks an address only for what is new, and not for what is refused anyway")
    func proofs() async throws {
        let cards = StubCards()
        try await TestServer.run("registry", registryAccess: .signed, cards: cards) { registry async throws in
            var beta = try Stranger("beta")
            cards.serve(beta.card, at: beta.endpoints[0])
            func register(as caller: TestServer.Caller = .stranger) async throws -> Int {
                try await registry.request("POST", "/v1/servers", as: caller, jws: beta.card).status
            }
            #expect(try await register() == 200 && cards.asked == 1)
            #expect(try await register() == 200 && cards.asked == 1)
            beta.sequence = 2
            #expect(try await register() == 200 && cards.asked == 1)
            beta.endpoints = [try Stranger.endpoint(7_999)]
            beta.name = "Old and moved"
            beta.sequence = 1
            #expect(try await register() == 409 && cards.asked == 1)
            beta.sequence = 2
            #expect(try await register() == 409 && cards.asked == 1)
            beta.sequence = 3
            #expect(try await register() == 409 && cards.asked == 2)
            // The operator's word is enough without a proof.
            #expect(try await register(as: .admin) == 200 && cards.asked == 2)
        }
    }

    @Test("is left for the number of a card that the server has signed, whatever number is named")
    func departure() async throws {
        try await TestServer.run("registry", registryAccess: .signed) { registry async throws in
            let beta = try Stranger("beta")
            _ = try await registry.server.register(beta.card)
            let entry = try await registry.request("GET", "/v1/servers/beta", as: .stranger).json
            func left(_ member: String, _ value: JSONValue) throws -> UInt64 {
                let shown = RegistryAuditTests.replacing(member, with: value, in: entry).serialized()
                let statement = try RegistryDeparture.statement(
                    of: beta.keys, shownAs: shown, by: registry.id, at: ManualClock.start)
                return try DeregistrationStatement.verify(
                    statement, server: beta.id, key: beta.keys.publicKey, registry: registry.id, at: ManualClock.start
                ).sequence
            }
            #expect(try left("recordSequence", .integer(1_000_000_000_000)) == beta.sequence)
            var forged = try Stranger("beta", key: "thief")
            forged.sequence = 1_000_000_000_000
            let parts = forged.card.split(separator: ".").map { JSONValue.string(String($0)) }
            let card = JSONValue.object(["protected": parts[0], "payload": parts[1], "signature": parts[2]])
            for value in [card, .string(forged.card), .object([:])] {
                let refusal = #expect(throws: Refusal.self) { try left("card", value) }
                #expect(refusal?.code == "registry.unsigned")
            }
            #expect(throws: Refusal.self) {
                try RegistryDeparture.statement(
                    of: beta.keys, shownAs: [0x7B], by: registry.id, at: ManualClock.start)
            }
        }
    }

    @Test("takes heartbeats that go forward, and a wish to leave that is meant for it")
    func livesAndLeaves() async throws {
        let cards = StubCards()
        try await TestServer.run("registry", registryAccess: .signed, cards: cards) { registry async throws in
            var beta = try Stranger("beta")
            cards.serve(beta.card, at: beta.endpoints[0])
            let now = ManualClock.start
            func post(_ path: String, _ jws: String, _ method: String = "POST") async throws -> Answer {
                try await registry.request(method, path, as: .stranger, jws: jws)
            }
            #expect(try await post("/v1/servers/beta/heartbeat", beta.heartbeat(1, at: now)).code == "server.unknown")
            #expect(try await post("/v1/servers", beta.card).status == 200)
            let beats: [(UInt64, Timestamp, Int, String?)] = [
                (5, now, 200, nil), (5, now, 409, "heartbeat.repeated"), (4, now, 409, "heartbeat.repeated"),
                (6, now, 200, nil), (7, now + .seconds(-2), 409, "server.heartbeatBackwards"),
                (1, now + .seconds(1), 200, nil),
                (9, now + .seconds(-400), 403, "heartbeat.refused"), (9, now + .seconds(400), 403, "heartbeat.refused"),
            ]
            for (number, time, status, code) in beats {
                let answer = try await post("/v1/servers/beta/heartbeat", beta.heartbeat(number, at: time))
                #expect(answer.status == status && answer.code == code, "\(number): \(answer)")
            }
            let thief = try Stranger("beta", key: "thief")
            let wishes: [(String, String)] = [
                (beta.deregistration(from: "elsewhere", at: now), "deregistration.refused"),
                (thief.deregistration(from: "registry", at: now), "deregistration.refused"),
                (beta.deregistration(from: "registry", at: now + .seconds(-400)), "deregistration.refused"),
                (beta.deregistration(from: "registry", sequence: 0, at: now), "deregistration.stale"),
            ]
            for (wish, code) in wishes {
                #expect(try await post("/v1/servers/beta", wish, "DELETE").code == code)
            }
            let card = beta.card
            let wish = beta.deregistration(from: "registry", at: now)
            #expect(try await post("/v1/servers/beta", wish, "DELETE").status == 204)
            #expect(try await registry.request("GET", "/v1/servers/beta", as: .stranger).status == 404)
            // Nobody brings it back with the card that it has left with, and nobody else gets its id.
            #expect(try await post("/v1/servers", card).code == "server.hasLeft")
            cards.serve(thief.card, at: thief.endpoints[0])
            #expect(try await post("/v1/servers", thief.card).code == "server.keyMismatch")
            beta.sequence = 2
            cards.serve(beta.card, at: beta.endpoints[0])
            #expect(try await post("/v1/servers", beta.card).status == 200)
            // The old wish is not about the new card.
            #expect(try await post("/v1/servers/beta", wish, "DELETE").code == "deregistration.stale")
        }
    }

    @Test("shows no card with its log before the entry that names it is durable, and then on every page")
    func cardsOfTheLog() async throws {
        let store = MemoryStore()
        try await TestServer.run("registry", registryAccess: .signed, store: store) { registry async throws in
            var beta = try Stranger("beta")
            let (id, first) = (beta.id, beta.card)
            _ = try await registry.server.register(first)
            #expect(try await registry.server.logPage(from: 0, limit: 10, withCards: true).cards == [id: first])
            beta.sequence = 2
            let second = beta.card
            await store.hold()
            let registration = Task { try await registry.server.register(second) }
            await store.waitUntilHeld()
            let between = try await registry.server.logPage(from: 0, limit: 10, withCards: true)
            #expect(between.records.count == 1 && between.cards.isEmpty)
            await store.release()
            _ = try await registration.value
            for limit in [1, 10] {
                let page = try await registry.server.logPage(from: 0, limit: limit, withCards: true)
                #expect(page.records.count == min(limit, 2) && page.cards == [id: second])
            }
        }
    }

    /// Whether a server keeps a log of its registry.
    enum Log: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case served = "it serves the registry"
        case kept = "it has served the registry before"
        case absent = "it keeps no log"

        var testDescription: String { rawValue }
    }

    private func registry(_ log: Log, _ body: @escaping @Sendable (TestServer) async throws -> Void) async throws {
        let store = MemoryStore()
        if log == .kept {
            try await TestServer.run("registry", registryAccess: .signed, store: store) { registry async throws in
                _ = try await registry.server.register(try Stranger("gamma", port: 7_901).card)
            }
        }
        try await TestServer.run(
            "registry", registryAccess: log == .served ? .signed : .admin, store: store, body)
    }

    private func listing(_ registry: TestServer) async throws -> Answer {
        try await registry.request("GET", "/v1/servers", as: .stranger)
    }

    private func lists(_ id: String, _ answer: Answer) throws -> Bool {
        try answer.json["servers"]?.elements?.contains { $0["id"]?.text == id } == true
    }

    /// Waits until something has become true, and not for ever.
    private func eventually(_ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(10 * patience)
        while try await !condition() {
            try #require(ContinuousClock.now < deadline)
            await Task.yield()
        }
    }

    @Test("lists nobody who is in its log before the entry is durable", arguments: [Log.served, .kept])
    func durableListing(_ log: Log) async throws {
        try await registry(log) { registry async throws in
            let card = try Stranger("beta").card
            await registry.store.hold()
            let registration = Task { try await registry.server.register(card) }
            await registry.store.waitUntilHeld()
            let asking = Task { try await self.listing(registry) }
            // It is in the queue behind what is being written.
            try await self.eventually { await registry.server.queue.count == 1 }
            await registry.store.release()
            _ = try await registration.value
            let answer = try await asking.value
            #expect(try answer.status == 200 && self.lists("beta", answer), "\(answer)")
        }
    }

    @Test("lists nobody while its disk fails, when it keeps a log, and says what to do", arguments: Log.allCases)
    func failingDisk(_ log: Log) async throws {
        try await registry(log) { registry async throws in
            await registry.store.failNext(1)
            let card = try Stranger("beta").card
            let refusal = await #expect(throws: Refusal.self) { try await registry.server.register(card) }
            #expect(refusal?.code == "store.failed")
            let answer = try await self.listing(registry)
            if log == .absent {
                #expect(try answer.status == 200 && self.lists("beta", answer), "\(answer)")
            } else {
                #expect(answer.status == 503 && answer.code == "store.failed", "\(answer)")
                #expect(try answer.json["remedy"]?.text?.contains("disk") == true)
            }
            // It tries again by itself.
            await registry.clock.sleeper(for: .milliseconds(100))
            registry.clock.advance(by: .milliseconds(100))
            try await self.eventually { await registry.server.summary().storageFailure == nil }
            let later = try await self.listing(registry)
            #expect(try later.status == 200 && self.lists("beta", later), "\(later)")
        }
    }

    /// The last one leaves first, whom a listing comes to at its end. Would fail, almost always, if the cards were asked for one
    /// after the other once the page was taken.
    @Test("lists each server with its card, whoever leaves meanwhile")
    func leavingMeanwhile() async throws {
        try await TestServer.run("registry", registryAccess: .signed) { registry async throws in
            let strangers = try (0..<100).map { try Stranger("s\($0)", port: UInt16(7_900 + $0)) }
            for stranger in strangers { _ = try await registry.server.register(stranger.card) }
            let ids = strangers.map(\.id).sorted()
            let leaving = Task { for id in ids.reversed() { try await registry.server.deregister(id) } }
            while true {
                let answer = try await registry.request("GET", "/v1/servers?cards=true&limit=200")
                let listed = try #require(try answer.json["servers"]?.elements, "\(answer)")
                guard !listed.isEmpty else { break }
                #expect(listed.allSatisfy { $0["card"]?.text != nil })
            }
            try await leaving.value
        }
    }

    @Test("is searched by status, world and text, page by page")
    func search() async throws {
        try await TestServer.run("registry", registryAccess: .signed) { registry async throws in
            for number in 0..<7 {
                var stranger = try Stranger("s\(number)", port: UInt16(7_900 + number))
                stranger.name = number.isMultiple(of: 2) ? "Blue Harbour \(number)" : "GRÜNE Insel \(number)"
                stranger.worlds = [WorldID(unchecked: number < 3 ? "sea" : "land"), WorldID(unchecked: "w\(number)")]
                    .sorted()
                _ = try await registry.server.register(stranger.card)
            }
            _ = try await registry.server.suspend(ServerID(unchecked: "s1"), reason: "spam")
            func ids(_ query: String) async throws -> [String] {
                var found: [String] = []
                var cursor = ""
                repeat {
                    let answer = try await registry.request("GET", "/v1/servers?\(query)\(cursor)", as: .stranger)
                    #expect(answer.status == 200, "\(answer)")
                    let json = try answer.json
                    found += json["servers"]?.elements?.compactMap { $0["id"]?.text } ?? []
                    cursor = json["next"]?.text.map { "&after=\($0)" } ?? ""
                } while !cursor.isEmpty && found.count < 100
                return found
            }
            for limit in [1, 2, 3, 1_000] {
                #expect(try await ids("limit=\(limit)").count == 7)
                #expect(try await ids("world=sea&limit=\(limit)") == ["s0", "s1", "s2"])
                #expect(try await ids("text=harbour&limit=\(limit)") == ["s0", "s2", "s4", "s6"])
                #expect(try await ids("text=gr%C3%BCne&world=land&limit=\(limit)") == ["s3", "s5"])
                #expect(try await ids("status=suspended&world=sea&limit=\(limit)") == ["s1"])
                #expect(try await ids("status=offline&text=insel&limit=\(limit)") == ["s3", "s5"])
                #expect(try await ids("text=nobody&limit=\(limit)").isEmpty)
            }
            for query in ["text=", "text=\(String(repeating: "a", count: 65))", "text=%00", "world=A", "cards=yes"] {
                #expect(try await registry.request("GET", "/v1/servers?\(query)", as: .stranger).status == 400)
            }
            // A world that is no longer announced is no longer found.
            var first = try Stranger("s0", port: 7_900)
            first.sequence = 2
            _ = try await registry.server.register(first.card)
            #expect(try await ids("world=sea") == ["s1", "s2"])
            let shown = try await registry.request("GET", "/v1/servers/s1", as: .stranger).json
            #expect(shown["status"]?.text == "suspended" && shown["suspensionReason"]?.text == "spam")
            #expect(try await registry.request("POST", "/v1/servers/s1/reinstate").status == 200)
            #expect(try await registry.request("GET", "/v1/servers/s1").json["suspensionReason"] == nil)
        }
    }

    @Test("lets an address write sixty times at once, and says when it may go on")
    func rateLimit() async throws {
        try await TestServer.run("registry", registryAccess: .signed) { registry async throws in
            let beat = try Stranger("beta").heartbeat(1, at: ManualClock.start)
            func answer(_ caller: TestServer.Caller) async throws -> Answer {
                try await registry.request("POST", "/v1/servers/beta/heartbeat", as: caller, jws: beat)
            }
            for _ in 0..<60 { #expect(try await answer(.stranger).status == 404) }
            let refused = try await answer(.stranger)
            #expect(refused.status == 429 && refused.code == "registry.tooManyRequests")
            #expect(refused.headers["retry-after"] == "1")
            #expect(try await answer(.admin).status == 404)
            #expect(try await registry.request("GET", "/v1/servers", as: .stranger).status == 200)
            registry.clock.advance(by: .seconds(1))
            #expect(try await answer(.stranger).status == 404)
            #expect(try await answer(.stranger).status == 429)
        }
    }

    @Test("counts addresses apart and all together, and forgets old ones")
    func gate() {
        let gate = RegistryGate()
        let start = Instant(nanoseconds: 0)
        var refused = 0
        for number in 0..<1_100 where gate.wait(for: .write, from: "n\(number)", at: start) != nil { refused += 1 }
        #expect(refused == 100)
        #expect(gate.wait(for: .read, from: "n0", at: start) == nil)
        for number in 0..<40_000 { _ = gate.wait(for: .read, from: "m\(number)", at: start + .seconds(number)) }
        #expect(gate.wait(for: .write, from: "n0", at: start + .seconds(40_000)) == nil)
    }

    @Test("proves its log: heads, entries, inclusion and consistency")
    func log() async throws {
        try await TestServer.run("registry", registryAccess: .signed) { registry async throws in
            func json(_ path: String) async throws -> JSONValue {
                try await registry.request("GET", path, as: .stranger).json
            }
            var heads: [TreeHead] = []
            func head() async throws -> TreeHead {
                let compact = try #require(try await json("/v1/log/head")["head"]?.text)
                return try TreeHead.verify(compact, registry: registry.id, key: registry.identity.publicKey)
            }
            heads.append(try await head())
            #expect(heads[0].size == 0 && heads[0].root == MerkleHash.empty)
            for number in 0..<5 {
                _ = try await registry.server.register(try Stranger("s\(number)", port: UInt16(7_900 + number)).card)
                heads.append(try await head())
            }
            _ = try await registry.server.suspend(ServerID(unchecked: "s2"), reason: "spam & \"worse\"")
            _ = try await registry.server.reinstate(ServerID(unchecked: "s2"))
            try await registry.server.deregister(ServerID(unchecked: "s0"))
            heads.append(try await head())
            #expect(heads.map(\.size) == [0, 1, 2, 3, 4, 5, 8])
            let last = try #require(heads.last)
            let page = try await json("/v1/log/entries?cards=true")
            let entries = try #require(page["entries"]?.elements)
            #expect(
                entries.map { $0["entry"]?["kind"]?.text } == [
                    "registered", "registered", "registered", "registered", "registered", "suspended", "reinstated",
                    "deregistered",
                ])
            #expect(entries[5]["entry"]?["reason"]?.text == "spam & \"worse\"")
            #expect(page["cards"]?.members?.keys.sorted() == ["s1", "s2", "s3", "s4"])
            var frontier = MerkleFrontier()
            for entry in entries { frontier.append(try #require(entry["entry"]).serialized()) }
            #expect(frontier.root == last.root)
            let second = try await json("/v1/log/entries?after=1&limit=2")
            #expect(second["entries"]?.elements == Array(entries[2..<4]) && second["next"]?.text == "3")
            for (early, late) in zip(heads, heads.dropFirst()) + [(heads[1], last), (heads[3], last)] {
                let proof = try #require(
                    try await json("/v1/log/consistency?from=\(early.size)&to=\(late.size)")["proof"]?.elements)
                #expect(late.continues(early, proof: proof.compactMap { $0.text.flatMap { ContentHash($0) } }))
            }
            for (id, index) in [("s0", 7), ("s2", 6), ("s4", 4)] {
                let found = try await json("/v1/log/inclusion?server=\(id)")
                #expect(found["index"]?.integer == Int64(index))
                let proof = try #require(found["proof"]?.elements).compactMap { $0.text.flatMap { ContentHash($0) } }
                #expect(
                    MerkleProof.isIncluded(
                        MerkleHash.leaf(try #require(found["entry"]).serialized()), at: index, size: 8,
                        root: last.root, proof: proof))
            }
            for (path, code) in [
                ("/v1/log/inclusion?server=nobody", "log.unknown"), ("/v1/log/consistency?from=9", "log.range"),
                ("/v1/log/consistency?from=3&to=2", "log.range"), ("/v1/log/consistency", "query.invalid"),
                ("/v1/log/inclusion", "query.invalid"), ("/v1/log/entries?after=-1", "query.invalid"),
                ("/v1/log/entries?after=9223372036854775807", "query.invalid"),
            ] {
                #expect(try await registry.request("GET", path, as: .stranger).code == code, "\(path)")
            }
            #expect(try await json("/v1/log/entries?after=100")["entries"]?.elements == [])
        }
        try await TestServer.run { server async throws in
            #expect(try await server.request("GET", "/v1/log/head").code == "registry.off")
        }
    }

    @Test("goes on with its log after a restart, and begins it with everybody who was known before")
    func restart() async throws {
        let store = MemoryStore()
        let key = try await TestServer.run("registry", store: store) { registry async throws in
            _ = try await registry.server.register(try Stranger("s0").card)
            _ = try await registry.server.register(try Stranger("s1", port: 7_901).card)
            _ = try await registry.server.suspend(ServerID(unchecked: "s1"), reason: "spam")
            return registry.identity.publicKey
        }
        func head() async throws -> TreeHead {
            try await TestServer.run("registry", registryAccess: .signed, store: store) { registry async throws in
                let compact = try await registry.request("GET", "/v1/log/head").json["head"]?.text
                return try TreeHead.verify(try #require(compact), registry: registry.id, key: key)
            }
        }
        let first = try await head()
        #expect(first.size == 3)
        #expect(try await head().root == first.root)
    }
}
