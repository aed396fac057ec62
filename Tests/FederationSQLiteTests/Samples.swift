import FederationCore
import FederationCrypto
import FederationModel
import Testing

/// Records for tests; every optional field is set in one of them and missing in another.
enum Sample {
    /// The largest count that a store takes.
    static let largest = UInt64(Int64.max)

    static func key(_ byte: UInt8) -> PublicKey {
        must(PublicKey(bytes: [UInt8](repeating: byte, count: 32)))
    }

    static func hash(_ byte: UInt8) -> ContentHash {
        must(ContentHash(bytes: [UInt8](repeating: byte, count: 32)))
    }

    static let ownKeys = OwnKeys(
        past: [key(1), key(2)], rotations: ["a.b.c", "d.e.f"],
        commitment: KeyCommitment(next: hash(1), recovery: hash(2)))

    static func handoffID(_ number: UInt8) -> HandoffID {
        must(HandoffID(bytes: [UInt8](repeating: 0, count: 15) + [number]))
    }

    static func server(_ id: String, status: ServerStatus = .online, heartbeat: Timestamp? = nil) -> FederatedServer {
        FederatedServer(
            id: ServerID(unchecked: id), name: "Häfen & „Gärten“ 🌊",
            endpoint: must(Endpoint("wss://[2001:db8::1]:7701")), publicKey: key(7),
            registeredAt: Timestamp(milliseconds: 1_700_000_000_123), lastHeartbeat: heartbeat, status: status,
            recordSequence: largest)
    }

    static func movedServer(_ id: String) -> FederatedServer {
        var server = server(id)
        server.alternatives = [must(Endpoint("ws://a.example:1")), must(Endpoint("wss://[::1]:65535"))]
        return server
    }

    static func peer(_ id: String, trust: TrustSource, scopes: PeerScopes) -> PeerRecord {
        PeerRecord(
            server: ServerID(unchecked: id), publicKey: key(9), addedAt: Timestamp(milliseconds: 1), trust: trust,
            scopes: scopes,
            pinnedEndpoints: trust == .pinned
                ? [must(Endpoint("ws://a.example:1")), must(Endpoint("wss://[::1]:65535"))] : [])
    }

    static func binding(_ id: String, isPlain: Bool = false) -> KeyBinding {
        KeyBinding(
            server: ServerID(unchecked: id), key: key(4),
            commitment: isPlain ? KeyCommitment() : KeyCommitment(next: hash(1), recovery: hash(2)),
            retired: isPlain
                ? []
                : [
                    .init(key: key(1), until: Timestamp(milliseconds: 5)),
                    .init(key: key(2), until: Timestamp(milliseconds: .max)),
                ], revocation: isPlain ? 0 : largest, isDead: !isPlain, since: Timestamp(milliseconds: 6))
    }

    static func exhibitor(_ id: String) -> FederatedServer {
        var server = server(id, status: .suspended)
        server.worlds = [WorldID(unchecked: "harbour"), WorldID(unchecked: "sea")]
        server.suspensionReason = "„spam“"
        return server
    }

    static func departed(_ id: String) -> ServerTombstone {
        ServerTombstone(server: ServerID(unchecked: id), publicKey: key(3), isSuspended: false, sequence: largest)
    }

    static func registry(_ address: String, entries: Int) -> KnownRegistry {
        var frontier = MerkleFrontier()
        for number in 0..<entries { frontier.append([UInt8(number)]) }
        return KnownRegistry(
            address: address, registry: ServerID(unchecked: "keeper"), head: "h.p.s", frontier: frontier)
    }

    /// A registry that was caught, and what proves it.
    static func faulty(_ address: String) -> KnownRegistry {
        var known = registry(address, entries: 0)
        known.fault = RegistryFault(
            code: "registry.contradiction", evidence: ["h.p.s", "h.q.s"], seenAt: Timestamp(milliseconds: 1_234))
        return known
    }

    static func listing(_ id: String, _ registry: String) -> RegistryListing {
        RegistryListing(server: ServerID(unchecked: id), registry: registry)
    }

    static func peer(_ id: String) -> PeerRecord {
        PeerRecord(server: ServerID(unchecked: id), publicKey: key(9), addedAt: Timestamp(milliseconds: .min))
    }

    static func tombstone(_ id: String, isSuspended: Bool = true) -> ServerTombstone {
        ServerTombstone(
            server: ServerID(unchecked: id), publicKey: key(3), isSuspended: isSuspended,
            suspensionReason: isSuspended ? "it is 'spam'" : nil)
    }

    static func route(_ id: String, isActive: Bool = true, spawn: SpawnPoint? = nil) -> PortalRoute {
        PortalRoute(
            portal: PortalID(unchecked: id), source: ServerID(unchecked: "home"),
            destination: ServerID(unchecked: "away"), world: WorldID(unchecked: "harbour"), spawn: spawn,
            isActive: isActive)
    }

    static func world(_ id: String, totalSize: Int64 = Limits.worldBytes) -> WorldRecord {
        WorldRecord(
            world: WorldID(unchecked: id), name: "Harbour", manifest: hash(5),
            manifestSize: Int64(Limits.manifestBytes), assets: Limits.manifestEntries, totalSize: totalSize)
    }

    static func player(
        _ name: String, home: String = "home", presence: PlayerRecord.Presence = .playable, revision: UInt64 = 1,
        state: [UInt8] = [0, 255, 0, 10], isPlain: Bool = false
    ) -> PlayerRecord {
        PlayerRecord(
            player: PlayerID(name: PlayerName(unchecked: name), home: ServerID(unchecked: home)),
            world: WorldID(unchecked: "harbour"), presence: presence, epoch: isPlain ? .first : .last,
            revision: revision, state: state,
            spawn: isPlain ? nil : SpawnPoint(x: -1.5, y: 0.000_001, z: 999_999_999.25),
            clientKey: isPlain ? nil : key(200))
    }

    static func handoff(
        _ number: UInt8, state: HandoffState = .prepared, snapshot: [UInt8] = [1, 2, 3], isPlain: Bool = false
    ) -> HandoffRecord {
        let role: HandoffRole =
            switch state {
            case .prepared, .committed, .completed: .source
            case .reserved, .admitted, .aborted: .destination
            }
        return HandoffRecord(
            id: handoffID(number), role: role,
            player: PlayerID(name: PlayerName(unchecked: "mira"), home: ServerID(unchecked: "home")),
            peer: ServerID(unchecked: "away"), portal: PortalID(unchecked: "north-gate"),
            world: WorldID(unchecked: "harbour"), spawn: isPlain ? nil : SpawnPoint(x: 1, y: 2, z: 3), epoch: Epoch(2),
            revision: largest, snapshotHash: hash(8), snapshot: snapshot, clientKey: isPlain ? nil : key(1),
            state: state, openedAt: Timestamp(milliseconds: 0), changedAt: Timestamp(milliseconds: -1),
            abortCode: isPlain ? nil : "world.full", abortReason: isPlain ? nil : "it is full; 'try' \"later\"",
            receipt: isPlain ? nil : "aaa.bbb.ccc", redeemedAt: isPlain ? nil : Timestamp(milliseconds: .max))
    }

    private static func must<Value>(_ value: Value?) -> Value {
        guard let value else { preconditionFailure("the samples follow the grammar") }
        return value
    }
}

/// Changes, and what a store that was empty holds afterwards.
struct StoreCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let changes: [StoreChange]
    let expected: StoredState

    init(_ description: String, _ changes: [StoreChange], _ fill: (inout StoredState) -> Void = { _ in }) {
        testDescription = description
        self.changes = changes
        var state = StoredState()
        fill(&state)
        expected = state
    }

    static let all: [StoreCase] = registry + registries + worlds + players + handoffs

    private static let registries: [StoreCase] = [
        StoreCase(
            "a server with worlds, suspended for a reason",
            [.putServer(Sample.exhibitor("a"), card: nil)]
        ) { $0.servers = [Sample.exhibitor("a")] },
        StoreCase(
            "a tombstone of a server that has left", [.putTombstone(Sample.departed("a"))]
        ) { $0.tombstones = [Sample.departed("a")] },
        StoreCase(
            "registries that were caught, one of them readmitted and forgotten",
            [
                .registry(.putRegistry(Sample.registry("http://a.example:7700", entries: 3))),
                .registry(.putRegistry(Sample.faulty("http://a.example:7700"))),
                .registry(.putRegistry(Sample.faulty("http://b.example:7700"))),
                .registry(.removeRegistry("http://b.example:7700")),
                .registry(.removeRegistry("http://c.example:7700")),
            ]
        ) { $0.registries = [Sample.faulty("http://a.example:7700")] },
        StoreCase(
            "how many ids registries have brought, one of them more since, and forgotten otherwise",
            [
                .registry(.putRegistry(Sample.registry("http://a.example:7700", entries: 3))),
                .registry(.putBrought(ServerID(unchecked: "keeper"), 3)),
                .registry(.putBrought(ServerID(unchecked: "other"), 1)),
                .registry(.putBrought(ServerID(unchecked: "keeper"), 50_000)),
                .registry(.removeRegistry("http://a.example:7700")),
            ]
        ) { $0.brought = [ServerID(unchecked: "keeper"): 50_000, ServerID(unchecked: "other"): 1] },
        StoreCase(
            "registries, one of them read further, and who is listed where",
            [
                .registry(.putRegistry(Sample.registry("https://b.example:7700", entries: 3))),
                .registry(.putRegistry(Sample.registry("http://a.example:7700", entries: 0))),
                .registry(.putRegistry(Sample.registry("https://b.example:7700", entries: 5))),
                .registry(.putListing(Sample.listing("a", "https://b.example:7700"))),
                .registry(.putListing(Sample.listing("a", "http://a.example:7700"))),
                .registry(.putListing(Sample.listing("b", "http://a.example:7700"))),
                .registry(.removeListing(Sample.listing("b", "http://a.example:7700"))),
                .registry(.removeListing(Sample.listing("c", "http://a.example:7700"))),
            ]
        ) {
            $0.registries = [
                Sample.registry("http://a.example:7700", entries: 0),
                Sample.registry("https://b.example:7700", entries: 5),
            ]
            $0.listings = [
                Sample.listing("a", "http://a.example:7700"), Sample.listing("a", "https://b.example:7700"),
            ]
        },
    ]

    private static let registry: [StoreCase] = [
        StoreCase("nothing", []),
        StoreCase("a server with a card", [.putServer(Sample.server("a"), card: "h.p.s")]) {
            $0.servers = [Sample.server("a")]
            $0.cards = [ServerID(unchecked: "a"): "h.p.s"]
        },
        StoreCase(
            "a server replaced, now without a card",
            [
                .putServer(Sample.server("a"), card: "h.p.s"),
                .putServer(Sample.server("a", status: .suspended, heartbeat: Timestamp(milliseconds: 5)), card: nil),
            ]
        ) { $0.servers = [Sample.server("a", status: .suspended, heartbeat: Timestamp(milliseconds: 5))] },
        StoreCase(
            "servers in every status, sorted by id",
            ServerStatus.allCases.reversed().map { .putServer(Sample.server($0.rawValue, status: $0), card: nil) }
        ) {
            $0.servers = ["degraded", "offline", "online", "suspended"].map {
                Sample.server($0, status: ServerStatus(rawValue: $0) ?? .online)
            }
        },
        StoreCase(
            "a server removed",
            [.putServer(Sample.server("a"), card: "c"), .removeServer(ServerID(unchecked: "a"))]),
        StoreCase("the removal of a server that is not there", [.removeServer(ServerID(unchecked: "nobody"))]),
        StoreCase(
            "tombstones, one of them removed",
            [
                .putTombstone(Sample.tombstone("b")), .putTombstone(Sample.tombstone("a", isSuspended: false)),
                .putTombstone(Sample.tombstone("c")), .removeTombstone(ServerID(unchecked: "c")),
            ]
        ) { $0.tombstones = [Sample.tombstone("a", isSuspended: false), Sample.tombstone("b")] },
        StoreCase(
            "a tombstone outlives its server",
            [
                .putServer(Sample.server("a"), card: "c"), .putTombstone(Sample.tombstone("a")),
                .removeServer(ServerID(unchecked: "a")),
            ]
        ) { $0.tombstones = [Sample.tombstone("a")] },
        StoreCase(
            "peers, one of them removed",
            [.putPeer(Sample.peer("z")), .putPeer(Sample.peer("a-1")), .removePeer(ServerID(unchecked: "z"))]
        ) { $0.peers = [Sample.peer("a-1")] },
        StoreCase("a server with several addresses", [.putServer(Sample.movedServer("a"), card: nil)]) {
            $0.servers = [Sample.movedServer("a")]
        },
        StoreCase("peers for every reason and with every scope", trusted.map { .putPeer($0) }) { $0.peers = trusted },
        StoreCase(
            "bindings, one replaced",
            [
                .putBinding(Sample.binding("b")), .putBinding(Sample.binding("a")),
                .putBinding(Sample.binding("b", isPlain: true)),
            ]
        ) { $0.bindings = [Sample.binding("a"), Sample.binding("b", isPlain: true)] },
        StoreCase(
            "proof of a contradiction",
            [
                .putEquivocation(
                    Equivocation(
                        server: ServerID(unchecked: "a"), first: "1", second: "2", seenAt: Timestamp(milliseconds: 3)))
            ]
        ) {
            $0.equivocations = [
                Equivocation(
                    server: ServerID(unchecked: "a"), first: "1", second: "2", seenAt: Timestamp(milliseconds: 3))
            ]
        },
        StoreCase(
            "proof of a contradiction that has given way",
            [
                .putEquivocation(
                    Equivocation(
                        server: ServerID(unchecked: "a"), first: "1", second: "2", seenAt: Timestamp(milliseconds: 3))),
                .putEquivocation(
                    Equivocation(
                        server: ServerID(unchecked: "a"), first: "", second: "", seenAt: Timestamp(milliseconds: 3))),
            ]
        ) {
            $0.equivocations = [
                Equivocation(
                    server: ServerID(unchecked: "a"), first: "", second: "", seenAt: Timestamp(milliseconds: 3))
            ]
        },
        StoreCase(
            "the server's own key changes, replaced",
            [
                .putOwnKeys(OwnKeys(revocation: "r.r.r", present: Sample.key(1), isDead: true)),
                .putOwnKeys(Sample.ownKeys),
            ]
        ) { $0.ownKeys = Sample.ownKeys },
        StoreCase(
            "the server's own promises, one of them taken out",
            [
                .putOwnKeys(Sample.ownKeys),
                .putOwnKeys(OwnKeys(present: Sample.key(1), commitment: KeyCommitment(recovery: Sample.hash(2)))),
            ]
        ) { $0.ownKeys = OwnKeys(present: Sample.key(1), commitment: KeyCommitment(recovery: Sample.hash(2))) },
        StoreCase(
            "a policy, replaced",
            [
                .trust(.putPolicy(TrustPolicy(firstUse: .all))),
                .trust(
                    .putPolicy(
                        TrustPolicy(
                            allow: [.id("*.guild")], deny: [.key(Sample.key(2)), .host("*.example")],
                            introducedBy: .init(count: 2, scopes: [.heartbeat, .route]), introduces: false))),
            ]
        ) {
            $0.policy = TrustPolicy(
                allow: [.id("*.guild")], deny: [.key(Sample.key(2)), .host("*.example")],
                introducedBy: .init(count: 2, scopes: [.heartbeat, .route]), introduces: false)
        },
        StoreCase(
            "introductions, one replaced and one removed",
            [
                .trust(.putIntroduction(introduction("b", of: "y", at: 5))),
                .trust(.putIntroduction(introduction("b", of: "x", at: 5))),
                .trust(.putIntroduction(introduction("a", of: "x", at: 5))),
                .trust(.putIntroduction(introduction("b", of: "x", at: 9))),
                .trust(.removeIntroduction(introducer: ServerID(unchecked: "b"), subject: ServerID(unchecked: "y"))),
                .trust(.removeIntroduction(introducer: ServerID(unchecked: "x"), subject: ServerID(unchecked: "b"))),
            ]
        ) { $0.introductions = [introduction("a", of: "x", at: 5), introduction("b", of: "x", at: 9)] },
        StoreCase("the card's sequence number", [.putCardSequence(3), .putCardSequence(Sample.largest)]) {
            $0.cardSequence = Sample.largest
        },
    ]

    private static func introduction(_ introducer: String, of subject: String, at seconds: Int64) -> HeardIntroduction {
        let server = Sample.server(subject)
        return HeardIntroduction(
            introduction: Introduction(
                issuer: ServerID(unchecked: introducer), subject: server.id, key: Sample.key(4),
                endpoint: server.endpoint, issuedAt: Timestamp(seconds: seconds),
                expiresAt: Timestamp(seconds: seconds + 60)),
            heardAt: Timestamp(milliseconds: seconds * 1_000 + 7))
    }

    private static let trusted: [PeerRecord] = [
        Sample.peer("a", trust: .pinned, scopes: .all),
        Sample.peer("b", trust: .registry("https://r.example:7700"), scopes: [.heartbeat, .assets]),
        Sample.peer("c", trust: .introduced([ServerID(unchecked: "x"), ServerID(unchecked: "y-1")]), scopes: []),
        Sample.peer("d", trust: .firstUse, scopes: .handoff),
    ]

    private static let worlds: [StoreCase] = [
        StoreCase(
            "routes, switched off, with and without spawn, one removed",
            [
                .putRoute(Sample.route("b")), .putRoute(Sample.route("b", isActive: false)),
                .putRoute(Sample.route("a", spawn: SpawnPoint(x: 0, y: -0.5, z: 1e9))),
                .putRoute(Sample.route("c")), .removeRoute(PortalID(unchecked: "c")),
            ]
        ) {
            $0.routes = [
                Sample.route("a", spawn: SpawnPoint(x: 0, y: -0.5, z: 1e9)), Sample.route("b", isActive: false),
            ]
        },
        StoreCase(
            "worlds, one replaced and one removed",
            [
                .putWorld(Sample.world("w")), .putWorld(Sample.world("w", totalSize: 0)), .putWorld(Sample.world("x")),
                .removeWorld(WorldID(unchecked: "x")),
            ]
        ) { $0.worlds = [Sample.world("w", totalSize: 0)] },
    ]

    private static let players: [StoreCase] =
        [
            PlayerRecord.Presence.playable, .left, .departing(Sample.handoffID(1)),
            .departed(to: ServerID(unchecked: "away"), Sample.handoffID(2)),
        ].map { presence in
            StoreCase("a player who is \(presence)", [.putPlayer(Sample.player("mira", presence: presence))]) {
                $0.players = [Sample.player("mira", presence: presence)]
            }
        } + [
            StoreCase(
                "a player without anything optional, replaced",
                [.putPlayer(Sample.player("mira")), .putPlayer(Sample.player("mira", state: [], isPlain: true))]
            ) { $0.players = [Sample.player("mira", state: [], isPlain: true)] },
            StoreCase(
                "players sorted by name, then home",
                [
                    .putPlayer(Sample.player("a", home: "z")), .putPlayer(Sample.player("a-b", home: "a")),
                    .putPlayer(Sample.player("a", home: "b")), .putPlayer(Sample.player("a.b", home: "a")),
                ]
            ) {
                $0.players = [
                    Sample.player("a", home: "b"), Sample.player("a", home: "z"), Sample.player("a-b", home: "a"),
                    Sample.player("a.b", home: "a"),
                ]
            },
            StoreCase(
                "a player with the largest state, and one removed",
                [
                    .putPlayer(Sample.player("big", state: .init(repeating: 0xA5, count: Limits.snapshotBytes))),
                    .putPlayer(Sample.player("gone")), .removePlayer(Sample.player("gone").player),
                ]
            ) { $0.players = [Sample.player("big", state: .init(repeating: 0xA5, count: Limits.snapshotBytes))] },
        ]

    private static let handoffs: [StoreCase] =
        HandoffState.allCases.map { state in
            StoreCase("a handoff that is \(state)", [.putHandoff(Sample.handoff(1, state: state))]) {
                $0.handoffs = [Sample.handoff(1, state: state)]
            }
        } + [
            StoreCase(
                "handoffs, one replaced",
                [
                    .putHandoff(Sample.handoff(200)), .putHandoff(Sample.handoff(3)),
                    .putHandoff(Sample.handoff(200, state: .aborted, snapshot: [], isPlain: true)),
                ]
            ) {
                $0.handoffs = [
                    Sample.handoff(3), Sample.handoff(200, state: .aborted, snapshot: [], isPlain: true),
                ]
            }
        ]
}
