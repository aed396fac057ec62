import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

/// What an operator decides, and what of it is stored.
@Suite("FederationNode, operator")
struct NodeOperatorTests {
    private static let endpoint = TableSamples.endpoint("ws://alpha.example")
    private static let start = HandoffSamples.now

    private static func node(_ stored: StoredState = StoredState(), at now: Now = start) throws -> TestNode {
        let node = try TestNode(
            "alpha", configuration: NodeConfiguration(name: "Alpha", endpoint: endpoint), seed: 1, at: now)
        _ = node.node.start(at: now)
        return node
    }

    /// A card of another server.
    private static func card(
        _ name: String = "beta", seed: UInt8 = 2, sequence: UInt64 = 1, endpoint: String = "ws://beta.example",
        issued: Duration = .zero
    ) throws -> String {
        let identity = try ServerIdentity(id: ServerID(unchecked: name), seed: [UInt8](repeating: seed, count: 32))
        let issued = HandoffSamples.at(issued).timestamp
        return ServerCard(
            id: identity.id, name: "Beta", endpoint: TableSamples.endpoint(endpoint), publicKey: identity.publicKey,
            sequence: sequence, worlds: [], issued: issued, expires: issued + .seconds(1_000_000)
        ).issue(by: identity)
    }

    private static func heartbeat(
        _ name: String = "beta", seed: UInt8 = 2, to audience: ServerID? = ServerID(unchecked: "alpha"),
        at time: Duration, sequence: UInt64 = 1
    ) throws -> String {
        let identity = try ServerIdentity(id: ServerID(unchecked: name), seed: [UInt8](repeating: seed, count: 32))
        return HeartbeatStatement(
            issuer: identity.id, audience: audience, sequence: sequence, issuedAt: HandoffSamples.at(time).timestamp
        ).issue(by: identity)
    }

    private static let beta = ServerID(unchecked: "beta")

    private func code(_ body: () throws -> [Effect]) -> String? {
        do {
            _ = try body()
            return nil
        } catch {
            return (error as? Refusal)?.code ?? "\(error)"
        }
    }

    // MARK: Registry

    @Test("a server registers with its card, updates it, and is bound to its key even when it is gone")
    func registering() throws {
        let alpha = try Self.node()
        let first = try Self.card()
        #expect(
            try alpha.node.register(first, at: Self.start).effects.labels
                == ["persist binding beta", "persist beta offline + no tombstone"])
        #expect(try alpha.node.register(first, at: Self.start).effects.labels == [])
        #expect(
            try alpha.node.register(try Self.card(endpoint: "ws://else.example"), at: Self.start).contradiction?.code
                == "card.equivocation")
        #expect(
            code { try alpha.node.register(try Self.card(sequence: 0), at: Self.start).effects } == "card.refused")
        #expect(
            code { try alpha.node.register(try Self.card(seed: 3, sequence: 9), at: Self.start).effects }
                == "server.keyMismatch")
        #expect(
            code { try alpha.node.register(try Self.card("alpha", seed: 3), at: Self.start).effects } == "server.self")
        #expect(
            code { try alpha.node.register(String(first.dropLast(4)) + "AAAA", at: Self.start).effects }
                == "card.refused")
        #expect(
            code { try alpha.node.register(first, at: HandoffSamples.at(.seconds(1_000_001))).effects }
                == "card.refused")
        #expect(
            try alpha.node.register(try Self.card(sequence: 2, endpoint: "ws://moved.example"), at: Self.start).server
                .endpoint
                == TableSamples.endpoint("ws://moved.example"))
        #expect(code { try alpha.node.register(first, at: Self.start).effects } == "server.alreadyRegistered")
        #expect(try alpha.node.deregister(Self.beta, at: Self.start).labels == ["persist no beta + tombstone beta"])
        #expect(code { try alpha.node.deregister(Self.beta, at: Self.start) } == "server.unknown")
        #expect(
            code { try alpha.node.register(try Self.card(seed: 3, sequence: 9), at: Self.start).effects }
                == "server.keyMismatch")
        #expect(
            try alpha.node.register(first, at: Self.start).effects.labels == ["persist beta offline + no tombstone"])
    }

    @Test("a registered server lives by its statements, and falls silent like anybody else")
    func statements() throws {
        let alpha = try Self.node()
        _ = try alpha.node.register(try Self.card(), at: Self.start)
        func beat(_ seconds: Int64) throws -> [String] {
            try alpha.node.heartbeat(
                Self.beta, statement: try Self.heartbeat(at: .seconds(seconds)),
                at: HandoffSamples.at(.seconds(seconds))
            ).1.labels
        }
        #expect(alpha.node.health.status(of: Self.beta) == nil)
        #expect(try beat(0) == ["persist beta online"])
        #expect(try beat(30) == [])
        #expect(
            code {
                try alpha.node.heartbeat(
                    Self.beta, statement: try Self.heartbeat(at: .seconds(10)), at: HandoffSamples.at(.seconds(31))
                ).1
            } == "server.heartbeatBackwards")
        #expect(
            code {
                try alpha.node.heartbeat(
                    Self.beta, statement: try Self.heartbeat(seed: 3, at: .seconds(40)),
                    at: HandoffSamples.at(.seconds(40))
                ).1
            } == "heartbeat.refused")
        for audience in [nil, ServerID(unchecked: "another")] {
            // Whoever has heard it elsewhere would make the server look alive here.
            #expect(
                code {
                    try alpha.node.heartbeat(
                        Self.beta, statement: try Self.heartbeat(to: audience, at: .seconds(31)),
                        at: HandoffSamples.at(.seconds(31))
                    ).1
                } == "heartbeat.refused")
        }
        #expect(
            code { try alpha.node.heartbeat(ServerID(unchecked: "nobody"), statement: "", at: Self.start).1 }
                == "server.unknown")
        var seen: [String] = []
        for interval in Int64(2)...11 { seen += alpha.node.tick(at: HandoffSamples.at(.seconds(30 * interval))).labels }
        #expect(
            seen == [
                "persist beta degraded", "report beta degraded", "persist beta offline", "report beta unreachable",
            ])
        #expect(try beat(400) == ["persist beta online", "report beta healthy"])
        _ = try alpha.node.deregister(Self.beta, at: Self.start)
        #expect(alpha.node.health.status(of: Self.beta) == nil)
    }

    @Test("a server that was online before a restart is watched afterwards")
    func statementsAfterRestart() throws {
        let alpha = try Self.node()
        _ = try alpha.node.register(try Self.card(), at: Self.start)
        let (entry, _) = try alpha.node.heartbeat(
            Self.beta, statement: try Self.heartbeat(at: .zero), at: Self.start)
        alpha.store.apply([.putServer(entry, card: nil)])
        try alpha.restart(at: Self.start)
        #expect(alpha.node.tick(at: HandoffSamples.at(.seconds(301))).labels.contains("persist beta offline"))
    }

    @Test("a peer's statement is checked and only has it dialled: its channel says how it is")
    func peersStatement() throws {
        let alpha = try Self.node()
        _ = try alpha.node.addPeer(try Self.card(), at: Self.start)
        _ = alpha.node.tick(at: HandoffSamples.at(.seconds(300)))
        let later = HandoffSamples.at(.seconds(301))
        // What names no audience anybody who has it can show.
        let unaddressed = try Self.heartbeat(to: nil, at: .seconds(301), sequence: 2)
        #expect(
            code { try alpha.node.heartbeat(Self.beta, statement: unaddressed, at: later).1 } == "heartbeat.refused")
        let (entry, effects) = try alpha.node.heartbeat(
            Self.beta, statement: try Self.heartbeat(to: alpha.node.id, at: .seconds(301)), at: later)
        #expect(entry.status == .offline && effects.labels == ["dial beta now"])
        #expect(code { try alpha.node.heartbeat(Self.beta, statement: "a.b.c", at: later).1 } == "heartbeat.refused")
    }

    @Test(
        "since when a peer is silent survives restarts; of one that was online it counts from the first start without it",
        arguments: [(ServerStatus.online, false), (.degraded, true), (.offline, true)])
    func silence(_ status: ServerStatus, isKept: Bool) throws {
        let alpha = try Self.node()
        alpha.enqueue(try alpha.node.addPeer(try Self.card(), at: Self.start).effects)
        alpha.persistAll()
        var entry = try #require(alpha.store.servers[Self.beta])
        entry.status = status
        entry.lastHeartbeat = Self.start.timestamp
        alpha.store.apply([.putServer(entry, card: try Self.card())])
        let day = 86_400
        try alpha.restart(at: HandoffSamples.at(.seconds(day)))
        let expected = isKept ? Self.start.timestamp : HandoffSamples.at(.seconds(day)).timestamp
        let before = alpha.node.lastHeard(Self.beta)
        #expect(before == expected)
        for seconds in stride(from: 10, through: 300, by: 10) {
            alpha.enqueue(alpha.node.tick(at: HandoffSamples.at(.seconds(day + seconds))))
        }
        alpha.persistAll()
        let stored = try #require(alpha.store.servers[Self.beta])
        #expect(stored.status == .offline && stored.lastHeartbeat == expected)
        try alpha.restart(at: HandoffSamples.at(.seconds(2 * day)))
        let after = alpha.node.lastHeard(Self.beta)
        #expect(after == expected)
    }

    // MARK: Peers

    @Test("a peer is registered, pinned and dialled, in that order; adding it again does nothing; a move dials anew")
    func peers() throws {
        let alpha = try Self.node()
        #expect(
            try alpha.node.addPeer(try Self.card(), at: Self.start).effects.labels
                == ["persist binding beta", "persist beta offline + no tombstone", "persist peer beta", "dial beta"])
        #expect(try alpha.node.addPeer(try Self.card(), at: Self.start).effects.labels == [])
        #expect(
            try alpha.node.addPeer(try Self.card(sequence: 2, endpoint: "ws://moved.example"), at: Self.start)
                .effects.labels
                == ["persist beta offline + no tombstone", "persist peer beta", "dial beta"])
        #expect(
            code { try alpha.node.addPeer(try Self.card(seed: 3, sequence: 3), at: Self.start).effects }
                == "server.keyMismatch")
        #expect(code { try alpha.node.deregister(Self.beta, at: Self.start) } == "server.isPeer")
        #expect(
            try alpha.node.removePeer(Self.beta, at: Self.start).labels == ["persist no peer beta", "hang up beta"])
        #expect(code { try alpha.node.removePeer(Self.beta, at: Self.start) } == "peer.unknown")
        #expect(alpha.node.health.status(of: Self.beta) == nil)
        #expect(
            try alpha.node.addPeer(try Self.card(sequence: 2, endpoint: "ws://moved.example"), at: Self.start)
                .effects.labels
                == ["persist peer beta", "dial beta"])
    }

    @Test("a peer for which the operator has set an address is dialled there, and nowhere else")
    func addresses() throws {
        var configuration = NodeConfiguration(name: "Alpha", endpoint: Self.endpoint)
        let tunnel = TableSamples.endpoint("ws://tunnel.example")
        configuration.addresses = [Self.beta: tunnel]
        let alpha = try TestNode("alpha", configuration: configuration, seed: 1, at: Self.start)
        for card in [try Self.card(), try Self.card(sequence: 2, endpoint: "ws://moved.example")] {
            let dialled = try alpha.node.addPeer(card, at: Self.start).effects.compactMap { effect -> [Endpoint]? in
                if case .dial(_, let endpoints) = effect { endpoints } else { nil }
            }
            #expect(dialled.last == [tunnel])
        }
    }

    @Test("removing a peer closes its channel at once, and it is let in again only when it is added again")
    func removal() throws {
        let federation = try TestFederation(["alpha", "beta"])
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        try federation.settle()
        let effects = try alpha.node.removePeer(beta.id, at: federation.now)
        #expect(
            effects.labels == [
                "persist no peer beta + beta offline", "hang up beta", "close suspended",
                "report channel of beta closed",
            ])
        #expect(alpha.node.channel(to: beta.id) == nil && alpha.node.verifiedPeer(beta.id, at: federation.now) == nil)
        alpha.enqueue(effects)
        try federation.settle()
        #expect(federation.wire(alpha, beta) == nil)
        #expect(try federation.connect(beta, alpha) == nil)
        alpha.enqueue(try alpha.node.addPeer(try #require(beta.card), at: federation.now).effects)
        #expect(try federation.connect(beta, alpha) != nil)
        try federation.settle()
        #expect(alpha.store.servers[beta.id]?.status == .online)
    }

    @Test("a suspended server is cut off, not dialled, and neither an update, a restart nor removing it helps")
    func suspension() throws {
        let federation = try TestFederation(["alpha", "beta"])
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        try federation.settle()
        let effects = try alpha.node.suspend(beta.id, reason: "a test", at: federation.now)
        #expect(
            effects.labels == [
                "persist beta suspended", "hang up beta", "close suspended", "report channel of beta closed",
            ])
        alpha.enqueue(effects)
        try federation.settle()
        #expect(try federation.connect(alpha, beta) == nil)
        #expect(try federation.connect(beta, alpha) == nil)
        _ = try alpha.node.register(
            try Self.card("beta", seed: 2, sequence: (beta.signedCard?.card.sequence ?? 0) + 1, issued: .seconds(1)),
            at: federation.now)
        #expect(alpha.node.registry.server(beta.id)?.status == .suspended)
        federation.crash(alpha)
        try federation.restart(alpha)
        #expect(!alpha.dialled.contains(beta.id))
        for _ in 0..<20 { federation.advance(by: .seconds(30)) }
        try federation.settle()
        #expect(alpha.node.registry.server(beta.id)?.status == .suspended)
        #expect(
            try alpha.node.reinstate(beta.id, at: federation.now).labels == ["persist beta offline", "dial beta"])
        #expect(try federation.connect(alpha, beta) != nil)
        #expect(
            code { try alpha.node.suspend(ServerID(unchecked: "nobody"), reason: "", at: Self.start) }
                == "server.unknown")
        #expect(code { try alpha.node.reinstate(ServerID(unchecked: "nobody"), at: Self.start) } == "server.unknown")
    }

    // MARK: Routes, worlds, players

    @Test("portals stand here and lead elsewhere")
    func routes() throws {
        let alpha = try Self.node()
        let route = TableSamples.route("gate", from: "alpha", to: "beta")
        #expect(try alpha.node.addRoute(route).labels == ["persist route on"])
        #expect(code { try alpha.node.addRoute(route) } == "route.duplicatePortal")
        #expect(code { try alpha.node.addRoute(TableSamples.route("g2", from: "gamma")) } == "route.foreign")
        #expect(
            code { try alpha.node.addRoute(TableSamples.route("g2", from: "alpha", to: "alpha")) } == "route.toItself")
        #expect(try alpha.node.setRoute(route.portal, active: false).1.labels == ["persist route off"])
        #expect(try alpha.node.setRoute(route.portal, active: true).1.labels == ["persist route on"])
        #expect(try alpha.node.removeRoute(route.portal).labels == ["persist no route"])
        #expect(code { try alpha.node.removeRoute(route.portal) } == "route.unknown")
        #expect(code { try alpha.node.setRoute(route.portal, active: true).1 } == "route.unknown")
    }

    @Test("a new world is announced on the card, a new version of it is not; players enter only worlds that are there")
    func worlds() throws {
        let alpha = try Self.node()
        let world = WorldRecord(
            world: WorldID(unchecked: "plaza"), name: "Plaza", manifest: ContentHash.of([]), manifestSize: 0, assets: 0,
            totalSize: 0)
        let next = (alpha.signedCard?.card.sequence ?? 0) + 1
        #expect(alpha.node.addWorld(world, at: Self.start).labels == ["persist world", "persist card \(next)"])
        #expect(alpha.node.card?.card.worlds == [world.world])
        #expect(alpha.node.addWorld(world, at: Self.start).labels == ["persist world"])
        func enter(_ world: String) throws -> [Effect] {
            try alpha.node.enter(
                PromiseTests.ada, world: WorldID(unchecked: world), state: [1], clientKey: nil, epoch: nil
            ).1
        }
        #expect(code { try enter("nowhere") } == "world.unknown")
        #expect(try enter("plaza").labels == ["persist playable"])
        #expect(try alpha.node.leave(PromiseTests.ada, world: world.world, epoch: nil).1.labels == ["persist left"])
        #expect(
            code { try alpha.node.leave(PromiseTests.ada, world: WorldID(unchecked: "cave"), epoch: nil).1 }
                == "player.elsewhere")
    }

    // MARK: The card

    @Test("a card is issued anew at half its life, also by a server that has nothing else to do")
    func card() throws {
        let alpha = try Self.node()
        let first = try #require(alpha.signedCard)
        let half = alpha.node.configuration.cardLifetime / 2
        #expect(alpha.node.nextDeadline == Self.start.instant + half)
        #expect(alpha.node.tick(at: HandoffSamples.at(half - .nanoseconds(1))).labels == [])
        let labels = alpha.node.tick(at: HandoffSamples.at(half)).labels
        let second = try #require(alpha.signedCard)
        #expect(labels == ["persist card \(second.card.sequence)"])
        #expect(second.card.sequence > first.card.sequence && second.card.expires > first.card.expires)
        #expect(try ServerCard.verify(second.compact, at: HandoffSamples.at(half).timestamp) == second.card)
    }

    @Test(
        "a number that stood on a card is never used again: not with a wrong clock, and not after a backup",
        arguments: [(41, UInt64(start.timestamp.milliseconds)), (1 << 50, 1 << 50 + 1)] as [(UInt64, UInt64)])
    func cardSequence(stored: UInt64, next: UInt64) throws {
        let alpha = try Self.node()
        alpha.store.apply([.putCardSequence(stored)])
        try alpha.restart(at: Self.start)
        #expect(alpha.node.card?.card.sequence == next)
    }

    // MARK: Restoring

    @Test("everything that was decided is there after a restart")
    func restore() throws {
        let federation = try TestFederation(["alpha", "beta"])
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        try federation.enter(PromiseTests.ada, at: alpha)
        let id = try federation.depart(PromiseTests.ada, from: alpha, to: beta.id)
        try federation.settle()
        let before = (alpha.node.registry.server(beta.id), alpha.node.peers, alpha.node.cards, alpha.node.worlds)
        let route = alpha.node.routing.route(for: TestFederation.portal(to: beta.id))
        federation.crash(alpha)
        try federation.restart(alpha)
        // The time of a heartbeat alone is not stored.
        #expect(alpha.node.registry.server(beta.id)?.status == before.0?.status)
        #expect(alpha.node.peers == before.1 && alpha.node.cards == before.2 && alpha.node.worlds == before.3)
        #expect(alpha.node.routing.route(for: TestFederation.portal(to: beta.id)) == route && route != nil)
        #expect(alpha.node.ledger.record(id)?.state == .completed)
        #expect(alpha.player(PromiseTests.ada)?.presence == .departed(to: beta.id, id))
        while try federation.execute(alpha) {}
        #expect(alpha.dialled.contains(beta.id))
    }
}
