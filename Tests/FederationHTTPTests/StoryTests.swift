import FederationCrypto
import FederationModel
import Foundation
import TestKit
import Testing

@testable import FederationHTTP

@Suite("The API does what it says", .timeLimit(.minutes(patience)))
struct StoryTests {
    @Test("the registry takes a card in any form, shows it, hears its heartbeat and lets it go")
    func registry() async throws {
        try await TestServer.run { server async throws in
            let card = try server.card(of: "beta")
            let parts = card.split(separator: ".").map(String.init)
            let flattened = JSONValue.object([
                "protected": .string(parts[0]), "payload": .string(parts[1]), "signature": .string(parts[2]),
            ])
            let answer = try await server.request(
                "POST", "/v1/servers", ["Content-Type": "application/jose+json"], body: flattened.serialized())
            #expect(answer.status == 200 && answer.headers["location"] == "/v1/servers/beta")
            #expect(try answer.json["status"]?.text == "offline")
            // The same card once more is no news.
            #expect(try await server.request("POST", "/v1/servers", jws: card).status == 200)

            let shown = try await server.request("GET", "/v1/servers/beta", as: .stranger)
            #expect(try shown.json["card"] == flattened)
            #expect(try shown.json["name"]?.text == "The beta server")
            #expect(try shown.json["registeredAt"]?.text == "2026-01-02T03:04:05.678Z")
            #expect(try shown.json["lastHeartbeat"] == nil)

            let identity = try TestServer.identity("beta")
            let beat = HeartbeatStatement(
                issuer: identity.id, audience: server.server.id, sequence: 1, issuedAt: server.clock.now().timestamp)
            let heard = try await server.request("POST", "/v1/servers/beta/heartbeat", jws: beat.issue(by: identity))
            #expect(try heard.json["status"]?.text == "online")
            #expect(try heard.json["lastHeartbeat"]?.text == "2026-01-02T03:04:05.000Z")
            let forged = try await server.request(
                "POST", "/v1/servers/beta/heartbeat", jws: beat.issue(by: identity).dropLast(4) + "AAAA")
            #expect(forged.status == 403 && forged.code == "heartbeat.refused")

            #expect(try await server.request("DELETE", "/v1/servers/beta").status == 204)
            #expect(try await server.request("GET", "/v1/servers/beta").status == 404)
        }
    }

    @Test("a listing of servers goes page by page, by status too")
    func pages() async throws {
        try await TestServer.run { server async throws in
            for index in 1...5 { try await server.request("POST", "/v1/servers", jws: server.card(of: "s\(index)")) }
            let first = try await server.request("GET", "/v1/servers?limit=2", as: .stranger).json
            #expect(first["servers"]?.elements?.compactMap { $0["id"]?.text } == ["s1", "s2"])
            #expect(first["next"]?.text == "s2")
            let last = try await server.request("GET", "/v1/servers?limit=2&after=s4&status=offline", as: .stranger)
                .json
            #expect(last["servers"]?.elements?.compactMap { $0["id"]?.text } == ["s5"])
            #expect(last["next"] == nil)
            let none = try await server.request("GET", "/v1/servers?status=online", as: .stranger).json
            #expect(none == .object(["servers": .array([])]))
        }
    }

    @Test("a peer is added from its card, suspended with a reason, reinstated and removed")
    func peers() async throws {
        try await TestServer.run { server async throws in
            let card = try server.card(of: "beta")
            let added = try await server.request("POST", "/v1/peers", json: "{\"card\":\"\(card)\"}")
            #expect(added.status == 201 && added.headers["location"] == "/v1/peers/beta")
            #expect(try added.json["trusted"] == .bool(false))
            #expect(try await server.request("GET", "/v1/peers").json["peers"]?.elements?.count == 1)
            let suspended = try await server.request("POST", "/v1/peers/beta/suspend", json: #"{"reason":"noise"}"#)
            #expect(try suspended.json["status"]?.text == "suspended")
            let reinstated = try await server.request("POST", "/v1/peers/beta/reinstate")
            #expect(try reinstated.json["status"]?.text == "offline")
            #expect(try await server.request("DELETE", "/v1/servers/beta").code == "server.isPeer")
            #expect(try await server.request("DELETE", "/v1/peers/beta").status == 204)
            #expect(try await server.request("GET", "/v1/peers/beta").status == 404)
        }
    }

    @Test("a route is added, switched, resolved or refused at its step, and removed")
    func routes() async throws {
        try await TestServer.run { server async throws in
            let body = #"{"portal":"gate","destination":"beta","world":"harbour","spawn":"1,2.5,-3"}"#
            let added = try await server.request("POST", "/v1/routes", json: body)
            #expect(added.status == 201 && added.headers["location"] == "/v1/routes/gate")
            #expect(
                try added.json
                    == .object([
                        "portal": .string("gate"), "source": .string("alpha"), "destination": .string("beta"),
                        "world": .string("harbour"), "spawn": .string("1,2.5,-3"), "active": .bool(true),
                    ]))
            #expect(try await server.request("POST", "/v1/routes", json: body).status == 409)

            let unknown = try await server.request("GET", "/v1/routes/gate/destination")
            #expect(unknown.status == 409)
            #expect(try unknown.json["step"]?.text == "registry")
            try await server.request("POST", "/v1/peers", jws: server.card(of: "beta"))
            let untrusted = try await server.request("GET", "/v1/routes/gate/destination")
            #expect(untrusted.status == 409)
            #expect(try untrusted.json["step"]?.text == "handshake")

            let off = try await server.request("PATCH", "/v1/routes/gate", json: #"{"active":false}"#)
            #expect(try off.json["active"] == .bool(false))
            let other = #"{"portal":"door","destination":"gamma","world":"w"}"#
            #expect(try await server.request("POST", "/v1/routes", json: other).status == 201)
            let toBeta = try await server.request("GET", "/v1/routes?to=beta").json["routes"]?.elements
            #expect(toBeta?.compactMap { $0["portal"]?.text } == ["gate"])
            let behind = try await server.request("GET", "/v1/routes?to=beta&after=gate").json["routes"]?.elements
            #expect(behind == [])
            let all = try await server.request("GET", "/v1/routes").json["routes"]?.elements
            #expect(all?.compactMap { $0["portal"]?.text } == ["door", "gate"])
            #expect(try await server.request("DELETE", "/v1/routes/gate").status == 204)
            #expect(try await server.request("GET", "/v1/routes/gate").status == 404)
        }
    }

    @Test("a world is published from its manifest once its assets are there, and read by anybody")
    func worlds() async throws {
        try await TestServer.run { server async throws in
            let bytes = [UInt8]("stones".utf8)
            let entry = try #require(
                AssetEntry(path: "a.txt", hash: ContentHash.of(bytes), size: 6, mediaType: "text/plain"))
            let world = try #require(WorldID("quay"))
            let manifest = try WorldManifest(world: world, name: "The quay", entries: [entry]).canonicalBytes
            let json = ["Content-Type": "application/json"]
            let missing = try await server.request("PUT", "/v1/worlds/quay", json, body: manifest)
            #expect(missing.status == 409 && missing.code == "asset.missing")
            try await server.request("PUT", "/v1/assets/\(entry.hash)", body: bytes)
            #expect(try await server.request("PUT", "/v1/worlds/quay", json, body: manifest).status == 201)
            #expect(try await server.request("PUT", "/v1/worlds/quay", json, body: manifest).status == 200)

            let shown = try await server.request("GET", "/v1/worlds/quay", as: .stranger).json
            #expect(shown["assets"] == .integer(1) && shown["totalSize"] == .integer(6))
            let listed = try await server.request("GET", "/v1/worlds", as: .stranger).json["worlds"]?.elements
            #expect(listed == [shown])
            let answer = try await server.request("GET", "/v1/worlds/quay/manifest", as: .stranger)
            #expect(answer.body == manifest && answer.headers["etag"] == "\"\(ContentHash.of(manifest))\"")
            let again = try await server.request(
                "GET", "/v1/worlds/quay/manifest", as: .stranger, ["If-None-Match": answer.headers["etag"] ?? ""])
            #expect(again.status == 304 && again.body.isEmpty)

            // Offered no longer once nobody is in it; its files stay.
            let events = try await EventProbe.follow("quay", on: server)
            _ = try await events.next("hello")
            try await server.enter("ada", world: "quay")
            let occupied = try await server.request("DELETE", "/v1/worlds/quay")
            #expect(occupied.status == 409 && occupied.code == "world.occupied", "\(occupied)")
            #expect(try await server.request("DELETE", "/v1/worlds/quay/players/ada").status == 200)
            #expect(try await server.request("DELETE", "/v1/worlds/quay", as: .stranger).status == 401)
            #expect(try await server.request("DELETE", "/v1/worlds/quay").status == 204)
            #expect(try await server.request("GET", "/v1/worlds/quay").code == "world.unknown")
            #expect(try await server.request("GET", "/v1/worlds").json["worlds"]?.elements == [])
            #expect(try await server.request("GET", "/v1/assets/\(entry.hash)").body == bytes)
            let card = try await server.request("GET", "/.well-known/aether-federation").json
            #expect(!"\(card)".contains("quay"))
            #expect(try await server.request("PUT", "/v1/worlds/quay", json, body: manifest).status == 201)
            #expect(try await server.request("PUT", "/v1/worlds/quay/players/ada", body: bytes).status == 200)
        }
    }

    @Test("a player enters, is saved, loaded and leaves; a stale epoch is refused")
    func players() async throws {
        try await TestServer.run { server async throws in
            try await server.publish()
            let path = "/v1/worlds/harbour/players/ada"
            let state: [UInt8] = [0, 1, 2, 255]
            let entered = try await server.request(
                "PUT", path, ["Aether-Client-Key": "\(server.identity.publicKey)"], body: state)
            #expect(entered.status == 201)
            let ticket = try #require(try entered.json["ticket"]?.text)
            #expect(try await server.server.redeem(ticket: ticket).player.description == "ada@alpha")
            let saved = try await server.request("PUT", path, ["Aether-Epoch": "1"], body: state + [7])
            #expect(saved.status == 200)
            #expect(try saved.json["revision"] == .integer(2))
            let stale = try await server.request("PUT", path, ["Aether-Epoch": "2"], body: state)
            #expect(stale.status == 409 && stale.code == "player.staleEpoch")
            // One above belongs to a crossing that did not come about, or is forgotten.
            #expect(try stale.json["remedy"]?.text?.hasPrefix("this server knows of no crossing") == true)
            // A client that has lost its ticket is given another one, and nothing is saved for it.
            let renewed = try await server.request("POST", path + "/ticket").json
            #expect(renewed["revision"] == .integer(2) && renewed["state"] == nil)
            let other = try #require(renewed["ticket"]?.text)
            #expect(try await server.server.redeem(ticket: other).player.description == "ada@alpha")

            for name in ["ada", "ada@alpha", "ada%40alpha"] {
                let loaded = try await server.request("GET", "/v1/worlds/harbour/players/\(name)").json
                #expect(loaded["state"]?.text == Data(state + [7]).base64EncodedString())
                #expect(loaded["sha256"]?.text == "\(ContentHash.of(state + [7]))")
                #expect(loaded["presence"]?.text == "playable" && loaded["epoch"] == .integer(1))
                #expect(loaded["clientKey"]?.text == "\(server.identity.publicKey)")
                #expect(loaded["ticket"] == nil)
            }
            #expect(try await server.request("GET", "/v1/worlds/quay/players/ada").code == "player.elsewhere")
            let foreign = try await server.request("PUT", "/v1/worlds/harbour/players/eve@beta", body: state)
            #expect(foreign.status == 403 && foreign.code == "player.foreign")

            let listed = try await server.request("GET", "/v1/worlds/harbour/players").json["players"]?.elements
            #expect(listed?.compactMap { $0["player"]?.text } == ["ada@alpha"])
            #expect(listed?.first?["state"] == nil)
            let left = try await server.request("DELETE", path)
            #expect(try left.json["presence"]?.text == "left")
            #expect(
                try await server.request("GET", "/v1/worlds/harbour/players").json == .object(["players": .array([])]))
        }
    }

    @Test("health and status follow the store")
    func health() async throws {
        try await TestServer.run { server async throws in
            try await server.publish()
            #expect(try await server.request("GET", "/healthz", as: .stranger).json["ok"] == .bool(true))
            await server.store.failNext(1)
            let failed = try await server.request("PUT", "/v1/worlds/harbour/players/ada", body: [1])
            #expect(failed.status == 503 && failed.code == "store.failed" && failed.headers["retry-after"] != nil)
            let sick = try await server.request("GET", "/healthz", as: .stranger)
            #expect(sick.status == 503)
            #expect(try sick.json["storage"]?.text == "failing")
            #expect(try await server.request("GET", "/v1/status").json["storageFailure"] != nil)
            // The store is tried again after a pause.
            await server.clock.sleeper(for: .milliseconds(100))
            server.clock.advance(by: .milliseconds(100))
            _ = try? await server.server.leave(
                try #require(PlayerID("ada@alpha")), world: try #require(WorldID("harbour")), epoch: nil)
            var isWell = false
            while !isWell { isWell = try await server.request("GET", "/healthz", as: .stranger).status == 200 }
        }
    }

    @Test("the server card is what openssl verifies, and is not sent twice")
    func card() async throws {
        try await TestServer.run { server async throws in
            let answer = try await server.request("GET", "/.well-known/aether-federation", as: .stranger)
            #expect(answer.headers["content-type"] == "application/jose+json")
            #expect(answer.headers["cache-control"] == "public, max-age=60")
            let again = try await server.request(
                "GET", "/.well-known/aether-federation", as: .stranger, ["If-None-Match": answer.headers["etag"] ?? ""])
            #expect(again.status == 304)
            let compact = try await server.request(
                "GET", "/.well-known/aether-federation", as: .stranger, ["Accept": "text/html, application/jose;q=0.9"])
            #expect(compact.headers["content-type"] == "application/jose" && compact.headers["vary"] == "Accept")
            let parts = try ["protected", "payload", "signature"].map { try #require(try answer.json[$0]?.text) }
            #expect(compact.text == parts.joined(separator: "."))
            #expect(try OpenSSL.verifies(compact.text, key: server.identity.publicKey))
            let forged = (parts[2].first == "A" ? "B" : "A") + parts[2].dropFirst()
            #expect(
                try !OpenSSL.verifies("\(parts[0]).\(parts[1]).\(forged)", key: server.identity.publicKey))
        }
    }
}

/// The commands of PROTOCOL.md, run by a shell on a card that was fetched.
enum OpenSSL {
    static func verifies(_ card: String, key: PublicKey) throws -> Bool {
        let protocolPage = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("PROTOCOL.md")
        let page = try String(contentsOf: protocolPage, encoding: .utf8)
        let block = try #require(page.firstMatch(of: /<!-- card check begins -->\n```sh\n([^`]*)```/)?.1)
        let script = block.split(separator: "\n").filter { !$0.hasPrefix("curl") }.joined(separator: "\n")
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("card-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data(card.utf8).write(to: folder.appendingPathComponent("card.jws"))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.currentDirectoryURL = folder
        process.arguments = ["-euc", script]
        process.environment = ProcessInfo.processInfo.environment.merging(["KEY": key.description]) { _, key in key }
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
