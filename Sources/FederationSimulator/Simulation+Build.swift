import FederationCore
import FederationCrypto
import FederationModel

/// The federation as it stands before anything happens.
extension Simulation {
    /// Sooner than in production, so that silence, expiry and renewal happen in every run.
    private static let health = try? HealthThresholds(degraded: 2, unreachable: 4, interval: .seconds(2))
    private static let trustLifetime = Duration.seconds(240)
    private static let retention = Duration.seconds(45)

    /// How many players one peer may bring to a server. So low that the hostile peer, which has more names to offer, comes
    /// to it; so high that an honest one never does. Everybody has come from the hostile peer before the beginning: whom it
    /// really has it can give back however many others it has brought.
    var passagesPerPeer: Int { 2 * players.count + 8 }

    func build() throws {
        var initial = SimulatedDisk.initial
        initial.passages = players.map { player in
            Passage(origin: hostile.identity.id, player: player.id, decision: 0, token: "")
        }
        for index in 0..<options.servers {
            let name = Self.names[index]
            let id = ServerID(unchecked: name)
            let identity = try ServerIdentity(id: id, seed: entropy.bytes(32))
            var configuration = NodeConfiguration(
                name: name, endpoint: try Self.endpoint(name),
                handshake: HandshakeConfiguration(
                    suites: [.classicalChaCha20Poly1305], trustLifetime: Self.trustLifetime),
                health: Self.health ?? .standard, handoffRetention: Self.retention)
            configuration.passagesPerPeer = passagesPerPeer
            let base = Int64(entropy.below(1 << 50))
            let server = try SimulatedServer(
                index: index, identity: identity, configuration: configuration, world: Self.world(of: id),
                peers: options.servers + 1, beginningWith: initial, monotonicBase: base,
                at: Now(instant: Instant(nanoseconds: base), timestamp: Self.epoch))
            if let mutant = options.mutant { server.node.plant(mutant) }
            servers.append(server)
            serverNumbers[id] = index
            manifests.append(
                try VerifiedManifest(
                    try WorldManifest(world: Self.world(of: id), name: "World", entries: []), assets: [VerifiedAsset]())
            )
        }
        serverNumbers[hostile.identity.id] = options.servers
        manifests.append(
            try VerifiedManifest(
                try WorldManifest(world: Self.world(of: hostile.identity.id), name: "World", entries: []),
                assets: [VerifiedAsset]()))
        for server in servers {
            let now = now(of: server)
            try enqueue(server.node.start(at: now), at: server)
            try enqueue(server.node.addWorld(Self.record(of: server.world), at: now), at: server)
        }
        for server in servers {
            for peer in 0...servers.count where peer != server.index {
                try enqueue(server.node.addPeer(card(of: peer), at: now(of: server)).effects, at: server)
                let id = serverID(peer)
                let route = PortalRoute(
                    portal: Self.portal(to: id), source: server.id, destination: id, world: Self.world(of: id))
                try enqueue(server.node.addRoute(route), at: server)
            }
        }
        for player in players.indices {
            events.schedule(.act(player: player), at: worlds.below(200 * Span.millisecond))
        }
        events.schedule(.hostile, at: Span.second)
        scheduleFault()
    }

    /// What a server would publish. Another than the one that it has after a crash, perhaps; its number is never used again.
    func card(of peer: Int) throws -> String {
        if peer == servers.count { return try hostile.card(at: now.timestamp) }
        guard let card = servers[peer].node.card else { throw SimulationFailure("\(serverID(peer)) has no card") }
        return card.compact
    }

    private static func record(of world: WorldID) -> WorldRecord {
        WorldRecord(
            world: world, name: "World", manifest: ContentHash.of([]), manifestSize: 0, assets: 0, totalSize: 0)
    }
}
