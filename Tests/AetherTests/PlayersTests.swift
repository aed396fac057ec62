import Foundation
import TestKit
import Testing

extension Programs {
    @Suite("Players")
    struct Players {
        private func aether(_ line: String, on node: Node, in scratch: Scratch) async throws -> Child.End {
            try await scratch.aether(line.split(separator: " ").map(String.init) + ["--data", node.home])
        }

        @Test("A player whose server died is taken back, and that server gives up its copy when it returns")
        func reclaim() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                let alpha = pair.alpha
                let here = try await aether("players", on: alpha, in: scratch)
                #expect(here.code == 0 && here.out.contains("alice@alpha  here"), "\(here.out) \(here.err)")
                let early = try await aether("players reclaim alice --reason lost", on: alpha, in: scratch)
                #expect(early.code == 1 && early.err.contains("[player.notAway]"), "\(early.err)")
                let travelled = try await aether("travel alice garden-gate", on: alpha, in: scratch)
                #expect(travelled.code == 0, "\(travelled.err)")
                try await pair.beta.kill()

                for line in ["players list", "players show alice", "players show alice@alpha"] {
                    let text = try await aether(line, on: alpha, in: scratch)
                    #expect(text.code == 0 && text.out.contains("on beta"), "\(line): \(text.out) \(text.err)")
                    #expect(text.out.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(text.out)")
                    let json = try await aether(line + " --json", on: alpha, in: scratch)
                    #expect(json.code == 0 && JSON(json.out).isValid, "\(line): \(json.out)")
                }
                let asked = try await aether("players reclaim alice --reason lost", on: alpha, in: scratch)
                #expect(asked.code == 2 && asked.out.isEmpty, "\(asked.out)")
                #expect(asked.err.contains("The danger: ") && asked.err.contains("--yes"), "\(asked.err)")
                #expect(try await alpha.get("/v1/players/alice")["presence"].string == "departed")
                #expect(try await aether("players reclaim alice --yes", on: alpha, in: scratch).code == 64)
                let unknown = try await aether("players reclaim bob --reason lost --yes", on: alpha, in: scratch)
                #expect(unknown.code == 1 && unknown.err.contains("[player.unknown]"), "\(unknown.err)")

                let taken = try await aether("players reclaim alice --reason lost --yes", on: alpha, in: scratch)
                #expect(taken.code == 0 && taken.out.contains("taken back from beta"), "\(taken.out) \(taken.err)")
                let epoch = try #require(try await alpha.get("/v1/players/alice")["epoch"].int)
                let back = try await alpha.api(
                    "PUT", "/v1/worlds/garden/players/alice", json: "{}", type: "application/octet-stream",
                    headers: ["Aether-Epoch": "\(epoch)"])
                #expect(back.status == 200, "\(back.text)")
                let twice = try await aether("players reclaim alice --reason lost --yes --json", on: alpha, in: scratch)
                #expect(twice.code == 1 && twice.err.contains("[player.notAway]"), "\(twice.err)")

                // It was not gone for good after all.
                try await pair.beta.start()
                try await eventually("beta gives up its copy", within: 40) {
                    try await pair.presences() == ["alpha": "playable", "beta": "recalled"]
                }
                let lost = try await aether("players", on: pair.beta, in: scratch)
                #expect(lost.out.contains("recalled by alpha"), "\(lost.out)")
                let audit = try await alpha.get("/v1/reclaims")["reclaims"].list
                #expect(audit.count == 1 && audit[0]["player"].string == "alice@alpha", "\(audit)")
                #expect(audit[0]["server"].string == "beta" && audit[0]["reason"].string == "lost", "\(audit)")
            }
        }

        @Test("A destination that does not accept in time keeps nobody: the player goes on at home, and hears why")
        func silence() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                // Beta's world is guarded by someone who says nothing for longer than alpha waits.
                _ = try await pair.alpha.stop()
                try pair.alpha.set("handoff", ["acceptSeconds": 0.2])
                try await pair.alpha.start()
                try await pair.alpha.awaitHealthy(pair.beta)
                try await pair.beta.awaitHealthy(pair.alpha)
                let doorkeeper = try scratch.start(
                    Program.aether, ["worlds", "events", "harbour", "--guard", "--data", pair.beta.home])
                try await eventually("the world is guarded: \(doorkeeper.err)") { doorkeeper.out.contains("harbour:") }
                let started = try await pair.alpha.api(
                    "POST", "/v1/portals/\(Pair.out)/travel", json: #"{"player":"alice","epoch":1}"#)
                let id = try #require(started.json["id"].string, "\(started.text)")
                var crossing = started.json
                try await eventually("the crossing is over: \(crossing)") {
                    crossing = try await pair.alpha.get("/v1/handoffs/\(id)")
                    return crossing["phase"].string == "aborted"
                }
                #expect(crossing["refusal"]["code"].string == "handoff.timeout", "\(crossing)")
                let step = try #require(crossing["steps"].list.last)
                #expect(step["step"].string == "handoff" && step["ok"].bool == false, "\(crossing)")
                // 200 ms and at most four round trips of 500 ms; beta's world alone would have had ten seconds.
                let waited = try #require(step["ms"].int, "\(crossing)")
                #expect(waited >= 200 && waited < 3_000 * patience, "waited \(waited) ms")
                #expect(try await pair.playableAt() == ["alpha"])
            }
        }

        @Test("A world's events come line by line, as text and as JSON, and do not hold up a server that stops")
        func events() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                let nowhere = try await aether("worlds events nowhere", on: pair.alpha, in: scratch)
                #expect(nowhere.code == 1 && nowhere.err.contains("[world.unknown]"), "\(nowhere.err)")
                let text = try scratch.start(
                    Program.aether, ["worlds", "events", "garden", "--data", pair.alpha.home])
                let json = try scratch.start(
                    Program.aether, ["worlds", "events", "harbour", "--guard", "--json", "--data", pair.beta.home])
                try await eventually("both follow: \(text.err) \(json.err)") {
                    text.out.contains("hello") && json.out.contains("hello")
                }
                func event(_ name: String) -> JSON? {
                    json.out.split(separator: "\n").map { JSON(String($0)) }.first { $0["event"].string == name }
                }
                #expect(event("hello")?["guarding"].bool == true)
                let started = try await pair.alpha.api(
                    "POST", "/v1/portals/\(Pair.out)/travel", json: #"{"player":"alice"}"#)
                let id = try #require(started.json["id"].string)
                try await eventually("somebody stands at the door: \(json.out)") { event("arriving") != nil }
                let refused = try await pair.beta.api(
                    "POST", "/v1/worlds/harbour/arrivals/\(id)", json: #"{"admit":false,"reason":"closed today"}"#)
                #expect(refused.status == 204, "\(refused.text)")
                try await eventually("the player is back: \(text.out)") { text.out.contains("[world.refused]") }
                let lines = text.out.split(separator: "\n")
                #expect(lines.count == 3 && lines[0].contains("garden: 1 players"), "\(text.out)")
                #expect(lines[1].hasPrefix("departing ") && lines[2].hasPrefix("returned "), "\(text.out)")
                #expect(lines[2].contains("closed today") && lines[2].contains(id), "\(text.out)")
                #expect(event("turnedAway")?["reason"].string == "closed today", "\(json.out)")

                // Followers do not keep a server from stopping, and hear that it does.
                let end = try await pair.beta.stop()
                #expect(end.code == 0, "\(end.err)")
                let told = try await json.end()
                #expect(told.code == 1 && told.err.contains("[events.ended]"), "\(told.err)")
                #expect(text.isRunning)
            }
        }
    }
}
