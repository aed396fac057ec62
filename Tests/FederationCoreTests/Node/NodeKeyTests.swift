import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// Keys that change while servers run and players travel.
@Suite("FederationNode, keys")
struct NodeKeyTests {
    private static let ada = PromiseTests.ada

    /// Two servers; alpha has committed to key 2 and to the recovery key 100.
    private static func pair() throws -> (TestFederation, alpha: TestNode, beta: TestNode) {
        let federation = try TestFederation(["alpha", "beta"]) { name, configuration in
            guard name == "alpha" else { return }
            configuration.commitment = KeyCommitment(
                next: try? key(2).publicKey.commitment, recovery: try? key(100).publicKey.commitment)
        }
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        try federation.settle()
        try federation.enter(ada, at: alpha)
        return (federation, alpha, beta)
    }

    private static func key(_ number: UInt8) throws -> ServerIdentity {
        // The first is the federation's own for alpha; beta and gamma have 2 and 3.
        let seed = number == 1 ? 1 : number + 50
        return try ServerIdentity(id: ServerID(unchecked: "alpha"), seed: [UInt8](repeating: seed, count: 32))
    }

    /// What a thief of the key would say later.
    private static func laterCard(of node: TestNode) throws -> String {
        let card = try #require(node.signedCard?.card)
        return ServerCard(
            id: card.id, name: card.name, endpoint: card.endpoint, publicKey: card.publicKey,
            commitment: card.commitment, sequence: card.sequence + 1, worlds: [], issued: card.issued,
            expires: card.expires
        ).issue(by: node.identity)
    }

    private static func rotate(_ node: TestNode, to number: UInt8, in federation: TestFederation) throws {
        node.enqueue(
            try node.node.rotate(
                to: try key(number), next: try key(number + 1).publicKey.commitment, at: federation.now))
    }

    @Test("a rotation reaches the peer over the channel, which stays open, and players go on crossing")
    func rotation() throws {
        let (federation, alpha, beta) = try Self.pair()
        let channel = try #require(alpha.channel(to: beta))
        let there = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try Self.rotate(alpha, to: 2, in: federation)
        try federation.settle()
        #expect(beta.node.bindings[alpha.id]?.key == (try Self.key(2).publicKey))
        #expect(beta.node.peers[alpha.id]?.publicKey == (try Self.key(2).publicKey))
        #expect(beta.reported.contains(.keyRotated(alpha.id, to: try Self.key(2).publicKey)))
        #expect(alpha.channel(to: beta) == channel)
        #expect(federation.playable(Self.ada) == [beta.id])
        try federation.redeem(there, at: beta)
        try federation.settle()
        try federation.depart(Self.ada, from: beta, to: alpha.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [alpha.id])
        try federation.checkRest()
        // Once the overlap is over the old channel is none any more, and a new handshake is made with the new key.
        federation.advance(by: Limits.keyOverlap)
        #expect(beta.node.verifiedPeer(alpha.id, at: federation.now) == nil)
        try federation.settle()
        try federation.connect(alpha, beta)
        try federation.settle()
        #expect(beta.node.verifiedPeer(alpha.id, at: federation.now)?.publicKey == (try Self.key(2).publicKey))
    }

    @Test("a rotation is no way off the deny list")
    func denied() throws {
        let (federation, alpha, beta) = try Self.pair()
        let deny = TrustPolicy(deny: [.key(try Self.key(1).publicKey)])
        beta.enqueue(beta.node.setPolicy(deny, at: federation.now))
        try federation.settle()
        #expect(beta.channel(to: alpha) == nil)
        try Self.rotate(alpha, to: 2, in: federation)
        try federation.settle()
        // A registry, or whoever else, passes its card on.
        beta.enqueue(try beta.node.register(try #require(alpha.card), at: federation.now).effects)
        try federation.settle()
        #expect(beta.node.bindings[alpha.id]?.key == (try Self.key(2).publicKey))
        #expect(try federation.connect(alpha, beta) == nil)
        #expect(throws: Refusal.self) { try beta.node.addPeer(try #require(alpha.card), at: federation.now) }
        federation.crash(beta)
        try federation.restart(beta)
        try federation.settle()
        #expect(try federation.connect(alpha, beta) == nil)
        beta.enqueue(beta.node.setPolicy(TrustPolicy(), at: federation.now))
        try federation.settle()
        #expect(try federation.connect(alpha, beta) != nil)
    }

    @Test("nor is one from before this server was met on first use, as soon as it shows its card")
    func deniedNewcomer() throws {
        let federation = try TestFederation(
            ["alpha", "beta"],
            configure: { name, configuration in
                guard name == "alpha" else { return }
                configuration.commitment.next = try Self.key(2).publicKey.commitment
            }, trusts: { one, _ in one == "alpha" })
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try Self.rotate(alpha, to: 2, in: federation)
        try federation.settle()
        let policy = TrustPolicy(deny: [.key(try Self.key(1).publicKey)], firstUse: .all)
        beta.enqueue(beta.node.setPolicy(policy, at: federation.now))
        try federation.settle()
        #expect(try federation.connect(alpha, beta) != nil, "nothing is known of its earlier key yet")
        try federation.settle()
        #expect(beta.reported.contains(.trustEnded(alpha.id, code: "policy.denied")))
        #expect(beta.node.peers[alpha.id] == nil && beta.channel(to: alpha) == nil)
        federation.crash(beta)
        try federation.restart(beta)
        try federation.settle()
        #expect(try federation.connect(alpha, beta) == nil)
    }

    @Test("nor are many rotations, nor is one from before this server was met")
    func deniedForGood() throws {
        let (federation, alpha, beta) = try Self.pair()
        let deny = TrustPolicy(deny: [.key(try Self.key(1).publicKey)], registryListed: .all)
        beta.enqueue(beta.node.setPolicy(deny, at: federation.now))
        try federation.settle()
        let elsewhere = try TestFederation(["gamma"])
        let gamma = elsewhere.node("gamma")
        gamma.enqueue(gamma.node.setPolicy(deny, at: elsewhere.now))
        gamma.enqueue(gamma.node.note(alpha.id, listedBy: "https://r", true))
        for number in 2...12 as ClosedRange<UInt8> {
            try Self.rotate(alpha, to: number, in: federation)
            try federation.settle()
            let card = try #require(alpha.card)
            beta.enqueue((try? beta.node.register(card, at: federation.now).effects) ?? [])
            if number == 2 { gamma.enqueue(try gamma.node.register(card, at: elsewhere.now).effects) }
        }
        #expect(beta.node.bindings[alpha.id]?.key == (try Self.key(12).publicKey))
        #expect(try federation.connect(alpha, beta) == nil)
        #expect(throws: Refusal.self) { try beta.node.addPeer(try #require(alpha.card), at: federation.now) }
        guard case .refuse(let refusal) = gamma.node.decision(on: alpha.id, at: elsewhere.now) else {
            Issue.record("gamma trusts alpha")
            return
        }
        #expect(refusal.code == TrustPolicy.denied(alpha.id).code)
    }

    @Test("whom the allow list names by key stays on it through a rotation, and the channel stays open")
    func allowed() throws {
        let (federation, alpha, beta) = try Self.pair()
        beta.enqueue(try beta.node.removePeer(alpha.id, at: federation.now))
        try federation.settle()
        let allow = TrustPolicy(allow: [.key(try Self.key(1).publicKey)], registryListed: .all)
        beta.enqueue(beta.node.setPolicy(allow, at: federation.now))
        beta.enqueue(beta.node.note(alpha.id, listedBy: "https://r", true))
        try federation.settle()
        try federation.connect(alpha, beta)
        try federation.settle()
        let channel = try #require(beta.channel(to: alpha))
        try Self.rotate(alpha, to: 2, in: federation)
        try federation.settle()
        #expect(beta.node.bindings[alpha.id]?.key == (try Self.key(2).publicKey))
        #expect(beta.node.peers[alpha.id]?.trust == .registry("https://r"))
        #expect(beta.channel(to: alpha) == channel)
    }

    @Test("a receipt that the source never had is given anew under the key that counts now", arguments: [false, true])
    func receiptAfterChange(isRevoked: Bool) throws {
        let (federation, alpha, beta) = try Self.pair()
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        let back = try federation.depart(Self.ada, from: beta, to: alpha.id)
        try federation.settle { node in
            guard node === alpha, alpha.handoff(back)?.state == .admitted, let wire = federation.wire(alpha, beta)
            else { return }
            federation.close(wire)
        }
        try #require(beta.handoff(back)?.state == .committed && alpha.handoff(back)?.state == .admitted)
        if isRevoked {
            let successor = try Self.key(5)
            let revocation = KeyRevocation(
                issuer: alpha.id, number: 1,
                replacement: .init(key: successor.publicKey, commitment: KeyCommitment()),
                issuedAt: federation.now.timestamp
            ).issue(by: try Self.key(100))
            alpha.enqueue(try alpha.node.replace(by: revocation, with: successor, at: federation.now))
            beta.enqueue(try beta.node.revoke(revocation, at: federation.now))
        } else {
            try Self.rotate(alpha, to: 2, in: federation)
            beta.enqueue(try beta.node.register(try #require(alpha.card), at: federation.now).effects)
        }
        try federation.settle()
        try federation.connect(beta, alpha)
        try federation.settle()
        #expect(beta.handoff(back)?.state == .completed)
        #expect(federation.playable(Self.ada) == [alpha.id])
    }

    @Test("a token from before the rotation is still taken")
    func onTheWay() throws {
        let (federation, alpha, beta) = try Self.pair()
        let there = try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        let token = try #require(
            alpha.told.compactMap { if case .committed(_, let token) = $0.kind { token } else { nil } }.last)
        try Self.rotate(alpha, to: 2, in: federation)
        try federation.settle()
        #expect(CompactJWS.unverifiedKey(token) == (try Self.key(1).publicKey))
        #expect(throws: Never.self) { try beta.node.redeem(token, proof: nil, challenge: [], at: federation.now) }
        #expect(alpha.handoff(there)?.state == .completed)
    }

    @Test("a peer that was away finds the new key by the card, and by nothing less")
    func away() throws {
        let (federation, alpha, beta) = try Self.pair()
        federation.close(try #require(federation.wire(alpha, beta)))
        try federation.settle()
        try Self.rotate(alpha, to: 2, in: federation)
        try federation.settle()
        #expect(try federation.connect(alpha, beta) == nil)
        try federation.settle()
        #expect(beta.fetched == [alpha.id])
        // Asked again at once it is not fetched again.
        #expect(try federation.connect(alpha, beta) == nil)
        try federation.settle()
        #expect(beta.fetched == [alpha.id])
        beta.enqueue(try beta.node.register(try #require(alpha.card), at: federation.now).effects)
        try federation.settle()
        try federation.connect(alpha, beta)
        try federation.settle()
        #expect(beta.node.verifiedPeer(alpha.id, at: federation.now)?.publicKey == (try Self.key(2).publicKey))
    }

    @Test("a server goes over to no key that it has not committed to")
    func notCommitted() throws {
        let (federation, alpha, _) = try Self.pair()
        #expect(throws: Refusal.self) { try alpha.node.rotate(to: try Self.key(7), next: nil, at: federation.now) }
        #expect(alpha.node.identity.publicKey == (try Self.key(1).publicKey))
    }

    @Test("a revocation closes the channel at once, reaches peers of peers, and the replacement is believed")
    func revocation() throws {
        let federation = try TestFederation(["alpha", "beta", "gamma"]) { name, configuration in
            guard name == "alpha" else { return }
            configuration.commitment = KeyCommitment(
                next: try? Self.key(2).publicKey.commitment, recovery: try? Self.key(100).publicKey.commitment)
        }
        let (alpha, beta, gamma) = (federation.node("alpha"), federation.node("beta"), federation.node("gamma"))
        try federation.connectAll()
        try federation.settle()
        federation.close(try #require(federation.wire(alpha, gamma)))
        try federation.settle()
        let replacement = try Self.key(5)
        let revocation = KeyRevocation(
            issuer: alpha.id, number: 1,
            replacement: .init(
                key: replacement.publicKey, commitment: KeyCommitment(next: try Self.key(6).publicKey.commitment)),
            issuedAt: federation.now.timestamp
        ).issue(by: try Self.key(100))
        // Beta hears it first, by whatever way; gamma has no channel to alpha and hears it of beta.
        beta.enqueue(try beta.node.revoke(revocation, at: federation.now))
        try federation.settle()
        #expect(beta.channel(to: alpha) == nil)
        #expect(beta.node.verifiedPeer(alpha.id, at: federation.now) == nil)
        #expect(gamma.node.bindings[alpha.id]?.key == replacement.publicKey)
        alpha.enqueue(try alpha.node.replace(by: revocation, with: replacement, at: federation.now))
        try federation.settle()
        try federation.connect(alpha, beta)
        try federation.connect(alpha, gamma)
        try federation.settle()
        #expect(beta.node.verifiedPeer(alpha.id, at: federation.now)?.publicKey == replacement.publicKey)
        #expect(beta.node.registry.server(alpha.id)?.publicKey == replacement.publicKey)
    }

    @Test("an owner who signs one revocation after the other makes no server pass on more than one a minute")
    func revocationFlood() throws {
        let (federation, alpha, beta) = try Self.flooded()
        func revocation(_ number: UInt64) throws -> String {
            KeyRevocation(
                issuer: alpha.id, number: number,
                replacement: .init(
                    key: try Self.key(UInt8(4 + number % 2)).publicKey, commitment: KeyCommitment()),
                issuedAt: federation.now.timestamp
            ).issue(by: try Self.key(100))
        }
        func passedOn() -> [String] {
            beta.queue.compactMap {
                if case .effect(.send(.notice(.revocation(let compact)), on: _)) = $0 { compact } else { nil }
            }
        }
        var sent: [String] = []
        var number: UInt64 = 0
        var newest = ""
        // Ten every five seconds, for three minutes, at a server with one other peer.
        for _ in 0..<36 {
            for _ in 0..<10 {
                number += 1
                newest = try revocation(number)
                beta.enqueue(try beta.node.revoke(newest, at: federation.now))
                #expect(beta.node.bindings[alpha.id]?.revocation == number, "each holds at once")
            }
            sent += passedOn()
            try federation.settle()
            federation.advance(by: .seconds(5))
            sent += passedOn()
            try federation.settle()
        }
        #expect(sent.count == 4, "at once, and after each of three minutes")
        #expect(sent.last == newest, "the newest is not lost")
        #expect(federation.node("gamma").node.bindings[alpha.id]?.revocation == number)
        for _ in 0..<12 {
            federation.advance(by: .seconds(10))
            sent += passedOn()
            try federation.settle()
        }
        #expect(sent.count == 4, "nothing is left to say")
    }

    @Test("a peer's revocation is passed on, however many others have just been")
    func revocationInAFlood() throws {
        let (federation, alpha, beta) = try Self.flooded()
        for number in 0..<Limits.revocationRelays {
            _ = beta.node.revocationRelays.admit(
                "x", of: ServerID(unchecked: "s\(number)"), isPeer: false, at: federation.now.instant)
        }
        let revocation = KeyRevocation(
            issuer: alpha.id, number: 1,
            replacement: .init(key: try Self.key(5).publicKey, commitment: KeyCommitment()),
            issuedAt: federation.now.timestamp
        ).issue(by: try Self.key(100))
        beta.enqueue(try beta.node.revoke(revocation, at: federation.now))
        try federation.settle()
        let heard = federation.node("gamma").node.bindings[alpha.id]?.revocation
        #expect(heard == 1)
    }

    /// Beta with alpha's card and with gamma as its one other peer; alpha is not connected.
    private static func flooded() throws -> (TestFederation, alpha: TestNode, beta: TestNode) {
        let federation = try TestFederation(["alpha", "beta", "gamma"]) { name, configuration in
            guard name == "alpha" else { return }
            configuration.commitment = KeyCommitment(recovery: try? key(100).publicKey.commitment)
        }
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        try federation.settle()
        federation.close(try #require(federation.wire(alpha, beta)))
        federation.close(try #require(federation.wire(alpha, federation.node("gamma"))))
        try federation.settle()
        return (federation, alpha, beta)
    }

    @Test("who has left, and whose key is replaced then, comes again under the new key, also after a restart")
    func revokedAfterLeaving() throws {
        let (federation, alpha, beta) = try Self.pair()
        beta.enqueue(try beta.node.removePeer(alpha.id, at: federation.now))
        try federation.settle()
        beta.enqueue(try beta.node.deregister(alpha.id, at: federation.now))
        try federation.settle()
        let successor = try Self.key(5)
        let kept = KeyCommitment(recovery: try Self.key(100).publicKey.commitment)
        let revocation = KeyRevocation(
            issuer: alpha.id, number: 1, replacement: .init(key: successor.publicKey, commitment: kept),
            issuedAt: federation.now.timestamp
        ).issue(by: try Self.key(100))
        beta.enqueue(try beta.node.revoke(revocation, at: federation.now))
        try federation.settle()
        federation.crash(beta)
        try federation.restart(beta)
        let card = try #require(alpha.signedCard?.card)
        let renewed = ServerCard(
            id: card.id, name: card.name, endpoint: card.endpoint, publicKey: successor.publicKey,
            commitment: kept, sequence: card.sequence + 1, worlds: [], issued: card.issued,
            expires: card.expires
        ).issue(by: successor)
        _ = try beta.node.register(renewed, at: federation.now)
        #expect(beta.node.registry.server(alpha.id)?.publicKey == successor.publicKey)
    }

    @Test("no operator gives a server another key by removing it and adding it again")
    func addedAgain() throws {
        let federation = try TestFederation(["alpha", "beta"])
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        let card = try #require(alpha.signedCard?.card)
        let other = try Self.key(9)
        let compact = ServerCard(
            id: card.id, name: card.name, endpoint: card.endpoint, publicKey: other.publicKey,
            sequence: card.sequence + 1, worlds: [], issued: card.issued, expires: card.expires
        ).issue(by: other)
        func code(_ act: () throws -> [Effect]) -> String? {
            do {
                beta.enqueue(try act())
                return nil
            } catch {
                return (error as? Refusal)?.code
            }
        }
        for isGone in [false, true] {
            #expect(code { try beta.node.addPeer(compact, at: federation.now).effects } == "server.keyMismatch")
            if isGone { break }
            #expect(code { try beta.node.removePeer(alpha.id, at: federation.now) } == nil)
            #expect(code { try beta.node.deregister(alpha.id, at: federation.now) } == nil)
            try federation.settle()
        }
    }

    @Test("a server that its owner has revoked for good is suspended, and no operator can bring it back")
    func forGood() throws {
        let (federation, alpha, beta) = try Self.pair()
        let revocation = KeyRevocation(
            issuer: alpha.id, number: 1, replacement: nil, issuedAt: federation.now.timestamp
        ).issue(by: try Self.key(100))
        beta.enqueue(try beta.node.revoke(revocation, at: federation.now))
        try federation.settle()
        #expect(beta.node.registry.server(alpha.id)?.status == .suspended)
        #expect(beta.channel(to: alpha) == nil)
        #expect(throws: Refusal.self) { try beta.node.reinstate(alpha.id, at: federation.now) }
        #expect(throws: Refusal.self) {
            try beta.node.register(try Self.laterCard(of: alpha), at: federation.now)
        }
        // It is remembered over a restart.
        beta.crash()
        try beta.restart(at: federation.now)
        #expect(beta.node.bindings[alpha.id]?.isDead == true)
        #expect(try federation.connect(alpha, beta) == nil)
    }

    @Test("two cards with one number are kept as proof, and the first one stands")
    func equivocation() throws {
        let (federation, alpha, beta) = try Self.pair()
        let card = try #require(alpha.signedCard?.card)
        let other = ServerCard(
            id: card.id, name: "Another", endpoint: card.endpoint, publicKey: card.publicKey,
            commitment: card.commitment, sequence: card.sequence, worlds: [], issued: card.issued,
            expires: card.expires
        ).issue(by: try Self.key(1))
        let registration = try beta.node.register(other, at: federation.now)
        #expect(registration.contradiction?.code == "card.equivocation")
        beta.enqueue(registration.effects)
        try federation.settle()
        #expect(beta.reported.contains(.equivocated(alpha.id)))
        #expect(beta.node.registry.server(alpha.id)?.name == card.name)
        #expect(beta.store.state.equivocations.map(\.first) == [try #require(alpha.card)])
        #expect(beta.store.state.equivocations.map(\.second) == [other])
        // Said again it is not news.
        #expect(try beta.node.register(other, at: federation.now).effects.isEmpty)
    }

    @Test("a server that was restored from a backup believes its own old key's tokens after a rotation")
    func ownPast() throws {
        let (federation, alpha, beta) = try Self.pair()
        let backup = alpha.store.state
        try federation.depart(Self.ada, from: alpha, to: beta.id)
        try federation.settle()
        // The backup is of before the crossing; the rotation comes after it was restored.
        federation.crash(alpha)
        alpha.store = StoreTables(backup)
        try federation.restart(alpha)
        try Self.rotate(alpha, to: 2, in: federation)
        beta.enqueue(try beta.node.register(try #require(alpha.card), at: federation.now).effects)
        while try federation.execute(alpha) || federation.execute(beta) {}
        let wire = try #require(try federation.connect(alpha, beta))
        while alpha.node.players[Self.ada]?.presence == .playable {
            while try federation.execute(alpha) || federation.execute(beta) {}
            if !wire.frames.1.isEmpty { federation.deliver(wire, toFirst: false) }
            if !wire.frames.0.isEmpty { federation.deliver(wire, toFirst: true) }
        }
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id])
        #expect(alpha.player(Self.ada)?.isHere == false)
    }

    @Test("others' cards are taken of a peer only when their servers are known here")
    func hearsay() throws {
        let (federation, alpha, beta) = try Self.pair()
        let stranger = try ServerIdentity(id: ServerID(unchecked: "zeta"), seed: [UInt8](repeating: 9, count: 32))
        let card = ServerCard(
            id: stranger.id, name: "Zeta", endpoint: TableSamples.endpoint("ws://zeta.example"),
            publicKey: stranger.publicKey, sequence: 1, worlds: [], issued: federation.now.timestamp,
            expires: federation.now.timestamp + .seconds(100)
        ).issue(by: stranger)
        let channel = try #require(beta.channel(to: alpha))
        beta.enqueue(beta.node.receive(.notice(.card(card)), on: channel, at: federation.now))
        try federation.settle()
        #expect(beta.node.registry.server(stranger.id) == nil)
        #expect(beta.reported.contains(.noticeRefused(alpha.id, code: "server.unknown")))
        #expect(beta.channel(to: alpha) != nil)
    }
}
