import FederationCrypto
import FederationModel
import FederationService
import FederationWebSocket
import NIOCore
import ServiceTestKit
import TestKit
import Testing

@testable import FederationHTTP

@Suite("Players' clients on /client", .timeLimit(.minutes(patience)))
struct ClientTests {
    /// Two servers with a channel, a world on each, and a portal from the first to the second.
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

    private func travel(_ server: TestServer, _ player: String = "ada") async throws -> String {
        let answer = try await server.request("POST", "/v1/portals/gate/travel", json: "{\"player\":\"\(player)\"}")
        try #require(answer.status == 202, "\(answer)")
        let id = try #require(try answer.json["id"]?.text)
        #expect(answer.headers["location"] == "/v1/handoffs/\(id)")
        return id
    }

    private func join(_ ticket: String) -> String { "{\"type\":\"join\",\"ticket\":\"\(ticket)\"}" }

    private func arrive(_ token: String) -> String { "{\"type\":\"arrive\",\"token\":\"\(token)\"}" }

    @Test("a client follows its player through the portal and arrives, once")
    func crossing() async throws {
        try await withTwoServers { a, b, _ async throws in
            let ticket = try await a.enter("ada", world: "garden")
            let client = try await ClientProbe.connect(to: a, saying: join(ticket))
            let joined = try await client.receive()
            #expect(joined.type == "joined" && joined["player"]?.text == "ada@alpha" && joined["state"] == nil)

            let id = try await travel(a)
            let told = try await client.receive(until: "completed")
            let steps = told.filter { $0.type == "progress" }.compactMap { $0["step"]?.text }
            #expect(steps == ["registry", "handshake", "health", "routing", "verification", "handoff"])
            #expect(told.allSatisfy { $0["handoff"]?.text == id })
            #expect(told.contains { $0.type == "offered" } && told.contains { $0.type == "verifying" })
            let redirect = try #require(told.first { $0.type == "redirect" })
            #expect(redirect["url"]?.text == "ws://127.0.0.1:7700/client")
            #expect(await client.closeCode() == 1000)

            let token = try #require(redirect["token"]?.text)
            let arrival = try await ClientProbe.connect(to: b, saying: arrive(token))
            let arrived = try await arrival.receive()
            #expect(arrived.type == "arrived" && arrived["world"]?.text == "harbour" && arrived["epoch"] == .integer(2))
            #expect(arrived["spawn"]?.text == "1,2,3")
            let again = try await ClientProbe.connect(to: b, saying: arrive(token))
            #expect(try await again.receive()["code"]?.text == "handoff.replayed")
            #expect(await again.closeCode() == 1008)
            // The ticket of the arrival is good for the next connection.
            let next = try await ClientProbe.connect(to: b, saying: join(try #require(arrived["ticket"]?.text)))
            #expect(try await next.receive().type == "joined")

            let seen = try await a.request("GET", "/v1/handoffs/\(id)").json
            #expect(seen["phase"]?.text == "completed" && seen["receipt"]?.text != nil && seen["refusal"] == nil)
            let done = try await a.request("GET", "/v1/handoffs?state=completed&limit=5").json["handoffs"]?.elements
            #expect(done?.compactMap { $0["id"]?.text } == [id])
            let loaded = try await b.request("GET", "/v1/worlds/harbour/players/ada@alpha").json
            #expect(loaded["state"]?.text == base64(Array("a lamp and 3 coins".utf8)))
            #expect(try await a.request("GET", "/v1/worlds/garden/players/ada").json["presence"]?.text == "departed")
        }
    }

    @Test("a client that is faster than the decision waits for it instead of being refused")
    func early() async throws {
        try await withTwoServers { a, b, link async throws in
            let client = try await ClientProbe.connect(to: a, saying: join(try await a.enter("ada", world: "garden")))
            link.there.holdEverything(from: "commit")
            _ = try await travel(a)
            let redirect = try #require(try await client.receive(until: "redirect").last)
            #expect(try await b.request("GET", "/v1/handoffs?state=reserved").json["handoffs"]?.elements?.count == 1)
            let arrival = try await ClientProbe.connect(to: b, saying: arrive(try #require(redirect["token"]?.text)))
            await b.clock.sleeper(for: ClientSocket.admissionTimeout)
            link.there.release()
            #expect(try await arrival.receive().type == "arrived")
        }
    }

    @Test("a client whose player was taken back after the decision is told that it is over, and why")
    func takenBack() async throws {
        try await withTwoServers { a, _, link async throws in
            let client = try await ClientProbe.connect(to: a, saying: join(try await a.enter("ada", world: "garden")))
            link.there.holdEverything(from: "commit")
            let id = try await travel(a)
            _ = try await client.receive(until: "redirect")
            let reclaimed = try await a.request("POST", "/v1/players/ada/reclaim", json: #"{"reason":"beta is lost"}"#)
            #expect(reclaimed.status == 200, "\(reclaimed)")
            let told = try await client.receive(until: "gone")
            let gone = try #require(told.last)
            #expect(gone["handoff"]?.text == id && gone["code"]?.text == "player.recalled")
            #expect(gone["reason"]?.text?.contains("beta is lost") == true && gone["remedy"]?.text?.isEmpty == false)
            #expect(!told.contains { $0.type == "returned" || $0.type == "completed" })
            #expect(await client.closeCode() == 1008)
        }
    }

    @Test("who sends a player away may say which stay is meant, and must once the player has travelled")
    func epoch() async throws {
        try await withTwoServers { a, b, _ async throws in
            let client = try await ClientProbe.connect(to: a, saying: join(try await a.enter("ada", world: "garden")))
            func answer(_ server: TestServer, _ body: String) async throws -> String {
                let answer = try await server.request("POST", "/v1/portals/gate/travel", json: body)
                return "\(answer.status) \(try answer.json["code"]?.text ?? "begun")"
            }
            #expect(try await answer(a, #"{"player":"ada","epoch":7}"#) == "409 player.staleEpoch")
            #expect(try await answer(a, #"{"player":"ada","epoch":1}"#) == "202 begun")
            _ = try await client.receive(until: "completed")
            let back = #"{"portal":"gate","destination":"alpha","world":"garden"}"#
            try #require(try await b.request("POST", "/v1/routes", json: back).status == 201)
            #expect(try await answer(b, #"{"player":"ada@alpha"}"#) == "422 player.epochMissing")
            #expect(try await answer(b, #"{"player":"ada@alpha","epoch":1}"#) == "409 player.staleEpoch")
            #expect(try await answer(b, #"{"player":"ada@alpha","epoch":2}"#) == "202 begun")
        }
    }

    @Test("a client that waits in vain for the decision is told so")
    func tooEarly() async throws {
        try await withTwoServers { a, b, link async throws in
            let client = try await ClientProbe.connect(to: a, saying: join(try await a.enter("ada", world: "garden")))
            link.there.holdEverything(from: "commit")
            _ = try await travel(a)
            let redirect = try #require(try await client.receive(until: "redirect").last)
            let arrival = try await ClientProbe.connect(to: b, saying: arrive(try #require(redirect["token"]?.text)))
            await b.clock.sleeper(for: ClientSocket.admissionTimeout)
            b.clock.advance(by: ClientSocket.admissionTimeout)
            let answer = try await arrival.receive()
            #expect(answer.type == "error" && answer["code"]?.text == "handoff.invalidState")
            #expect(await arrival.closeCode() == 1008)
        }
    }

    @Test("a client that missed the redirect gets it again for its old ticket")
    func missed() async throws {
        try await withTwoServers { a, b, _ async throws in
            let ticket = try await a.enter("ada", world: "garden")
            let client = try await ClientProbe.connect(to: a, saying: join(ticket))
            _ = try await travel(a)
            _ = try await client.receive(until: "completed")
            let late = try await ClientProbe.connect(to: a, saying: join(ticket))
            let redirect = try await late.receive()
            #expect(redirect.type == "redirect")
            #expect(await late.closeCode() == 1000)
            let arrival = try await ClientProbe.connect(to: b, saying: arrive(try #require(redirect["token"]?.text)))
            #expect(try await arrival.receive().type == "arrived")
        }
    }

    @Test("a client that joins while its player's crossing ends is told the end")
    func joinedAtTheEnd() async throws {
        try await withTwoServers { a, _, link async throws in
            let ticket = try await a.enter("ada", world: "garden")
            let first = try await ClientProbe.connect(to: a, saying: join(ticket))
            link.back.hold("accept")
            let id = try await travel(a)
            _ = try await first.receive(until: "offered")
            // What comes now becomes durable together, behind bob.
            await a.store.hold()
            let entering = Task { try await a.enter("bob", world: "garden") }
            await a.store.waitUntilHeld()
            let client = try await ClientProbe.connect(to: a, saying: join(ticket))
            try await a.waits(1)
            let callingOff = Task { try await a.request("DELETE", "/v1/handoffs/\(id)").status }
            try await a.waits(2)
            await a.store.release()
            _ = try await entering.value
            #expect(try await callingOff.value == 200)
            let told = try await client.receive(until: "returned")
            #expect(told.map(\.type) == ["joined", "offered", "progress", "returned"])
            #expect(told.first?["presence"]?.text == "departing")
        }
    }

    @Test("a refused crossing tells the client which step it was, and the player goes on")
    func refused() async throws {
        try await withTwoServers { a, b, _ async throws in
            try await a.enter("ada", world: "garden")
            let ticket = try await a.enter("bob", world: "garden")
            let client = try await ClientProbe.connect(to: a, saying: join(ticket))
            _ = try await client.receive()
            // One file of the destination's world is not what its hash says.
            let scene = [UInt8]("{\"name\":\"harbour\"}".utf8)
            await b.assets.damage(ContentHash.of(scene), to: scene.reversed())
            let id = try await travel(a, "bob")
            let returned = try #require(try await client.receive(until: "returned").last)
            #expect(returned["step"]?.text == "verification" && returned["remedy"]?.text?.isEmpty == false)
            let seen = try await a.request("GET", "/v1/handoffs/\(id)").json
            #expect(seen["phase"]?.text == "aborted" && seen["refusal"]?["step"]?.text == "verification")
            #expect(try await a.request("GET", "/v1/worlds/garden/players/bob").json["presence"]?.text == "playable")
        }
    }

    @Test(
        "a crossing is called off while it is verified, and while it is offered; the player goes on",
        arguments: [false, true])
    func calledOff(_ isOffered: Bool) async throws {
        try await withTwoServers { a, b, link async throws in
            let client = try await ClientProbe.connect(to: a, saying: join(try await a.enter("ada", world: "garden")))
            link.there.holdEverything(from: isOffered ? "offer" : "worldRequest")
            let id = try await travel(a)
            if isOffered { _ = try await client.receive(until: "offered") }
            let answer = try await a.request("DELETE", "/v1/handoffs/\(id)")
            #expect(answer.status == 200)
            #expect(try answer.json["phase"]?.text == "aborted")
            let returned = try #require(try await client.receive(until: "returned").last)
            #expect(returned["code"]?.text == "handoff.calledOff")
            link.there.release()
            #expect(try await a.request("GET", "/v1/worlds/garden/players/ada").json["presence"]?.text == "playable")
            #expect(try await a.request("DELETE", "/v1/handoffs/\(id)").status == 409)
            // And nothing is left of it: the same player crosses at the next try.
            _ = try await travel(a)
            #expect(try await client.receive(until: "completed").last?.type == "completed")
        }
    }

    @Test("a client that does not read is dropped as overloaded")
    func slowReader() async throws {
        let socket = StuckSocket(taking: 1)
        try await TestServer.run(client: socket.route) { server async throws in
            try await server.publish()
            // The welcome gets through, and nothing after it.
            _ = try await ClientProbe.connect(to: server, saying: join(try await server.enter("ada")))
            await server.clock.sleeper(for: ClientSocket.sendTimeout)
            server.clock.advance(by: ClientSocket.sendTimeout)
            #expect(await socket.closeCode() == CloseCode.overloaded.rawValue)
            #expect(try server.limit("client_slow_reader") == 1)
        }
    }

    @Test("a server that stops says so to its clients")
    func stopping() async throws {
        try await TestServer.run { server async throws in
            try await server.publish()
            let client = try await ClientProbe.connect(to: server, saying: join(try await server.enter("ada")))
            #expect(try await client.receive().type == "joined")
            await server.server.stop()
            #expect(await client.closeCode() == CloseCode.goingAway.rawValue)
        }
    }

    @Test(
        "an opening that is wrong is refused with a code, and the socket closes",
        arguments: [
            ("hello", "message.notJSON", 4000), ("[]", "message.unknown", 4000),
            ("{\"type\":\"dance\"}", "message.unknown", 4000),
            ("{\"type\":\"join\"}", "body.missingField", 4000),
            ("{\"type\":\"join\",\"ticket\":\"a\",\"x\":1}", "body.unknownField", 4000),
            ("{\"type\":\"join\",\"ticket\":\"a.b.c\"}", "ticket.refused", 1008),
            ("{\"type\":\"arrive\",\"token\":\"a.b.c\",\"proof\":\"00\"}", "body.invalidField", 4000),
            ("{\"type\":\"arrive\",\"token\":\"a.b.c\"}", "token.malformed", 4000),
        ] as [(String, String, UInt16)])
    func wrongOpening(_ opening: String, _ code: String, _ close: UInt16) async throws {
        try await TestServer.run { server async throws in
            let client = try await ClientProbe.connect(to: server, saying: opening)
            let answer = try await client.receive()
            #expect(answer.type == "error" && answer["remedy"]?.text?.isEmpty == false)
            #expect(answer["code"]?.text == code)
            #expect(await client.closeCode() == close)
        }
    }

    @Test("a ticket of another server, another key or another day is no ticket")
    func tickets() async throws {
        try await TestServer.run { server async throws in
            try await server.publish()
            let ticket = try await server.enter("ada")
            let forged = String(ticket.dropLast(4)) + "AAAA"
            #expect(
                try await ClientProbe.connect(to: server, saying: join(forged)).receive()["code"]?.text
                    == "ticket.refused")
            server.clock.advance(by: .seconds(25 * 3_600))
            #expect(
                try await ClientProbe.connect(to: server, saying: join(ticket)).receive()["code"]?.text
                    == "ticket.refused")
        }
    }

    @Test("a client that says nothing is sent away")
    func silent() async throws {
        try await TestServer.run { server async throws in
            let client = try await ClientProbe.connect(to: server)
            #expect(try await client.receive().type == "welcome")
            await server.clock.sleeper(for: ClientSocket.openingTimeout)
            server.clock.advance(by: ClientSocket.openingTimeout)
            #expect(await client.closeCode() == CloseCode.handshakeTimeout.rawValue)
            #expect(try server.limit("client_opening_time") == 1)
        }
    }

    @Test("a client that talks after its opening is sent away")
    func talkative() async throws {
        try await TestServer.run { server async throws in
            try await server.publish()
            let client = try await ClientProbe.connect(to: server, saying: join(try await server.enter("ada")))
            #expect(try await client.receive().type == "joined")
            try await client.connection.send("{}")
            #expect(await client.closeCode() == CloseCode.protocolError.rawValue)
        }
    }

    @Test("a message over the bound closes the socket")
    func oversized() async throws {
        try await TestServer.run { server async throws in
            let client = try await ClientProbe.connect(to: server)
            _ = try await client.receive()
            try await client.connection.send(String(repeating: "x", count: Limits.clientMessageBytes + 1))
            #expect(await client.closeCode() == 1009)
        }
    }

    @Test("a seventeenth follower of one player is refused")
    func followers() async throws {
        try await TestServer.run { server async throws in
            try await server.publish()
            let ticket = try await server.enter("ada")
            var clients: [ClientProbe] = []
            for _ in 0..<16 {
                let client = try await ClientProbe.connect(to: server, saying: join(ticket))
                #expect(try await client.receive().type == "joined")
                clients.append(client)
            }
            let last = try await ClientProbe.connect(to: server, saying: join(ticket))
            #expect(try await last.receive()["code"]?.text == "player.followed")
            #expect(await last.closeCode() == CloseCode.overloaded.rawValue)
            for client in clients { await client.connection.close() }
        }
    }
}
