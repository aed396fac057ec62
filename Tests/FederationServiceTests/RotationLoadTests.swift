import FederationCore
import FederationModel
import FederationService
import ServiceTestKit
import Synchronization
import TestKit
import Testing

@Suite("Keys that change while players travel", .timeLimit(.minutes(2 * patience)))
struct RotationLoadTests {
    enum Trust: CaseIterable, Sendable {
        case pinned
        case introduced
    }

    private static let names = ["ada", "bob", "cleo", "dora"]

    @Test(
        "nobody is lost, and nobody refused, while a peer changes its key again and again", arguments: Trust.allCases)
    func rotations(_ trust: Trust) async throws {
        let scene = try await Scene(trust)
        let (alpha, beta) = (scene.alpha, scene.beta)
        let first = try #require(await alpha.server.binding(of: beta.id)).key
        for name in Self.names { try await alpha.enter(name) }
        let players = try Self.names.map { try alpha.player($0) }
        let journal = Journal(players)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for player in players { group.addTask { await scene.wander(player, journal) } }
            defer { journal.end() }
            for _ in 0..<3 {
                try await journal.awaitCrossings(2)
                let key = try await beta.server.rotateKeys()
                try await eventually { await alpha.server.binding(of: beta.id)?.key == key }
            }
            try await journal.awaitCrossings(2)
            journal.end()
            try await group.waitForAll()
        }
        #expect(journal.refused.isEmpty, "\(journal.refused)")
        #expect(try #require(await alpha.server.binding(of: beta.id)).key != first)
        for (here, there) in [(alpha, beta), (beta, alpha)] {
            let peer = try await here.server.peer(there.id)
            #expect(await here.server.isConnected(to: there.id))
            switch trust {
            case .pinned: #expect(peer.trust == .pinned)
            case .introduced: #expect(peer.trust == .introduced([scene.host.id]))
            }
        }
        for player in players {
            var playable: [PlayerRecord] = []
            for server in [alpha, beta] {
                let record = try await server.server.player(player)
                if record.presence == .playable { playable.append(record) }
            }
            #expect(playable.count == 1, "\(player): \(playable)")
            let record = try #require(playable.first)
            #expect(record.state == Array("a lamp".utf8))
            // One term of ownership for each crossing: none was counted twice, and none forgotten.
            #expect(record.epoch == Epoch(UInt64(1 + journal.arrivals(of: player))))
        }
    }

    /// Two servers with a world and a portal each, which trust each other, and a third that knows both.
    private struct Scene: Sendable {
        let alpha: TestServer
        let beta: TestServer
        let host: TestServer
        private let links: [Link]

        init(_ trust: Trust) async throws {
            let clock = ManualClock()
            alpha = try await TestServer.start("alpha", seed: 1, clock: clock)
            beta = try await TestServer.start("beta", seed: 2, clock: clock)
            host = try await TestServer.start("host", seed: 3, clock: clock)
            try await alpha.publish("home")
            try await beta.publish("forest")
            var links: [Link] = []
            switch trust {
            case .pinned:
                links.append(try await Link.connect(alpha.server, beta.server))
                try await alpha.route(to: beta, world: "forest")
                try await beta.route(to: alpha, world: "home")
            case .introduced:
                let policy = TrustPolicy(introducedBy: TrustPolicy.Introduced(count: 1, scopes: .all))
                for server in [alpha, beta] {
                    try await server.server.setPolicy(policy)
                    links.append(try await Link.connect(host.server, server.server))
                }
                _ = try await alpha.server.register(try #require(await beta.server.card()?.compact))
                _ = try await beta.server.register(try #require(await alpha.server.card()?.compact))
                try await alpha.route(to: beta, world: "forest")
                try await beta.route(to: alpha, world: "home")
                let (one, other) = (alpha, beta)
                for (here, there) in [(one, other), (other, one)] {
                    try await eventually { await here.server.isPeer(there.id) }
                }
                links.append(try await Link.open(alpha.server, beta.server))
            }
            self.links = links
        }

        /// There and back again, until it is over or the player is refused.
        func wander(_ player: PlayerID, _ journal: Journal) async {
            var (here, there) = (alpha, beta)
            while !journal.isOver {
                let code: String?
                do {
                    code = try await cross(player, from: here)
                } catch {
                    code = "\(error)"
                }
                if let code { return journal.refuse("\(player): \(code)") }
                journal.arrive(player)
                (here, there) = (there, here)
            }
        }

        /// - Returns: nil for who has arrived, else the code of the refusal.
        private func cross(_ player: PlayerID, from here: TestServer) async throws -> String? {
            let updates = try await here.server.updates(of: player)
            let epoch = try await here.server.player(player).epoch
            let id: HandoffID
            do {
                id = try await here.server.travel(player, epoch: epoch, through: try #require(PortalID("gate"))).id
            } catch let refusal as Refusal {
                return refusal.code
            }
            for await update in updates {
                switch update {
                case .completed(id): return nil
                case .returned(id, let refusal): return refusal.code
                case .progress, .verifying, .offered, .redirect, .returned, .completed, .voided, .admitted, .withdrawn,
                    .gone, .revoked:
                    break
                }
            }
            return "updates.ended"
        }
    }

    /// What has become of the crossings.
    private final class Journal: Sendable {
        private struct State {
            var arrivals: [PlayerID: Int]
            var refused: [String] = []
            var isOver = false
        }

        private let state: Mutex<State>

        init(_ players: [PlayerID]) {
            state = Mutex(State(arrivals: Dictionary(uniqueKeysWithValues: players.map { ($0, 0) })))
        }

        var isOver: Bool { state.withLock { $0.isOver } }
        var refused: [String] { state.withLock { $0.refused } }

        func arrivals(of player: PlayerID) -> Int { state.withLock { $0.arrivals[player] ?? 0 } }
        func arrive(_ player: PlayerID) { state.withLock { $0.arrivals[player, default: 0] += 1 } }
        func refuse(_ what: String) { state.withLock { $0.refused.append(what) } }
        func end() { state.withLock { $0.isOver = true } }

        /// Waits until every player has arrived so many times more; somebody who is refused ends the wait, and the test.
        func awaitCrossings(_ count: Int) async throws {
            let before = state.withLock { $0.arrivals }
            try await eventually {
                state.withLock { state in
                    !state.refused.isEmpty
                        || before.allSatisfy { state.arrivals[$0.key, default: 0] >= $0.value + count }
                }
            }
        }
    }
}
