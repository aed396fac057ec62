import FederationCrypto
import FederationModel
import FederationWire
import Foundation
import Testing

@testable import FederationCore

/// Whom a running server trusts, and what its peers may do, while channels are open and players travel.
@Suite("FederationNode, trust")
struct NodeTrustTests {
    private static let ada = PromiseTests.ada

    private static func pair(alphaPinned: Bool = true) throws -> (TestFederation, alpha: TestNode, beta: TestNode) {
        let federation = try TestFederation(["alpha", "beta"], trusts: { one, _ in alphaPinned || one == "alpha" })
        try federation.connectAll()
        try federation.settle()
        try federation.enter(ada, at: federation.node("alpha"))
        return (federation, federation.node("alpha"), federation.node("beta"))
    }

    private static func set(_ policy: TrustPolicy, at node: TestNode, _ federation: TestFederation) throws {
        node.enqueue(node.node.setPolicy(policy, at: federation.now))
        try federation.settle()
    }

    private static func set(
        _ scopes: PeerScopes, of peer: TestNode, at node: TestNode, _ federation: TestFederation
    ) throws {
        node.enqueue(try node.node.setScopes(peer.id, scopes, at: federation.now))
        try federation.settle()
    }

    // MARK: Scopes

    @Test(
        "a scope that is missing refuses exactly its part",
        arguments: [
            (PeerScopes.route, ["send world response", "serve asset", "reserved"]),
            (PeerScopes.assets, ["send world response", "report refused peer.scopeMissing.assets", "reserved"]),
            (PeerScopes.handoff, ["send world response", "serve asset", "report refused peer.scopeMissing.handoff"]),
            (PeerScopes(), ["send world response", "serve asset", "reserved"]),
        ])
    func scopes(_ missing: PeerScopes, _ expected: [String]) throws {
        let (federation, alpha, beta) = try Self.pair()
        try Self.set(PeerScopes.all.subtracting(missing), of: alpha, at: beta, federation)
        let channel = try #require(beta.channel(to: alpha))
        let world = beta.node.receive(
            .worldRequest(.init(request: 1, world: TestFederation.worldID(of: beta.id))), on: channel,
            at: federation.now)
        guard case .worldResponse(let answer)? = world.frames.first else { throw Violation("no answer") }
        #expect((answer.answer == .refused("peer.scopeMissing.route")) == (missing == .route))
        let asset = beta.node.receive(
            .assetRequest(.init(request: 2, hash: ContentHash.of([]), offset: 0, length: 1)), on: channel,
            at: federation.now)
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        let offer = try #require(
            alpha.queue.compactMap { item -> FederationFrame? in
                if case .effect(.send(let frame, on: _)) = item, case .offer = frame { frame } else { nil }
            }.first)
        let offered = beta.node.receive(offer, on: channel, at: federation.now)
        let reserved = offered.labels.contains { $0.hasPrefix("persist reserved") } ? "reserved" : offered.labels.first
        #expect([world.labels.first, asset.labels.first, reserved] == expected.map(Optional.some))
        // The channel stays, and the player is somewhere.
        beta.enqueue(offered)
        try federation.settle()
        #expect(beta.channel(to: alpha) == channel)
        #expect(federation.playable(Self.ada) == [missing == .handoff ? alpha.id : beta.id])
    }

    @Test("without the heartbeat scope there is no channel, and with it there is one again")
    func heartbeat() throws {
        let (federation, alpha, beta) = try Self.pair()
        try Self.set([], of: alpha, at: beta, federation)
        #expect(beta.channel(to: alpha) == nil)
        #expect(try federation.connect(alpha, beta) == nil)
        #expect(beta.node.dialEffects(for: alpha.id).labels == [])
        try Self.set(.heartbeat, of: alpha, at: beta, federation)
        #expect(beta.dialled.contains(alpha.id))
        #expect(try federation.connect(alpha, beta) != nil)
    }

    @Test("scopes that make no sense, of nobody, or of the policy's making are refused")
    func refusedScopes() throws {
        let (federation, alpha, beta) = try Self.pair()
        func code(_ server: ServerID, _ scopes: PeerScopes) -> String? {
            do {
                _ = try beta.node.setScopes(server, scopes, at: federation.now)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code(alpha.id, .route) == "scopes.heartbeatMissing")
        #expect(code(ServerID(unchecked: "nobody"), .all) == "peer.unknown")
        let (other, _, firstUser) = try Self.pair(alphaPinned: false)
        try Self.set(TrustPolicy(firstUse: .all), at: firstUser, other)
        try other.connectAll()
        #expect(throws: Refusal.self) { try firstUser.node.setScopes(alpha.id, .heartbeat, at: other.now) }
    }

    @Test("a handoff that was agreed before the scope was taken away is carried through")
    func agreed() throws {
        let (federation, alpha, beta) = try Self.pair()
        let handoff = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle { node in
            guard node === alpha, beta.handoff(handoff)?.state == .reserved, let record = beta.node.peers[alpha.id],
                record.scopes.contains(.handoff)
            else { return }
            beta.enqueue(
                try beta.node.setScopes(alpha.id, PeerScopes.all.subtracting(.handoff), at: federation.now))
        }
        #expect(beta.node.peers[alpha.id]?.scopes.contains(.handoff) == false)
        #expect(federation.playable(Self.ada) == [beta.id])
    }

    // MARK: Live policy

    @Test(
        "what the deny list names is cut off at once, pinned or not, and comes back when it is taken out",
        arguments: ["id:b*", "host:beta.example", "key"])
    func deny(_ text: String) throws {
        let (federation, alpha, beta) = try Self.pair()
        let pattern = try #require(TrustPattern(text == "key" ? "key:\(beta.identity.publicKey)" : text))
        let handoff = try federation.depart(Self.ada, from: alpha, to: beta.id)
        alpha.enqueue(alpha.node.setPolicy(TrustPolicy(deny: [pattern]), at: federation.now))
        #expect(alpha.channel(to: beta) == nil && alpha.node.verifiedPeer(beta.id, at: federation.now) == nil)
        try federation.settle()
        #expect(alpha.handoff(handoff)?.state == .aborted)
        #expect(federation.playable(Self.ada) == [alpha.id])
        #expect(alpha.reported.contains(.trustEnded(beta.id, code: "policy.denied")))
        #expect(try federation.connect(beta, alpha) == nil)
        // A restart does not wash it off.
        federation.crash(alpha)
        try federation.restart(alpha)
        try federation.settle()
        #expect(try federation.connect(beta, alpha) == nil && !alpha.dialled.contains(beta.id))
        #expect(throws: Refusal.self) {
            try alpha.node.addPeer(try #require(beta.card), at: federation.now)
        }
        try Self.set(TrustPolicy(), at: alpha, federation)
        #expect(alpha.dialled.contains(beta.id))
        #expect(try federation.connect(beta, alpha) != nil)
    }

    @Test("first use is off; when it is on, a stranger who comes is bound to its key, and another key is refused")
    func firstUse() throws {
        let (federation, alpha, beta) = try Self.pair(alphaPinned: false)
        #expect(beta.node.peers.isEmpty && beta.node.bindings.isEmpty)
        try Self.set(TrustPolicy(deny: [.key(alpha.identity.publicKey)], firstUse: .all), at: beta, federation)
        #expect(try federation.connect(alpha, beta) == nil)
        #expect(beta.node.peers.isEmpty && beta.node.bindings.isEmpty && beta.store.state.bindings.isEmpty)
        try Self.set(TrustPolicy(firstUse: [.heartbeat, .route]), at: beta, federation)
        try federation.connect(alpha, beta)
        try federation.settle()
        #expect(beta.node.peers[alpha.id]?.trust == .firstUse)
        #expect(beta.node.peers[alpha.id]?.scopes == [.heartbeat, .route])
        #expect(beta.node.bindings[alpha.id]?.key == alpha.identity.publicKey)
        #expect(beta.node.registry.server(alpha.id)?.endpoint == alpha.configuration.endpoint)
        #expect(beta.store.state.peers.map(\.server) == [alpha.id])
        // The same id with another key.
        federation.close(try #require(federation.wire(alpha, beta)))
        let thief = try TestNode("alpha", configuration: alpha.configuration, seed: 77, at: federation.now)
        thief.enqueue(try thief.node.addPeer(try #require(beta.card), at: federation.now).effects)
        #expect(try federation.connect(thief, beta) == nil)
        try federation.settle()
        #expect(beta.node.bindings[alpha.id]?.key == alpha.identity.publicKey)
        // Whoever is removed by policy comes back only by policy.
        try federation.connect(alpha, beta)
        try Self.set(TrustPolicy(), at: beta, federation)
        #expect(beta.channel(to: alpha) == nil && beta.node.peers.isEmpty)
        #expect(try federation.connect(alpha, beta) == nil && federation.connect(thief, beta) == nil)
    }

    @Test("a peer that was believed on first use and has never shown a card can be suspended, and reinstated")
    func suspendedWithoutCard() throws {
        let (federation, alpha, beta) = try Self.pair(alphaPinned: false)
        try Self.set(TrustPolicy(firstUse: .all), at: beta, federation)
        try federation.connect(alpha, beta)
        // Its card is the first thing that it sends: it never arrives.
        let wire = try #require(federation.wire(alpha, beta))
        while try federation.execute(alpha) || federation.execute(beta) {}
        while !wire.frames.0.isEmpty { federation.lose(wire, toFirst: true, at: 0) }
        while !wire.frames.1.isEmpty { federation.lose(wire, toFirst: false, at: 0) }
        try federation.settle()
        #expect(beta.node.peers[alpha.id]?.trust == .firstUse && beta.node.registry.server(alpha.id) == nil)
        #expect(beta.channel(to: alpha) != nil)
        beta.enqueue(try beta.node.suspend(alpha.id, reason: "spam", at: federation.now))
        #expect(beta.channel(to: alpha) == nil, "suspended means closed now")
        #expect(beta.node.verifiedPeer(alpha.id, at: federation.now) == nil)
        try federation.settle()
        #expect(try federation.connect(alpha, beta) == nil)
        // It stays so over a review of trust, a restart, and a card that comes after all.
        beta.enqueue(beta.node.reviewTrust(in: alpha.id, at: federation.now))
        try federation.settle()
        #expect(beta.node.peers[alpha.id] != nil, "it is still shown among the peers")
        federation.crash(beta)
        try federation.restart(beta)
        #expect(try federation.connect(alpha, beta) == nil)
        #expect(beta.node.registry.suspensionReason(of: alpha.id) == "spam")
        beta.enqueue(try beta.node.reinstate(alpha.id, at: federation.now))
        try federation.settle()
        #expect(beta.node.registry.suspensionReason(of: alpha.id) == nil)
        #expect(try federation.connect(alpha, beta) != nil)
        beta.enqueue(try beta.node.suspend(alpha.id, reason: "more spam", at: federation.now))
        if beta.node.registry.server(alpha.id) == nil {
            beta.enqueue(try beta.node.register(try #require(alpha.card), at: federation.now).effects)
        }
        try federation.settle()
        #expect(beta.node.registry.status(of: alpha.id) == .suspended)
        #expect(beta.node.registry.suspensionReason(of: alpha.id) == "more spam")
        #expect(try federation.connect(alpha, beta) == nil)
    }

    @Test("a suspended server is trusted for nothing that the policy says")
    func suspended() throws {
        let (federation, alpha, beta) = try Self.pair(alphaPinned: false)
        _ = try beta.node.register(try #require(alpha.card), at: federation.now)
        beta.enqueue(try beta.node.suspend(alpha.id, reason: "spam", at: federation.now))
        try Self.set(TrustPolicy(registryListed: .all, firstUse: .all), at: beta, federation)
        _ = beta.node.note(alpha.id, listedBy: "https://r", true)
        #expect(try federation.connect(alpha, beta) == nil)
        #expect(beta.node.peers.isEmpty)
    }

    @Test(
        "a server that a registry lists becomes a peer when it comes or a portal leads to it, and no longer than that")
    func listed() throws {
        let (federation, alpha, beta) = try Self.pair(alphaPinned: false)
        try Self.set(TrustPolicy(registryListed: .all), at: beta, federation)
        beta.enqueue(beta.node.note(alpha.id, listedBy: "https://r", true))
        #expect(try federation.connect(alpha, beta) == nil, "its card is not known")
        beta.enqueue(try beta.node.register(try #require(alpha.card), at: federation.now).effects)
        try federation.settle()
        // The portal is there from the beginning.
        #expect(beta.node.peers[alpha.id]?.trust == .registry("https://r"))
        #expect(beta.dialled.contains(alpha.id))
        try federation.connect(beta, alpha)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [alpha.id])
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id])
        beta.enqueue(beta.node.note(alpha.id, listedBy: "https://r", false))
        beta.enqueue(beta.node.reviewTrust(in: alpha.id, at: federation.now))
        #expect(beta.channel(to: alpha) == nil && beta.node.peers.isEmpty)
    }

    /// Another card of a node with the number of the one that it shows.
    private static func otherFace(of node: TestNode) throws -> String {
        let shown = try #require(node.signedCard).card
        return ServerCard(
            id: shown.id, name: "Another face", endpoint: shown.endpoint, publicKey: shown.publicKey,
            commitment: shown.commitment, sequence: shown.sequence, worlds: shown.worlds, issued: shown.issued,
            expires: shown.expires
        ).issue(by: node.identity)
    }

    @Test("who contradicts itself is trusted by itself no more, and only a pin brings it back")
    func equivocation() throws {
        let (federation, alpha, beta) = try Self.pair(alphaPinned: false)
        try Self.set(TrustPolicy(registryListed: .all, firstUse: .all), at: beta, federation)
        beta.enqueue(beta.node.note(alpha.id, listedBy: "https://r", true))
        beta.enqueue(try beta.node.register(try #require(alpha.card), at: federation.now).effects)
        try federation.settle()
        try federation.connect(beta, alpha)
        try federation.settle()
        #expect(beta.channel(to: alpha) != nil)
        let handoff = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id] && alpha.handoff(handoff)?.state == .completed)
        let contradicting = try beta.node.register(try Self.otherFace(of: alpha), at: federation.now)
        #expect(contradicting.contradiction?.code == "card.equivocation")
        beta.enqueue(contradicting.effects)
        #expect(beta.channel(to: alpha) == nil && beta.node.peers.isEmpty)
        try federation.settle()
        #expect(beta.reported.contains(.trustEnded(alpha.id, code: "policy.equivocated")))
        #expect(try federation.connect(alpha, beta) == nil)
        // Neither a newer card, nor a restart, nor another listing washes it off.
        alpha.enqueue(alpha.node.refreshCard(at: federation.now(offset: .seconds(1))))
        beta.enqueue(try beta.node.register(try #require(alpha.card), at: federation.now).effects)
        federation.crash(beta)
        try federation.restart(beta)
        beta.enqueue(beta.node.note(alpha.id, listedBy: "https://other", true))
        beta.enqueue(beta.node.reviewTrust(in: alpha.id, at: federation.now))
        try federation.settle()
        #expect(try federation.connect(alpha, beta) == nil && beta.node.peers.isEmpty)
        beta.enqueue(try beta.node.addPeer(try #require(alpha.card), at: federation.now).effects)
        try federation.settle()
        #expect(try federation.connect(alpha, beta) != nil && beta.node.peers[alpha.id]?.trust == .pinned)
    }

    @Test("a channel whose other end may not be there is closed at once, and the peer may come another way")
    func refusedChannel() throws {
        let (federation, alpha, beta) = try Self.pair()
        let channel = try #require(alpha.channel(to: beta))
        let effects = alpha.node.refuse(channel, .untrustedPeer)
        #expect(effects.labels == ["close untrustedPeer", "report channel of beta closed"])
        #expect(alpha.channel(to: beta) == nil && alpha.node.peer(on: channel) == nil)
        let late = FederationFrame.heartbeat(.init(sequence: 1, sentAt: federation.now.timestamp))
        #expect(alpha.node.receive(late, on: channel, at: federation.now).isEmpty)
        alpha.enqueue(effects)
        try federation.settle()
        #expect(try federation.connect(beta, alpha) != nil)
    }

    @Test("after a restart whoever was heard since stays, also when the store has an older time of it")
    func heardSince() throws {
        let now = HandoffSamples.now
        var stored = StoredState()
        for number in 0..<Limits.automaticPeers {
            let id = ServerID(unchecked: "s\(10_000 + number)")
            stored.servers.append(
                TableSamples.server(id.rawValue, key: TableSamples.key(3), status: .online, heartbeat: 5_000))
            stored.peers.append(
                PeerRecord(
                    server: id, publicKey: TableSamples.key(3), addedAt: Timestamp(milliseconds: 0),
                    trust: .registry("r"), scopes: .all))
        }
        stored.policy = TrustPolicy(registryListed: .all)
        stored.routes = [TableSamples.route("g1", from: "alpha", to: "new")]
        let newcomer = try ServerIdentity(id: ServerID(unchecked: "new"), seed: [UInt8](repeating: 9, count: 32))
        let card = ServerCard(
            id: newcomer.id, name: "New", endpoint: TableSamples.endpoint(), publicKey: newcomer.publicKey, sequence: 1,
            worlds: [], issued: now.timestamp, expires: now.timestamp + .seconds(1_000)
        ).issue(by: newcomer)
        var node = try FederationNode(
            identity: try ServerIdentity(id: ServerID(unchecked: "alpha"), seed: [UInt8](repeating: 1, count: 32)),
            configuration: NodeConfiguration(name: "A", endpoint: TableSamples.endpoint()), restoring: stored, at: now)
        // The first by id is heard; nobody else is.
        let heard = ServerID(unchecked: "s10000")
        _ = try node.registry.recordHeartbeat(heard, at: now.timestamp)
        _ = node.note(newcomer.id, listedBy: "r", true)
        _ = try node.register(card, at: now)
        let peers = node.peers
        #expect(peers[heard] != nil && peers[ServerID(unchecked: "s10001")] == nil && peers[newcomer.id] != nil)
    }

    @Test("an expired card speaks for nobody")
    func expiredCard() throws {
        let (federation, alpha, beta) = try Self.pair(alphaPinned: false)
        _ = try beta.node.register(try #require(alpha.card), at: federation.now)
        _ = beta.node.note(alpha.id, listedBy: "https://r", true)
        federation.advance(by: .seconds(8 * 24 * 3_600))
        try Self.set(TrustPolicy(registryListed: .all), at: beta, federation)
        #expect(beta.node.peers.isEmpty)
    }

    @Test("a peer that the policy had trusted can be pinned, and stays when the policy changes")
    func pinning() throws {
        let (federation, alpha, beta) = try Self.pair(alphaPinned: false)
        try Self.set(TrustPolicy(firstUse: .heartbeat), at: beta, federation)
        try federation.connect(alpha, beta)
        try federation.settle()
        beta.enqueue(try beta.node.addPeer(try #require(alpha.card), at: federation.now).effects)
        try Self.set(TrustPolicy(), at: beta, federation)
        #expect(beta.node.peers[alpha.id]?.trust == .pinned && beta.node.peers[alpha.id]?.scopes == .all)
        #expect(beta.channel(to: alpha) != nil)
    }

    @Test("a registry that was caught speaks for nobody, also after a restart, until the operator readmits it")
    func faultyRegistry() throws {
        let (federation, alpha, beta) = try Self.pair(alphaPinned: false)
        try Self.set(TrustPolicy(registryListed: .all), at: beta, federation)
        let keeper = ServerID(unchecked: "r")
        beta.enqueue(beta.node.note(KnownRegistry(address: "https://r", registry: keeper, head: "a.b.c")))
        for count in [2, 0, 1] { beta.enqueue(beta.node.note(brought: count, by: keeper)) }
        beta.enqueue(beta.node.note(alpha.id, listedBy: "https://r", true))
        beta.enqueue(try beta.node.register(try #require(alpha.card), at: federation.now).effects)
        try federation.settle()
        try federation.connect(beta, alpha)
        try federation.settle()
        #expect(beta.channel(to: alpha) != nil)
        let fault = RegistryFault(
            code: "registry.contradiction", evidence: ["a.b.c", "a.d.e"], seenAt: federation.now.timestamp)
        beta.enqueue(beta.node.condemn("https://r", for: fault, at: federation.now))
        #expect(beta.channel(to: alpha) == nil && beta.node.peers.isEmpty)
        #expect(beta.node.listed(by: "https://r") == 0)
        try federation.settle()
        #expect(beta.store.state.listings.isEmpty)
        // The first evidence stays.
        let other = RegistryFault(code: "registry.other", evidence: [], seenAt: federation.now.timestamp)
        #expect(beta.node.condemn("https://r", for: other, at: federation.now).isEmpty)
        federation.crash(beta)
        try federation.restart(beta)
        #expect(beta.node.registries["https://r"]?.fault == fault)
        beta.enqueue(try beta.node.readmit("https://r", at: federation.now))
        try federation.settle()
        #expect(beta.node.registries.isEmpty && beta.store.state.registries.isEmpty)
        // The ids that it has brought are still here, and still counted as its own.
        #expect(beta.store.state.brought == [keeper: 3])
        federation.crash(beta)
        try federation.restart(beta)
        #expect(beta.node.brought(by: keeper) == 3 && beta.node.brought == 3)
        #expect(throws: Refusal.self) { try beta.node.readmit("https://r", at: federation.now) }
        #expect(beta.node.condemn("https://other", for: fault, at: federation.now).isEmpty, "it is not known")
    }

    @Test("a registry that is used no more speaks for nobody, and is read anew when it is used again")
    func formerRegistry() throws {
        let (federation, alpha, beta) = try Self.pair(alphaPinned: false)
        try Self.set(TrustPolicy(registryListed: .all), at: beta, federation)
        beta.enqueue(beta.node.note(alpha.id, listedBy: "https://r", true))
        var known = KnownRegistry(address: "https://r", registry: ServerID(unchecked: "r"), head: "a.b.c")
        known.frontier.append([1])
        beta.enqueue(beta.node.note(known))
        beta.enqueue(try beta.node.register(try #require(alpha.card), at: federation.now).effects)
        try federation.settle()
        try federation.connect(beta, alpha)
        try federation.settle()
        #expect(beta.node.peers[alpha.id]?.trust == .registry("https://r"))
        beta.enqueue(beta.node.use(onlyRegistries: ["https://r", "https://other"], at: federation.now))
        #expect(beta.channel(to: alpha) != nil)
        // Also after a restart: what is stored would bring it back.
        federation.crash(beta)
        try federation.restart(beta)
        beta.enqueue(beta.node.use(onlyRegistries: ["https://other"], at: federation.now))
        try federation.settle()
        #expect(beta.node.peers.isEmpty && beta.node.registries(listing: alpha.id).isEmpty)
        #expect(beta.store.state.listings.isEmpty && beta.store.state.registries.map(\.frontier.count) == [0])
        #expect(try federation.connect(alpha, beta) == nil)
    }

    @Test(
        "who may introduce no more speaks for nobody at once, whichever of them is looked at first",
        arguments: ["aa", "zz"])
    func narrowed(introducer name: String) throws {
        let now = HandoffSamples.now
        let (introducer, subject) = (ServerID(unchecked: name), ServerID(unchecked: "mm"))
        var stored = StoredState()
        for (id, trust) in [(introducer, TrustSource.registry("r")), (subject, .introduced([introducer]))] {
            stored.servers.append(TableSamples.server(id.rawValue, key: TableSamples.key(3)))
            stored.peers.append(
                PeerRecord(
                    server: id, publicKey: TableSamples.key(3), addedAt: now.timestamp, trust: trust, scopes: .all))
        }
        stored.listings = [RegistryListing(server: introducer, registry: "r")]
        stored.introductions = [
            HeardIntroduction(
                introduction: Introduction(
                    issuer: introducer, subject: subject, key: TableSamples.key(3), endpoint: TableSamples.endpoint(),
                    issuedAt: now.timestamp, expiresAt: now.timestamp + .seconds(1_000)), heardAt: now.timestamp)
        ]
        let introduced = TrustPolicy.Introduced(count: 1, scopes: .all)
        stored.policy = TrustPolicy(registryListed: .all, introducedBy: introduced)
        var node = try FederationNode(
            identity: ServerIdentity(id: ServerID(unchecked: "me"), seed: [UInt8](repeating: 1, count: 32)),
            configuration: NodeConfiguration(name: "A", endpoint: TableSamples.endpoint()), restoring: stored, at: now)
        #expect(node.reviewTrust(at: now).isEmpty && node.peers.count == 2)
        _ = node.setPolicy(TrustPolicy(registryListed: .heartbeat, introducedBy: introduced), at: now)
        #expect(node.peers.keys.sorted() == [introducer] && node.peers[introducer]?.scopes == .heartbeat)
    }

    @Test("however many have introduced one another in a row, trust in all of them ends at once, on a small stack")
    func chain() async throws {
        let now = HandoffSamples.now
        var stored = StoredState()
        let ids = (0..<Limits.automaticPeers).map { ServerID(unchecked: "s\(10_000 + $0)") }
        for (id, next) in zip(ids, ids.dropFirst() + [ids[0]]) {
            stored.servers.append(TableSamples.server(id.rawValue, key: TableSamples.key(3)))
            stored.peers.append(
                PeerRecord(
                    server: id, publicKey: TableSamples.key(3), addedAt: now.timestamp, trust: .registry("r"),
                    scopes: .all))
            stored.introductions.append(
                HeardIntroduction(
                    introduction: Introduction(
                        issuer: id, subject: next, key: TableSamples.key(3), endpoint: TableSamples.endpoint(),
                        issuedAt: now.timestamp, expiresAt: now.timestamp + .seconds(1_000)), heardAt: now.timestamp))
        }
        stored.policy = TrustPolicy(registryListed: .all, introducedBy: .init(count: 1, scopes: .all))
        let state = stored
        let left = await withCheckedContinuation { continuation in
            let thread = Thread {
                let node = try? FederationNode(
                    identity: ServerIdentity(
                        id: ServerID(unchecked: "alpha"), seed: [UInt8](repeating: 1, count: 32)),
                    configuration: NodeConfiguration(name: "A", endpoint: TableSamples.endpoint()), restoring: state,
                    at: now)
                guard var node else { return continuation.resume(returning: (before: 0, after: -1)) }
                let before = min(node.peers.count, node.introductions.count)
                _ = node.setPolicy(TrustPolicy(), at: now)
                continuation.resume(returning: (before, node.peers.count))
            }
            thread.stackSize = 128 << 10
            thread.start()
        }
        #expect(left == (Limits.automaticPeers, 0))
    }

    @Test(
        "where there is no place, the automatic peer heard of least recently gives way, but none behind a portal and none that has a crossing to end"
    )
    func bound() throws {
        let now = HandoffSamples.now
        var stored = StoredState()
        for number in 0..<Limits.automaticPeers {
            let id = ServerID(unchecked: "s\(10_000 + number)")
            stored.servers.append(
                TableSamples.server(
                    id.rawValue, key: TableSamples.key(3), status: .online, heartbeat: Int64(5_000 - number)))
            stored.peers.append(
                PeerRecord(
                    server: id, publicKey: TableSamples.key(3), addedAt: Timestamp(milliseconds: 0),
                    trust: .registry("r"), scopes: .all))
        }
        let newcomer = try ServerIdentity(id: ServerID(unchecked: "new"), seed: [UInt8](repeating: 9, count: 32))
        let last = ServerID(unchecked: "s\(10_000 + Limits.automaticPeers - 1)")
        stored.routes = [
            TableSamples.route("g1", from: "alpha", to: "new"),
            TableSamples.route("g2", from: "alpha", to: last.rawValue),
        ]
        // The second last is to hear of a crossing that is decided.
        let committed = ServerID(unchecked: "s\(10_000 + Limits.automaticPeers - 2)")
        stored.handoffs = [
            HandoffRecord(
                id: HandoffSamples.id(1), role: .source, player: Self.ada, peer: committed,
                portal: HandoffSamples.portal, world: HandoffSamples.world, spawn: nil, epoch: Epoch(2), revision: 7,
                snapshotHash: ContentHash.of([]), snapshot: [], clientKey: nil, state: .committed,
                openedAt: now.timestamp, changedAt: now.timestamp)
        ]
        stored.policy = TrustPolicy(registryListed: .all)
        var node = try FederationNode(
            identity: try ServerIdentity(id: ServerID(unchecked: "alpha"), seed: [UInt8](repeating: 1, count: 32)),
            configuration: NodeConfiguration(name: "A", endpoint: TableSamples.endpoint()), restoring: stored, at: now)
        _ = node.note(newcomer.id, listedBy: "r", true)
        let card = ServerCard(
            id: newcomer.id, name: "New", endpoint: TableSamples.endpoint(), publicKey: newcomer.publicKey, sequence: 1,
            worlds: [], issued: now.timestamp, expires: now.timestamp + .seconds(1_000)
        ).issue(by: newcomer)
        let labels = try node.register(card, at: now).effects.labels
        let peers = node.peers
        #expect(peers.count == Limits.automaticPeers && peers[newcomer.id] != nil && peers[last] != nil)
        #expect(peers[committed] != nil && node.ledger.openHandoffs(with: committed).count == 1)
        let evicted = "s\(10_000 + Limits.automaticPeers - 3)"
        #expect(peers[ServerID(unchecked: evicted)] == nil)
        #expect(labels.contains("report \(evicted) untrusted policy.full"))
    }
}
