import Foundation
import Testing

extension Programs {
    @Suite("The story by curl")
    struct Story {
        @Test("The whole crossing can be followed with curl alone, and again in another world's life")
        func curl() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                let beta = try await Node("beta", in: scratch)
                try await alpha.start()
                try await beta.start()
                let arguments = [
                    alpha.address, alpha.home + "/admin.key", beta.address, beta.home + "/admin.key",
                ]
                for _ in 0..<2 {
                    let end = try await scratch.run(Program.project + "/scripts/curl-story", arguments, within: 60)
                    #expect(
                        end.code == 0, "\(end.err)\nalpha: \(alpha.log.suffix(1_500))\nbeta: \(beta.log.suffix(1_500))")
                    let steps = end.out.split(separator: "\n").map { $0.split(separator: " ")[1] }
                    #expect(
                        steps == [
                            "card", "registry", "handshake", "health", "world", "routing", "enter", "handoff",
                            "arrived",
                        ])
                }
                // With the wrong key it says so and ends.
                let wrong = try await scratch.run(
                    Program.project + "/scripts/curl-story",
                    [alpha.address, beta.home + "/admin.key", beta.address, beta.home + "/admin.key"])
                #expect(wrong.code == 1 && wrong.err.contains("admin.keyWrong"), "\(wrong.err)")
                #expect(scratch.leftovers.isEmpty)
                let misuse = try await scratch.run(Program.project + "/scripts/curl-story", [])
                #expect(misuse.code == 64 && misuse.err.contains("SOURCE-URL"))
            }
        }
    }
}
