import Foundation
import TestKit
import Testing

extension Programs {
    @Suite("Crashes in a crossing")
    struct Crashes {
        enum Victim: String, CaseIterable, Sendable {
            case source
            case destination
        }

        @Test(
            "Whoever dies after the player set out, the player ends playable on exactly one server, with their state",
            arguments: Victim.allCases)
        func killed(victim: Victim) async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                // The same moments in every run, as far as the machine allows.
                var random = SeededGenerator(seed: victim == .source ? 7_700 : 7_701)
                var source = (node: pair.alpha, world: "garden", portal: Pair.out)
                var destination = (node: pair.beta, world: "harbour", portal: Pair.back)
                let state = try await record(source.node, source.world)["sha256"].string
                var epoch = try await record(source.node, source.world)["epoch"].int ?? 0
                var crossings = 0
                for round in 1...12 {
                    let started = try await source.node.api(
                        "POST", "/v1/portals/\(source.portal)/travel",
                        json: #"{"player":"alice@alpha","epoch":\#(epoch)}"#)
                    try #require(started.status == 202, "round \(round): \(started.text)")
                    // Not waited for: the moment is what is being varied.
                    let moment = ContinuousClock.now + .microseconds(Int.random(in: 0..<25_000, using: &random))
                    while ContinuousClock.now < moment {}
                    let node = victim == .source ? source.node : destination.node
                    try await node.kill()
                    try await node.start()
                    try await eventually("round \(round): the player is playable somewhere", within: 45) {
                        // The destination first: the source has given the player up before the destination has them.
                        let there = try await record(destination.node, destination.world)
                        let here = try await record(source.node, source.world)
                        let isHere = here["presence"].string == "playable"
                        let isThere = there["presence"].string == "playable"
                        try #require(!(isHere && isThere), "round \(round): \(here) and \(there)")
                        let open = try await self.open(source.node) + self.open(destination.node)
                        return isHere != isThere && open == 0
                    }
                    let there = try await record(destination.node, destination.world)
                    let crossed = there["presence"].string == "playable"
                    let player = crossed ? there : try await record(source.node, source.world)
                    #expect(player["sha256"].string == state, "round \(round): \(player)")
                    #expect(player["epoch"].int == epoch + (crossed ? 1 : 0), "round \(round): \(player)")
                    epoch = player["epoch"].int ?? epoch
                    if crossed {
                        crossings += 1
                        swap(&source, &destination)
                    }
                    try await source.node.awaitHealthy(destination.node)
                    try await destination.node.awaitHealthy(source.node)
                }
                print(
                    "\(victim.rawValue) killed 12 times: \(crossings) crossings were completed, \(12 - crossings) called off"
                )
            }
        }

        private func record(_ node: Node, _ world: String) async throws -> JSON {
            try await node.get("/v1/worlds/\(world)/players/alice@alpha")
        }

        private func open(_ node: Node) async throws -> Int {
            try await node.get("/v1/status")["openHandoffs"].int ?? -1
        }
    }
}
