import Foundation
import Testing

extension Programs {
    @Suite("Keys")
    struct Keys {
        private func aether(
            _ line: String, on node: Node, in scratch: Scratch, input: String? = nil
        ) async throws -> Child.End {
            try await scratch.aether(line.split(separator: " ").map(String.init) + ["--data", node.home], input: input)
        }

        private func fingerprint(of node: Node) async throws -> String {
            try #require(try await node.get("/v1/keys")["fingerprint"].string)
        }

        /// Waits until beta has pinned alpha's present key and trusts it. It looks for a card at most once in 30 s, and only when
        /// it meets the key again, which another 30 s may pass before.
        private func awaitPinned(_ pair: Pair, _ fingerprint: String) async throws {
            try await eventually("beta has pinned the new key", within: 90) {
                try await pair.beta.peer(pair.alpha)["fingerprint"].string == fingerprint
            }
            try await pair.alpha.awaitHealthy(pair.beta)
            try await pair.beta.awaitHealthy(pair.alpha)
        }

        @Test("A key is rotated while a player travels; the peer follows by itself, also after it was away")
        func rotation() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                let first = try await fingerprint(of: pair.alpha)
                async let travelled = aether("travel alice garden-gate", on: pair.alpha, in: scratch)
                let rotated = try await aether("keys rotate --json", on: pair.alpha, in: scratch)
                #expect(rotated.code == 0, "\(rotated.err)")
                #expect(try await travelled.code == 0)
                let second = try await fingerprint(of: pair.alpha)
                #expect(first != second && JSON(rotated.out)["fingerprint"].string == second)
                try await awaitPinned(pair, second)
                #expect(try await pair.playableAt() == ["beta"])

                // Beta is away for the next rotation, and finds the new key when it comes back.
                try await pair.beta.kill()
                #expect(try await aether("keys rotate", on: pair.alpha, in: scratch).code == 0)
                let third = try await fingerprint(of: pair.alpha)
                _ = try await pair.alpha.stop()
                try await pair.alpha.start()
                #expect(try await fingerprint(of: pair.alpha) == third)
                try await pair.beta.start()
                try await awaitPinned(pair, third)
                let back = try await aether("travel alice@alpha harbour-steps", on: pair.beta, in: scratch)
                #expect(back.code == 0, "\(back.err)")
                #expect(try await pair.playableAt() == ["alpha"])
            }
        }

        @Test(
            "A crash between the store's word and the files is mended at the next start",
            arguments: ["neither moved", "one moved"])
        func crashed(state: String) async throws {
            try await Scratch.use { scratch in
                let node = try await Node("alpha", in: scratch)
                func file(_ name: String) -> URL { URL(fileURLWithPath: node.home + "/" + name) }
                let old = try Data(contentsOf: file("identity.key"))
                try await node.start()
                #expect(try await aether("keys rotate", on: node, in: scratch).code == 0)
                let key = try await fingerprint(of: node)
                try await node.kill()
                // As they stood when the store had said so and the files had not followed.
                let new = try Data(contentsOf: file("identity.key"))
                try FileManager.default.moveItem(at: file("next.key"), to: file("next.key.pending"))
                if state == "neither moved" {
                    try FileManager.default.moveItem(at: file("identity.key"), to: file("next.key"))
                    try old.write(to: file("identity.key"))
                    try FileManager.default.setAttributes(
                        [.posixPermissions: 0o600], ofItemAtPath: file("identity.key").path)
                }
                try await node.start()
                #expect(try await fingerprint(of: node) == key)
                #expect(try Data(contentsOf: file("identity.key")) == new)
                #expect(!FileManager.default.fileExists(atPath: file("next.key.pending").path))
                #expect(try await aether("keys rotate", on: node, in: scratch).code == 0)
                // An old copy of the key files is not taken for the server.
                try await node.kill()
                try old.write(to: file("identity.key"))
                let refused = try await scratch.aether(["serve", "--data", node.home])
                #expect(refused.code == 1 && refused.err.contains("[identity.outdated]"), "\(refused.err)")
            }
        }

        @Test("Stolen keys are taken back with the recovery key, running or not; a mistyped one does nothing")
        func revocation() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                let first = try await fingerprint(of: pair.alpha)
                let code = pair.alpha.recovery
                let mistyped = (code.hasPrefix("x") ? "y" : "x") + code.dropFirst()
                for (input, refusal) in [
                    ("", "recovery.malformed"), (mistyped, "recovery.malformed"),
                    (pair.beta.recovery, "recovery.other"),
                ] {
                    let refused = try await aether("keys revoke", on: pair.alpha, in: scratch, input: input + "\n")
                    #expect(refused.code == 1 && refused.err.contains("[\(refusal)]"), "\(refused.err)")
                }
                #expect(try await fingerprint(of: pair.alpha) == first)
                let typed = code.uppercased().replacingOccurrences(of: "-", with: " ")
                let revoked = try await aether("keys revoke", on: pair.alpha, in: scratch, input: typed + "\n")
                #expect(revoked.code == 0 && !revoked.out.contains(code), "\(revoked.err)")
                let second = try await fingerprint(of: pair.alpha)
                #expect(second != first)
                try await awaitPinned(pair, second)
                #expect(try await aether("travel alice garden-gate", on: pair.alpha, in: scratch).code == 0)

                // Once more, while it does not run.
                _ = try await pair.alpha.stop()
                let waiting = try await aether("keys revoke --json", on: pair.alpha, in: scratch, input: code + "\n")
                #expect(waiting.code == 0, "\(waiting.err)")
                #expect(JSON(waiting.out)["pending"].string == "true" && JSON(waiting.out)["running"].string == nil)
                try await pair.alpha.start()
                let third = try await fingerprint(of: pair.alpha)
                #expect(third != second && JSON(waiting.out)["fingerprint"].string == third)
                try await awaitPinned(pair, third)
            }
        }

        @Test("Peers take a revocation also after the owner's clock was set back, running or not")
        func clockSetBack() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                let alpha = pair.alpha
                _ = try await alpha.stop()
                try alpha.set("clock", ["offsetSeconds": 86_400])
                var keys = [try #require(try await revoke(alpha, in: scratch)["fingerprint"].string)]
                try alpha.set("clock", ["offsetSeconds": 0])
                try await alpha.start()
                try await awaitPinned(pair, keys[0])

                // Numbered by the clock alone, these would be older than the one of tomorrow.
                keys.append(try #require(try await revoke(alpha, in: scratch)["fingerprint"].string))
                try await awaitPinned(pair, keys[1])
                _ = try await alpha.stop()
                keys.append(try #require(try await revoke(alpha, in: scratch)["fingerprint"].string))
                // Who has just started has not looked for alpha's card yet.
                _ = try await pair.beta.stop()
                try await pair.beta.start()
                try await alpha.start()
                try await awaitPinned(pair, keys[2])
                #expect(Set(keys).count == 3)
            }
        }

        private func revoke(_ node: Node, in scratch: Scratch) async throws -> JSON {
            let end = try await aether("keys revoke --json", on: node, in: scratch, input: node.recovery + "\n")
            #expect(end.code == 0, "\(end.err)")
            return JSON(end.out)
        }

        @Test("An id that is revoked for good is dead on the peers at once, and does not start again")
        func forGood() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                let dead = try await aether(
                    "keys revoke --for-good", on: pair.alpha, in: scratch, input: pair.alpha.recovery + "\n")
                #expect(dead.code == 0, "\(dead.err)")
                try await eventually("beta has suspended alpha") {
                    try await pair.beta.peer(pair.alpha)["status"].string == "suspended"
                }
                let reinstated = try await pair.beta.api("POST", "/v1/peers/alpha/reinstate")
                #expect(reinstated.status == 409 && reinstated.json["code"].string == "key.revoked")
                _ = try await pair.alpha.stop()
                let refused = try await scratch.aether(["serve", "--data", pair.alpha.home])
                #expect(refused.code == 1 && refused.err.contains("[keys.revoked]"), "\(refused.err)")
            }
        }

        @Test(
            "Whoever brings a revocation that nobody signed changes nothing",
            arguments: ["", "a.b.c", "e30.e30." + String(repeating: "A", count: 86)])
        func forged(body: String) async throws {
            try await Scratch.use { scratch in
                let node = try await Node("alpha", in: scratch)
                try await node.start()
                let answer = try await HTTP.send(
                    "POST", "/v1/revocations", port: node.port, headers: ["Content-Type": "application/jose"],
                    body: Data(body.utf8))
                #expect((400..<500).contains(answer.status), "\(answer.text)")
            }
        }
    }
}
