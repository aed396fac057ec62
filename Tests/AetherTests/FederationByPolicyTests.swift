import Foundation
import Synchronization
import Testing

extension Programs {
    @Suite("A federation by policy")
    struct FederationByPolicy {
        @Test(
            "Servers that know only a registry trust each other by policy, and keys change under way without a loss")
        func federation() async throws {
            try await Scratch.use { scratch in
                let ring = try await Ring(in: scratch)
                for node in ring.nodes {
                    for other in ring.nodes where other.id != node.id {
                        let peer = try await node.peer(other)
                        #expect(peer["trust"].string == "registry:\(ring.registry.address)", "\(peer)")
                    }
                }
                let walker = try await ring.enter("walker", at: 0)
                for (from, to) in [(0, 1), (1, 2), (2, 0)] {
                    #expect(try await ring.cross(walker, from, to) == nil)
                }

                try await ring.registry.kill()
                #expect(try await ring.cross(walker, 0, 1) == nil)
                #expect(try await ring.cross(walker, 1, 0) == nil)

                // Two go round, two go there and back.
                var players: [(name: String, way: [Int])] = []
                for number in 0..<4 {
                    players.append((try await ring.enter("p\(number)", at: 0), number < 2 ? [0, 1, 2] : [0, 1]))
                }
                let journal = Journal(players.map(\.name))
                let ends = try await travel(players, in: ring, journal) {
                    try await changeKeys(of: ring.nodes[1], in: ring, journal, scratch)
                }
                for player in players {
                    let places = try await ring.places(of: player.name)
                    #expect(places.filter { $0.value["presence"].string == "playable" }.count == 1, "\(places)")
                    let end = try #require(ends[player.name])
                    let here = try #require(places[end])
                    #expect(here["presence"].string == "playable", "\(places)")
                    #expect(here["state"].string == Data("\(player.name)'s lamp".utf8).base64EncodedString())
                    // One term of ownership for each crossing: none was counted twice, and none forgotten.
                    #expect(here["epoch"].int == 1 + journal.arrivals(of: player.name), "\(here)")
                }
                #expect(journal.lost.isEmpty, "\(journal.lost)")
                #expect(journal.refusedInRotation.isEmpty, "\(journal.refusedInRotation)")
            }
        }

        /// Lets the players travel until the operator is done.
        ///
        /// - Returns: where each of them is in the end.
        private func travel(
            _ players: [(name: String, way: [Int])], in ring: Ring, _ journal: Journal,
            _ operate: () async throws -> Void
        ) async throws -> [String: String] {
            try await withThrowingTaskGroup(of: (String, String).self) { group in
                for player in players {
                    group.addTask { (player.name, try await wander(player.name, player.way, in: ring, journal)) }
                }
                let operated: (any Error)?
                do {
                    try await operate()
                    operated = nil
                } catch {
                    operated = error
                }
                journal.end()
                var ends: [String: String] = [:]
                for try await (player, place) in group { ends[player] = place }
                if let operated { throw operated }
                return ends
            }
        }

        /// Goes on and on along a way. Who is refused is playable where they were, and tries again.
        private func wander(
            _ player: String, _ way: [Int], in ring: Ring, _ journal: Journal
        ) async throws -> String {
            var step = 0
            while !journal.isOver {
                let (from, to) = (way[step % way.count], way[(step + 1) % way.count])
                if let code = try await ring.cross(player, from, to) {
                    journal.refused(player, code)
                    let here = try await ring.places(of: player)[ring.nodes[from].id]
                    if here?["presence"].string != "playable" {
                        journal.lose("\(player): \(code), \(String(describing: here))")
                    }
                    _ = await offPool { poll(nil, 0, 50) }
                } else {
                    journal.arrived(player)
                    step += 1
                }
            }
            return ring.nodes[way[step % way.count]].id
        }

        /// Three rotations and a revocation, each with crossings before and after it.
        private func changeKeys(of node: Node, in ring: Ring, _ journal: Journal, _ scratch: Scratch) async throws {
            let others = ring.nodes.filter { $0.id != node.id }
            try await journal.awaitCrossings(1)
            journal.rotating(true)
            for _ in 0..<3 {
                let rotated = try await node.api("POST", "/v1/keys/rotate")
                #expect(rotated.status == 200, "\(rotated.text)")
                try await awaitKey(rotated.json["fingerprint"].string, of: node, at: others)
                try await journal.awaitCrossings(1)
            }
            // As fast as it goes, while what the earlier keys have signed is on its way.
            for _ in 0..<2 { #expect(try await node.api("POST", "/v1/keys/rotate").status == 200) }
            try await journal.awaitCrossings(2)
            journal.rotating(false)
            let revoked = try await scratch.aether(
                ["keys", "revoke", "--json", "--data", node.home], input: node.recovery + "\n")
            #expect(revoked.code == 0, "\(revoked.err)")
            try await awaitKey(JSON(revoked.out)["fingerprint"].string, of: node, at: others)
            for other in others { try await other.awaitHealthy(node) }
            try await journal.awaitCrossings(2)
        }

        private func awaitKey(_ fingerprint: String?, of node: Node, at others: [Node]) async throws {
            let fingerprint = try #require(fingerprint)
            for other in others {
                try await eventually("\(other.id) follows \(node.id)", within: 40) {
                    try await other.peer(node)["fingerprint"].string == fingerprint
                }
            }
        }
    }
}

/// A registry, three servers that know its address only, a world on each, a portal from each to each.
private struct Ring: Sendable {
    let registry: Node
    let nodes: [Node]

    init(in scratch: Scratch) async throws {
        // Health is not what is tested: a busy machine must not look like a dead peer.
        let slow = ["--allow-private-addresses", "--heartbeat-interval", "2", "--unreachable-after", "20"]
        registry = try await Node("registry", in: scratch, with: ["--registry"] + slow)
        try await registry.start()
        var nodes: [Node] = []
        for id in ["alpha", "beta", "gamma"] {
            let node = try await Node(id, in: scratch, with: ["--registry-url", registry.address] + slow)
            try await node.start()
            let policy = try await node.api("PUT", "/v1/policy", json: #"{"registryListed":{}}"#)
            #expect(policy.status == 200, "\(policy.text)")
            try await Pair.publish(id, on: node)
            nodes.append(node)
        }
        self.nodes = nodes
        for node in nodes {
            for other in nodes where other.id != node.id {
                let route = #"{"portal":"to-\#(other.id)","destination":"\#(other.id)","world":"\#(other.id)"}"#
                let added = try await node.api("POST", "/v1/routes", json: route)
                #expect(added.status == 201, "\(added.text)")
            }
        }
        for node in nodes {
            for other in nodes where other.id != node.id {
                try await node.awaitHealthy(other, within: 60)
            }
        }
    }

    /// - Returns: the player's full name.
    func enter(_ player: String, at index: Int) async throws -> String {
        let (node, name) = (nodes[index], "\(player)@\(nodes[index].id)")
        let entered = try await node.api(
            "PUT", "/v1/worlds/\(node.id)/players/\(player)", json: "\(name)'s lamp", type: "application/octet-stream")
        #expect(entered.status == 201, "\(entered.text)")
        #expect(entered.json["epoch"].int == 1)
        return name
    }

    /// Sends a player through a portal and waits for the outcome.
    ///
    /// - Returns: nil for who has arrived, else the code of the refusal.
    func cross(_ player: String, _ from: Int, _ to: Int) async throws -> String? {
        let (source, destination) = (nodes[from], nodes[to])
        // Whom the server does not know it refuses in its own words.
        let epoch = try await source.get("/v1/players/\(player)")["epoch"].int.map { #","epoch":\#($0)"# } ?? ""
        let started = try await source.api(
            "POST", "/v1/portals/to-\(destination.id)/travel", json: #"{"player":"\#(player)"\#(epoch)}"#)
        guard started.status == 202 else {
            let code: String = try #require(started.json["code"].string, "\(started.text)")
            return code
        }
        let id = try #require(started.json["id"].string)
        var crossing = started.json
        try await eventually("\(player) arrives at \(destination.id) or stays: \(crossing)", within: 60) {
            crossing = try await source.get("/v1/handoffs/\(id)")
            return ["completed", "aborted"].contains(crossing["phase"].string)
        }
        guard crossing["phase"].string == "aborted" else { return nil }
        let code: String = try #require(crossing["refusal"]["code"].string, "\(crossing)")
        return code
    }

    /// What each server says of a player.
    func places(of player: String) async throws -> [String: JSON] {
        var places: [String: JSON] = [:]
        for node in nodes { places[node.id] = try await node.get("/v1/worlds/\(node.id)/players/\(player)") }
        return places
    }
}

/// What has become of the crossings.
private final class Journal: Sendable {
    private struct State {
        var arrivals: [String: Int] = [:]
        var refusedInRotation: [String] = []
        var lost: [String] = []
        var isRotating = false
        var isOver = false
    }

    private let state = Mutex(State())

    init(_ players: [String]) {
        state.withLock { $0.arrivals = Dictionary(uniqueKeysWithValues: players.map { ($0, 0) }) }
    }

    var isOver: Bool { state.withLock { $0.isOver } }
    var lost: [String] { state.withLock { $0.lost } }
    var refusedInRotation: [String] { state.withLock { $0.refusedInRotation } }

    func arrivals(of player: String) -> Int { state.withLock { $0.arrivals[player] ?? 0 } }

    func arrived(_ player: String) { state.withLock { $0.arrivals[player, default: 0] += 1 } }

    func refused(_ player: String, _ code: String) {
        state.withLock { if $0.isRotating { $0.refusedInRotation.append("\(player): \(code)") } }
    }

    func lose(_ what: String) { state.withLock { $0.lost.append(what) } }

    func rotating(_ isRotating: Bool) { state.withLock { $0.isRotating = isRotating } }

    func end() { state.withLock { $0.isOver = true } }

    /// Waits until every player has arrived so many times more.
    func awaitCrossings(_ count: Int) async throws {
        let before = state.withLock { $0.arrivals }
        try await eventually("everybody crosses \(count) times", within: 60) {
            let now = state.withLock { $0.arrivals }
            return before.allSatisfy { now[$0.key, default: 0] >= $0.value + count }
        }
    }
}
