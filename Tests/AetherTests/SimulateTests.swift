import Foundation
import Testing

extension Programs {
    @Suite("aether simulate")
    struct Simulate {
        private func last(_ end: Child.End) throws -> [String: Any] {
            let line = try #require(end.out.split(separator: "\n").last)
            return try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }

        @Test("Ends with one JSON object, which is the same for the same seed but for the speed")
        func object() async throws {
            try await Scratch.use { scratch in
                let arguments = ["simulate", "--seed", "7", "--crossings", "30", "--json"]
                var digests: Set<String> = []
                for _ in 0..<2 {
                    let end = try await scratch.aether(arguments, within: 60)
                    #expect(end.code == 0, "\(end.err)")
                    // A run that traps says no last line; the seed has been said before.
                    #expect(end.err.split(separator: "\n").contains("seed 7"))
                    let object = try last(end)
                    let members: Set = [
                        "seed", "seeds", "crossings", "committed", "aborted", "redeemed", "faults", "violations",
                        "digest", "simulated_seconds", "crossings_per_second",
                    ]
                    #expect(Set(object.keys) == members)
                    #expect(object["seed"] as? Int == 7 && object["violations"] as? Int == 0)
                    #expect(try #require(object["crossings"] as? Int) >= 30)
                    #expect(object["crossings_per_second"] as? Int != nil && object["faults"] as? [String: Int] != nil)
                    digests.insert(try #require(object["digest"] as? String))
                }
                #expect(digests.count == 1)
            }
        }

        @Test("A planted bug ends it with 1, and with the command that finds the bug again")
        func mutant() async throws {
            try await Scratch.use { scratch in
                let found = try await scratch.aether(
                    "simulate", "--seed", "1", "--crossings", "60", "--mutant", "commitBeforeReservation", "--json",
                    within: 120)
                #expect(found.code == 1, "\(found.err)")
                let object = try last(found)
                #expect(object["violations"] as? Int == 1)
                let violation = try #require(object["violation"] as? [String: Any])
                #expect(violation["invariant"] as? String == "decisionFollowsReservation")
                #expect(violation["history"] as? [String] != [])
                let command = try #require(violation["command"] as? String).split(separator: " ").map(String.init)
                #expect(command.starts(with: ["aether", "simulate"]) && command.contains("--mutant"))
                let again = try await scratch.aether(
                    Array(command.dropFirst()) + ["--no-shrink", "--json"], within: 60)
                #expect(again.code == 1, "\(again.err)")
                let repeated = try #require(try last(again)["violation"] as? [String: Any])
                #expect(repeated["invariant"] as? String == violation["invariant"] as? String)
            }
        }

        @Test(
            "Refuses what it cannot run",
            arguments: ["--servers 1", "--crossings 0", "--mutant nothing", "--faults rain", "--only-faults x"])
        func misuse(line: String) async throws {
            try await Scratch.use { scratch in
                let end = try await scratch.aether(["simulate"] + line.split(separator: " ").map(String.init))
                #expect(end.code == 64 && end.out.isEmpty && !end.err.isEmpty, "\(end.out) \(end.err)")
            }
        }
    }
}
