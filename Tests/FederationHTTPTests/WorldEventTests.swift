import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import TestKit
import Testing

@testable import FederationHTTP

@Suite("What a world server is told, and what it says", .timeLimit(.minutes(patience)))
struct WorldEventTests {
    /// Two servers with a channel, a world on each, a portal from the first to the second, and a player at the first.
    private func withTwoServers(
        _ body: @escaping @Sendable (TestServer, TestServer, Link) async throws -> Void
    ) async throws {
        let clock = ManualClock()
        try await TestServer.run("alpha", clock: clock) { a in
            try await TestServer.run("beta", clock: clock) { b in
                try await a.publish("garden")
                try await b.publish("harbour")
                let link = try await Link.connect(a.server, b.server)
                let route = #"{"portal":"gate","destination":"beta","world":"harbour","spawn":"1,2,3"}"#
                try #require(try await a.request("POST", "/v1/routes", json: route).status == 201)
                try await body(a, b, link)
            }
        }
    }

    private func travel(_ server: TestServer) async throws -> String {
        let answer = try await server.request("POST", "/v1/portals/gate/travel", json: #"{"player":"ada"}"#)
        return try #require(try answer.json["id"]?.text)
    }

    private func answer(_ server: TestServer, _ handoff: String, _ json: String) async throws -> Answer {
        try await server.request("POST", "/v1/worlds/harbour/arrivals/\(handoff)", json: json)
    }

    @Test("a guarded world is asked, lets a player in, and both worlds are told to the end")
    func story() async throws {
        try await withTwoServers { a, b, _ async throws in
            try await a.enter("ada", world: "garden")
            let garden = try await EventProbe.follow("garden", on: a)
            let harbour = try await EventProbe.follow("harbour", on: b, query: "?guard=true")
            #expect(garden.head.hasPrefix("HTTP/1.1 200 "))
            #expect(garden.head.lowercased().contains("content-type: text/event-stream"), "\(garden.head)")
            let hello = try await garden.next("hello")
            #expect(
                hello == .object(["world": .string("garden"), "guarding": .bool(false), "players": .integer(1)]))
            #expect(try await harbour.next("hello")["guarding"] == .bool(true))

            let id = try await travel(a)
            let arriving = try await harbour.next("arriving")
            #expect(
                arriving
                    == .object([
                        "handoff": .string(id), "player": .string("ada@alpha"), "source": .string("alpha"),
                        "world": .string("harbour"), "spawn": .string("1,2,3"), "epoch": .integer(2),
                        "revision": .integer(1), "stateBytes": .integer(18),
                    ]))
            let admit = try await answer(b, id, #"{"admit":true}"#)
            #expect(admit.status == 204, "\(admit)")
            let admitted = try await harbour.next("admitted")
            #expect(admitted["player"]?.text == "ada@alpha" && admitted["handoff"]?.text == id)
            #expect(admitted["presence"]?.text == "playable" && admitted["epoch"] == .integer(2))
            #expect(admitted["state"] == nil && admitted["sha256"] != nil)
            #expect(
                try await garden.next("departing")
                    == .object(["handoff": .string(id), "player": .string("ada@alpha"), "epoch": .integer(2)]))
            #expect(try await garden.next("departed")["server"]?.text == "beta")
            let again = try await answer(b, id, #"{"admit":true}"#)
            #expect(again.status == 404 && again.code == "arrival.unknown")
        }
    }

    @Test("the world's reason reaches the player as one returned, and the player stays")
    func refused() async throws {
        try await withTwoServers { a, b, _ async throws in
            let ticket = try await a.enter("ada", world: "garden")
            let client = try await ClientProbe.connect(to: a, saying: "{\"type\":\"join\",\"ticket\":\"\(ticket)\"}")
            let garden = try await EventProbe.follow("garden", on: a)
            let harbour = try await EventProbe.follow("harbour", on: b, query: "?guard=true")
            let id = try await travel(a)
            _ = try await harbour.next("arriving")
            let refused = try await answer(b, id, #"{"admit":false,"reason":"the party is over"}"#)
            #expect(refused.status == 204, "\(refused)")
            let told = try await client.receive(until: "returned")
            #expect(told.filter { $0.type == "offered" }.count == 1)
            let returned = try #require(told.last)
            #expect(returned["code"]?.text == "world.refused" && returned["handoff"]?.text == id)
            #expect(returned["reason"]?.text == "beta refused the player: the party is over")
            let back = try await garden.next("returned")
            // The epoch in which the player goes on, with which the world server saves.
            #expect(back["code"]?.text == "world.refused" && back["epoch"] == .integer(1))
            #expect(try await harbour.next("turnedAway")["reason"]?.text == "the party is over")
            #expect(try await a.request("GET", "/v1/players/ada").json["presence"]?.text == "playable")
        }
    }

    @Test(
        "an answer is read strictly",
        arguments: [
            ("{}", 400, "body.missingField"), (#"{"admit":"yes"}"#, 400, "body.invalidField"),
            (#"{"admit":false}"#, 400, "body.missingField"),
            (#"{"admit":false,"reason":""}"#, 400, "body.invalidField"),
            (#"{"admit":false,"reason":"a\nb"}"#, 400, "body.invalidField"),
            (#"{"admit":true,"reason":"why not"}"#, 400, "body.invalidField"),
            (#"{"admit":true,"extra":1}"#, 400, "body.unknownField"), (#"{"admit":true}"#, 404, "arrival.unknown"),
        ])
    func strict(_ json: String, _ status: Int, _ code: String) async throws {
        try await TestServer.run { server async throws in
            try await server.publish()
            let answer = try await answer(server, String(repeating: "0", count: 32), json)
            #expect(answer.status == status && answer.code == code, "\(answer)")
        }
    }

    @Test("the stream is kept alive, guards as long as it is read, and ends with the server")
    func lifetime() async throws {
        try await TestServer.run { server async throws in
            try await server.publish()
            let harbour = try #require(WorldID("harbour"))
            let probe = try await EventProbe.follow("harbour", on: server, query: "?guard=true")
            _ = try await probe.next("hello")
            for _ in 0..<3 {
                await server.clock.sleeper(for: EventStream.keepAlive)
                server.clock.advance(by: EventStream.keepAlive)
                #expect(try await probe.next()?.name == "", "a comment")
            }
            #expect(await server.server.isGuarded(harbour))
            try await probe.hangUp()
            while await server.server.isGuarded(harbour) { try Task.checkCancellation() }
            let other = try await EventProbe.follow("harbour", on: server)
            _ = try await other.next("hello")
            await server.server.stop()
            while let event = try await other.next() { #expect(event.name == "") }
        }
    }

    @Test("what is not there cannot be followed")
    func refusals() async throws {
        try await TestServer.run { server async throws in
            #expect(try await server.request("GET", "/v1/worlds/harbour/events").code == "world.unknown")
            try await server.publish()
            #expect(try await server.request("GET", "/v1/worlds/harbour/events?guard=yes").code == "query.invalid")
            let head = try await server.request("HEAD", "/v1/worlds/harbour/events?guard=true")
            #expect(head.status == 200 && head.headers["content-type"] == "text/event-stream")
            #expect(await server.server.isGuarded(try #require(WorldID("harbour"))) == false)
        }
    }

    // MARK: All players, and taking one back

    @Test("players are listed wherever they are, and one who is lost with a server is taken back, once, with a reason")
    func reclaim() async throws {
        try await withTwoServers { a, b, _ async throws in
            let ticket = try await a.enter("ada", world: "garden")
            try await a.enter("bob", world: "garden")
            let client = try await ClientProbe.connect(to: a, saying: "{\"type\":\"join\",\"ticket\":\"\(ticket)\"}")
            let none = try await a.request("POST", "/v1/players/ada/reclaim", json: #"{"reason":"lost"}"#)
            #expect(none.status == 409 && none.code == "player.notAway", "\(none)")
            _ = try await travel(a)
            _ = try await client.receive(until: "completed")

            let first = try await a.request("GET", "/v1/players?limit=1").json
            #expect(first["players"]?.elements?.first?["presence"]?.text == "departed")
            #expect(first["next"]?.text == "ada@alpha")
            let second = try await a.request("GET", "/v1/players?after=ada@alpha").json
            #expect(second["players"]?.elements?.compactMap { $0["player"]?.text } == ["bob@alpha"])
            let shown = try await a.request("GET", "/v1/players/ada")
            #expect(
                try shown.json["server"]?.text == "beta" && shown.json["sha256"] != nil && shown.json["state"] == nil)

            for (body, code) in [("{}", "body.missingField"), (#"{"reason":""}"#, "body.invalidField")] {
                #expect(try await a.request("POST", "/v1/players/ada/reclaim", json: body).code == code)
            }
            let foreign = try await b.request("POST", "/v1/players/ada@alpha/reclaim", json: #"{"reason":"lost"}"#)
            #expect(foreign.code == "player.notHome", "\(foreign)")
            let taken = try await a.request("POST", "/v1/players/ada/reclaim", json: #"{"reason":"beta burnt down"}"#)
            #expect(taken.status == 200, "\(taken)")
            let record = try taken.json
            #expect(record["player"]?.text == "ada@alpha" && record["server"]?.text == "beta")
            #expect(record["voided"] == .integer(2) && record["epoch"] == .integer(1 << 24))
            #expect(record["reason"]?.text == "beta burnt down" && record["at"] != nil)
            #expect(try await a.request("GET", "/v1/reclaims").json == .object(["reclaims": .array([record])]))
            #expect(try await b.request("GET", "/v1/reclaims").json == .object(["reclaims": .array([])]))
            let twice = try await a.request("POST", "/v1/players/ada/reclaim", json: #"{"reason":"again"}"#)
            #expect(twice.code == "player.notAway")
            // The other server heard of it on the open channel, and gave the player up.
            while try await b.request("GET", "/v1/players/ada@alpha").json["presence"]?.text != "recalled" {
                try Task.checkCancellation()
            }
            // A write about a player who has travelled names the epoch.
            let blind = try await a.request("PUT", "/v1/worlds/garden/players/ada", body: [1])
            #expect(blind.status == 422 && blind.code == "player.epochMissing", "\(blind)")
            let knowing = try await a.request(
                "PUT", "/v1/worlds/garden/players/ada", ["Aether-Epoch": "\(1 << 24)"], body: [1])
            #expect(knowing.status == 200, "\(knowing)")
        }
    }

    @Test("a client whose player is taken back is told that the player is gone, and nothing is left waiting")
    func gone() async throws {
        try await withTwoServers { a, b, _ async throws in
            let ticket = try await a.enter("ada", world: "garden")
            let client = try await ClientProbe.connect(to: a, saying: "{\"type\":\"join\",\"ticket\":\"\(ticket)\"}")
            _ = try await travel(a)
            let redirect = try #require(try await client.receive(until: "completed").first { $0.type == "redirect" })
            let token = try #require(redirect["token"]?.text)
            let there = try await ClientProbe.connect(to: b, saying: "{\"type\":\"arrive\",\"token\":\"\(token)\"}")
            #expect(try await there.receive().type == "arrived")
            let harbour = try await EventProbe.follow("harbour", on: b)
            _ = try await harbour.next("hello")
            try await a.request("POST", "/v1/players/ada/reclaim", json: #"{"reason":"a test"}"#)
            #expect(try await there.receive().type == "gone")
            #expect(await there.closeCode() == 1008)
            #expect(try await harbour.next("gone") == .object(["player": .string("ada@alpha")]))
        }
    }
}
