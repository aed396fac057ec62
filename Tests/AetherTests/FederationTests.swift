import Foundation
import Testing

extension Programs {
    @Suite("Two servers")
    struct Federation {
        /// What a server has promised, as its API tells it, without what changes by itself.
        private func promises(of node: Node) async throws -> [String] {
            var told: [String] = []
            for server in try await node.get("/v1/servers")["servers"].list {
                told.append(server.members("id", "name", "endpoint", "publicKey", "registeredAt"))
            }
            for peer in try await node.get("/v1/peers")["peers"].list {
                told.append(peer.members("id", "fingerprint", "addedAt"))
            }
            for route in try await node.get("/v1/routes")["routes"].list { told.append(route.description) }
            for world in try await node.get("/v1/worlds")["worlds"].list {
                told.append(world.description)
                let name = world["world"].string ?? ""
                told.append(try await node.get("/v1/worlds/\(name)/manifest").description)
                for player in try await node.get("/v1/worlds/\(name)/players")["players"].list {
                    told.append(
                        try await node.get("/v1/worlds/\(name)/players/\(player["player"].string ?? "")").description)
                }
            }
            for asset in try await node.get("/v1/assets")["assets"].list { told.append(asset.description) }
            for handoff in try await node.get("/v1/handoffs")["handoffs"].list {
                told.append(
                    handoff.members("id", "role", "phase", "player", "portal", "peer", "world", "epoch", "openedAt"))
            }
            return told
        }

        /// Sends the player through a portal, and waits until the source has the receipt.
        private func travel(_ node: Node, _ portal: String) async throws {
            let epoch = try #require(try await node.get("/v1/players/alice@alpha")["epoch"].int)
            let started = try await node.api(
                "POST", "/v1/portals/\(portal)/travel", json: #"{"player":"alice@alpha","epoch":\#(epoch)}"#)
            #expect(started.status == 202, "\(started.text)")
            let id = try #require(started.json["id"].string)
            try await eventually("the crossing is completed") {
                let crossing = try await node.get("/v1/handoffs/\(id)")
                #expect(crossing["phase"].string != "aborted", "\(crossing)")
                return crossing["phase"].string == "completed"
            }
        }

        @Test(
            "A peer that dies or hangs is Degraded, then Unreachable; when it is back all goes on by itself",
            arguments: [SIGKILL, SIGSTOP])
        func goneAndBack(number: Int32) async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                // A player on each, and a handoff in both ledgers.
                try await travel(pair.alpha, Pair.out)
                let entered = try await pair.alpha.api(
                    "PUT", "/v1/worlds/garden/players/bob", json: "state", type: "application/octet-stream")
                #expect(entered.status == 201)
                let before = try await promises(of: pair.beta)
                #expect(before.count >= 8, "\(before)")
                #expect(try await pair.presences() == ["alpha": "departed", "beta": "playable"])

                pair.beta.signal(number)
                var seen: [String] = []
                try await eventually("beta is unreachable") {
                    let health = try await pair.alpha.peer(pair.beta)["health"].string ?? "?"
                    if seen.last != health { seen.append(health) }
                    return health == "unreachable"
                }
                #expect(seen.suffix(2) == ["degraded", "unreachable"], "\(seen)")
                #expect(try await pair.alpha.get("/v1/servers/beta")["status"].string == "offline")
                let destination = try await pair.alpha.api("GET", "/v1/routes/\(Pair.out)/destination")
                #expect(destination.status == 409 && destination.json["step"].string == "health", "\(destination.text)")
                let refused = try await pair.alpha.api(
                    "POST", "/v1/portals/\(Pair.out)/travel", json: #"{"player":"bob"}"#)
                #expect(refused.status == 409 && refused.json["step"].string == "health", "\(refused.text)")
                #expect(refused.json["code"].string == "destination.unreachable")
                #expect(try await pair.alpha.get("/v1/worlds/garden/players/bob")["presence"].string == "playable")

                if number == SIGKILL {
                    try await pair.beta.kill()
                    try await pair.beta.start()
                } else {
                    pair.beta.signal(SIGCONT)
                }
                try await pair.alpha.awaitHealthy(pair.beta)
                try await pair.beta.awaitHealthy(pair.alpha)
                #expect(try await pair.alpha.api("GET", "/v1/routes/\(Pair.out)/destination").status == 200)
                #expect(try await promises(of: pair.beta) == before)
                try await travel(pair.beta, Pair.back)
                #expect(try await pair.playableAt() == ["alpha"])
            }
        }

        @Test("A server whose dials do not get through says, signed, that it is back, and is dialled")
        func comeback() async throws {
            try await Scratch.use { scratch in
                let (alpha, beta) = (try await Node("alpha", in: scratch), try await Node("beta", in: scratch))
                let (toAlpha, toBeta) = (try Door(to: alpha.port), try Door(to: beta.port))
                try alpha.set("dial", ["beta=ws://127.0.0.1:\(toBeta.port)"])
                try beta.set("dial", ["alpha=ws://127.0.0.1:\(toAlpha.port)"])
                try await alpha.start()
                try await beta.start()
                try await beta.trust(alpha)
                try await alpha.trust(beta)
                func taken(_ node: Node) async throws -> Bool {
                    try await node.api("GET", "/metrics").text.contains("aether_comebacks_total 1\n")
                }
                try await eventually("beta takes alpha's word that it is back") { try await taken(beta) }
                #expect(try await alpha.peer(beta)["channel"].string == nil, "nothing else follows from it")
                // A server that starts again numbers its statements anew, and has come back once more.
                try await alpha.kill()
                try await alpha.start()
                toAlpha.open()
                try await alpha.awaitHealthy(beta)
                try await beta.awaitHealthy(alpha)
            }
        }

        @Test("SIGTERM ends a server with exit code 0, in order, and it comes back with all that it promised")
        func stops() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                let before = try await promises(of: pair.alpha)
                // Somebody whose request never ends holds it up for some seconds, in which it opens no channel any more.
                let slow = try await HTTP.beginUpload(port: pair.alpha.port, key: pair.alpha.key)
                defer { close(slow) }
                let end = try await pair.alpha.stop()
                #expect(end.code == 0, "\(end.err)")
                let log = end.err.components(separatedBy: "alpha is stopping")
                try #require(log.count == 2, "\(end.err)")
                #expect(log[1].contains("alpha has stopped") && !log[1].contains("established"), "\(log[1])")
                try await pair.alpha.start()
                #expect(try await promises(of: pair.alpha) == before)
                try await pair.beta.awaitHealthy(pair.alpha)
            }
        }

        @Test("Suspending closes the channel at once; only reinstating brings it back")
        func suspended() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                let suspended = try await pair.alpha.api(
                    "POST", "/v1/peers/beta/suspend", json: #"{"reason":"a quarrel"}"#)
                #expect(suspended.status == 200, "\(suspended.text)")
                let peer = try await pair.alpha.peer(pair.beta)
                #expect(peer["status"].string == "suspended" && peer["trusted"].bool == false, "\(peer)")
                #expect(peer["channel"].string == nil, "\(peer)")
                try await eventually("beta has lost its channel") {
                    try await pair.beta.peer(pair.alpha)["channel"].string == nil
                }
                let refused = try await pair.alpha.api("GET", "/v1/routes/\(Pair.out)/destination")
                #expect(refused.status == 409 && refused.json["step"].string == "registry", "\(refused.text)")
                // Beta dials and says hello in vain: it stays suspended over several heartbeats and a restart of alpha.
                try await eventually("beta has dialled again") {
                    (try await pair.beta.peer(pair.alpha)["dial"]["attempts"].int ?? 0) >= 1
                }
                try await pair.alpha.kill()
                try await pair.alpha.start()
                #expect(try await pair.alpha.peer(pair.beta)["status"].string == "suspended")
                let reinstated = try await pair.alpha.api("POST", "/v1/peers/beta/reinstate")
                #expect(reinstated.status == 200, "\(reinstated.text)")
                try await pair.alpha.awaitHealthy(pair.beta)
                try await pair.beta.awaitHealthy(pair.alpha)
                try await travel(pair.alpha, Pair.out)
            }
        }

        @Test("A peer that is removed is neither trusted nor routed to, until it is added again")
        func removed() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                #expect(try await pair.alpha.api("DELETE", "/v1/peers/beta").status == 204)
                #expect(try await pair.alpha.api("GET", "/v1/peers/beta").status == 404)
                let refused = try await pair.alpha.api("GET", "/v1/routes/\(Pair.out)/destination")
                #expect(refused.status == 409, "\(refused.text)")
                #expect(["registry", "handshake"].contains(refused.json["step"].string ?? ""), "\(refused.text)")
                try await eventually("beta has lost its channel") {
                    try await pair.beta.peer(pair.alpha)["channel"].string == nil
                }
                try await pair.alpha.trust(pair.beta)
                try await pair.alpha.awaitHealthy(pair.beta)
                try await travel(pair.alpha, Pair.out)
            }
        }
    }
}
