import Crypto
import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import TestKit
import Testing

/// Players' own clients.
@Suite("FederationServer, clients", .timeLimit(.minutes(patience)))
struct ClientTests {
    private static let challenge = [UInt8](repeating: 1, count: ClientProof.challengeBytes)

    /// The player has crossed; the token as their client got it.
    private static func crossed(_ pair: TestPair) async throws -> String {
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        let seen = try await updates.until(.completed)
        return try #require(seen.compactMap(\.redirect).first).token
    }

    // MARK: Tickets

    @Test("a ticket shows who it is for, in this epoch and for a day")
    func tickets() async throws {
        let pair = try await TestPair.make()
        let server = pair.alpha.server
        let ticket = await server.ticket(for: try await server.player(pair.ada))
        #expect(try await server.redeem(ticket: ticket).player == pair.ada)
        #expect(
            await refusal { _ = try await server.redeem(ticket: String(ticket.dropLast(4)) + "AAAA") }
                == "ticket.refused")
        #expect(await refusal { _ = try await pair.beta.server.redeem(ticket: ticket) } == "ticket.refused")
        pair.alpha.clock.advance(by: .seconds(24 * 3_600))
        #expect(await refusal { _ = try await server.redeem(ticket: ticket) } == "ticket.refused")
    }

    @Test("a client whose player has gone on is sent after them, once; further than that only the world knows")
    func staleTicket() async throws {
        let pair = try await TestPair.make()
        let server = pair.alpha.server
        let ticket = await server.ticket(for: try await server.player(pair.ada))
        guard case .here = try await server.join(ticket: ticket) else {
            Issue.record("the player is here")
            return
        }
        let crossing = try await pair.cross()
        guard case .moved(let id, let redirect) = try await server.join(ticket: ticket) else {
            Issue.record("the player has moved")
            return
        }
        #expect(id == crossing.id && redirect.endpoint == Endpoint("ws://beta.example"))
        #expect(try await pair.beta.server.arrive(token: redirect.token, proof: nil, challenge: []).player == pair.ada)
        // Home again, and the ticket of the first stay is worth nothing.
        let updates = try await pair.beta.server.updates(of: pair.ada)
        _ = try await pair.beta.server.travel(pair.ada, epoch: Epoch(2), through: try #require(PortalID("gate")))
        try await updates.until(.completed)
        #expect(await refusal { _ = try await server.join(ticket: ticket) } == "ticket.stale")
    }

    @Test("a ticket counts for an hour after a rotation, for the client that missed its redirect as well")
    func rotation() async throws {
        let pair = try await TestPair.make()
        let server = pair.alpha.server
        let ticket = await server.ticket(for: try await server.player(pair.ada))
        _ = try await server.rotateKeys()
        #expect(try await server.redeem(ticket: ticket).player == pair.ada)
        let crossing = try await pair.cross()
        guard case .moved(let id, let redirect) = try await server.join(ticket: ticket) else {
            Issue.record("the player has moved")
            return
        }
        #expect(id == crossing.id)
        #expect(try await pair.beta.server.arrive(token: redirect.token, proof: nil, challenge: []).player == pair.ada)
        pair.alpha.clock.advance(by: Limits.keyOverlap - .seconds(1))
        #expect(await refusal { _ = try await server.redeem(ticket: ticket) } == "ticket.stale")
        pair.alpha.clock.advance(by: .seconds(1))
        #expect(await refusal { _ = try await server.redeem(ticket: ticket) } == "ticket.refused")
        #expect(await refusal { _ = try await server.join(ticket: ticket) } == "ticket.refused")
    }

    @Test("a revocation ends the tickets of every key before it")
    func revocation() async throws {
        let alpha = try await TestServer.start("alpha")
        let server = alpha.server
        try await alpha.publish("home")
        try await alpha.enter()
        let player = try await server.player(try alpha.player())
        let first = await server.ticket(for: player)
        _ = try await server.rotateKeys()
        let second = await server.ticket(for: player)
        let followed = try await server.redeem(ticket: first)
        alpha.keys.revoke()
        _ = try #require(try await server.replaceKeys())
        // Who was let in by one of them is told so, and nothing more.
        #expect(await followed.updates.all().map(\.kind) == [.revoked])
        for ticket in [first, second] {
            #expect(await refusal { _ = try await server.redeem(ticket: ticket) } == "ticket.refused")
        }
        #expect(try await server.redeem(ticket: await server.ticket(for: player)).player == player.player)
    }

    @Test("a client that waits for the store while the keys are revoked is not let in by the old ones")
    func revokedMeanwhile() async throws {
        let alpha = try await TestServer.start("alpha")
        let server = alpha.server
        try await alpha.publish("home")
        try await alpha.enter()
        let ticket = await server.ticket(for: try await server.player(try alpha.player()))
        let before = await server.keys().key
        alpha.keys.revoke()
        // A save stands before the client in the queue until the store has taken it.
        await alpha.store.hold()
        async let saved = alpha.enter()
        await alpha.store.waitUntilHeld()
        async let joining = refusal { _ = try await server.redeem(ticket: ticket) }
        async let key = server.replaceKeys()
        try await eventually { await server.keys().key != before }
        await alpha.store.release()
        _ = try await (saved, key)
        #expect(await joining == "client.revoked")
    }

    @Test("a revocation of a source's keys ends what its tokens have opened elsewhere")
    func revokedSource() async throws {
        let pair = try await TestPair.make()
        let token = try await Self.crossed(pair)
        let arrived = try await pair.beta.server.arrive(token: token, proof: nil, challenge: [])
        let ticket = await pair.beta.server.ticket(for: arrived.record)
        let joined = try await pair.beta.server.redeem(ticket: ticket)
        // The ticket that came with the arrival, and those that come of it, stand for the token.
        let again = try await pair.beta.server.redeem(ticket: arrived.ticket)
        pair.alpha.keys.revoke()
        _ = try #require(try await pair.alpha.server.replaceKeys())
        #expect(await arrived.updates.all().map(\.kind) == [.revoked])
        #expect(await again.updates.all().map(\.kind) == [.revoked])
        for ticket in [arrived.ticket, again.ticket] {
            #expect(await refusal { _ = try await pair.beta.server.redeem(ticket: ticket) } == "client.revoked")
        }
        #expect(try await pair.beta.server.redeem(ticket: ticket).player == pair.ada)
        // The other came by a ticket that beta's world server has asked for, which still counts.
        let updates = try await pair.beta.server.updates(of: pair.ada)
        await pair.beta.server.stop()
        #expect(await joined.updates.all().isEmpty)
        #expect(await updates.all().isEmpty)
    }

    @Test("who came by a revoked source's word is not sent after the player either")
    func revokedSourceOfStaleTicket() async throws {
        let pair = try await TestPair.make()
        let beta = pair.beta.server
        let arrived = try await beta.arrive(token: try await Self.crossed(pair), proof: nil, challenge: [])
        let updates = try await beta.updates(of: pair.ada)
        _ = try await beta.travel(pair.ada, epoch: Epoch(2), through: try #require(PortalID("gate")))
        try await updates.until(.completed)
        guard case .moved = try await beta.join(ticket: arrived.ticket) else {
            Issue.record("the player has moved")
            return
        }
        pair.alpha.keys.revoke()
        _ = try #require(try await pair.alpha.server.replaceKeys())
        try await eventually { await refusal { _ = try await beta.join(ticket: arrived.ticket) } == "client.revoked" }
    }

    // MARK: Arrivals

    @Test("a server that was started again lets in whom it has admitted, while the source is away")
    func admittedBeforeTheStart() async throws {
        let pair = try await TestPair.make()
        let token = try await Self.crossed(pair)
        func restarted(_ change: (StoredState) -> StoredState = { $0 }) async throws -> TestServer {
            try await TestServer.start(
                "beta", seed: 2, store: MemoryStore(change(try await pair.beta.store.load())), clock: pair.beta.clock)
        }
        let beta = try await restarted()
        #expect(try await beta.server.arrive(token: token, proof: nil, challenge: []).player == pair.ada)
        #expect(
            await refusal { _ = try await beta.server.arrive(token: token, proof: nil, challenge: []) }
                == "handoff.replayed")
        // Not by the word of one whom the operator has suspended since, nor of an undecided handoff.
        let suspicious = try await restarted()
        _ = try await suspicious.server.suspend(pair.alpha.server.id, reason: "a test")
        #expect(
            await refusal { _ = try await suspicious.server.arrive(token: token, proof: nil, challenge: []) }
                == "token.untrustedIssuer")
        let forgetful = try await restarted { state in
            var state = state
            state.handoffs = []
            return state
        }
        #expect(
            await refusal { _ = try await forgetful.server.arrive(token: token, proof: nil, challenge: []) }
                == "token.untrustedIssuer")
    }

    @Test("a token is taken once, however many clients show it at the same moment")
    func once() async throws {
        let pair = try await TestPair.make()
        let token = try await Self.crossed(pair)
        let answers = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    await refusal {
                        _ = try await pair.beta.server.arrive(
                            token: token, proof: nil, challenge: [], within: .seconds(1))
                    }
                }
            }
            return await group.reduce(into: [:]) { $0[$1 ?? "arrived", default: 0] += 1 }
        }
        #expect(answers == ["arrived": 1, "handoff.replayed": 9])
        let restarted = try await TestServer.start(
            "beta", seed: 2, store: MemoryStore(try await pair.beta.store.load()), clock: pair.beta.clock)
        _ = try await Link.open(pair.alpha.server, restarted.server)
        #expect(
            await refusal { _ = try await restarted.server.arrive(token: token, proof: nil, challenge: []) }
                == "handoff.replayed")
    }

    @Test(
        "a token that could not be stored as taken may be shown again",
        arguments: [MemoryStore.Fault.refused, .unanswered])
    func storeFails(_ fault: MemoryStore.Fault) async throws {
        let pair = try await TestPair.make()
        let token = try await Self.crossed(pair)
        func arrive() async -> String? {
            await refusal { _ = try await pair.beta.server.arrive(token: token, proof: nil, challenge: []) }
        }
        await pair.beta.store.failNext(1, fault)
        #expect(await arrive() == "store.failed")
        await pair.beta.clock.sleeper(for: .milliseconds(100))
        pair.beta.clock.advance(by: .milliseconds(100))
        try await eventually { await pair.beta.server.summary().storageFailure == nil }
        #expect(await arrive() == nil)
        #expect(await arrive() == "handoff.replayed")
        #expect(try await pair.beta.store.load().handoffs.first?.redeemedAt != nil)
    }

    @Test(
        "a client that is faster than the decision waits for it, whatever the source's clock shows and its key is",
        arguments: [(0, false), (60, false), (-60, false), (0, true), (60, true)])
    func patience(lead: Int, isRotated: Bool) async throws {
        let pair = try await TestPair.make(lead: .seconds(lead))
        if isRotated { _ = try await pair.alpha.server.rotateKeys() }
        pair.link.there.hold("commit")
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        let token = try #require(try await updates.until(.redirect).last?.redirect).token
        try await eventually { try await !pair.beta.store.load().handoffs.isEmpty }
        let arriving = Task {
            try await pair.beta.server.arrive(token: token, proof: nil, challenge: [], within: .seconds(10))
        }
        await pair.beta.clock.sleeper(for: .seconds(10))
        pair.link.there.release()
        #expect(try await arriving.value.player == pair.ada)
    }

    @Test("a client that waits is told when the wait is over or the crossing is called off", arguments: [true, false])
    func impatience(_ isCalledOff: Bool) async throws {
        let pair = try await TestPair.make()
        pair.link.back.hold("accept")
        let crossing = try await pair.alpha.travel()
        try await eventually { try await !pair.beta.store.load().handoffs.isEmpty }
        // A genuine token, such as a client could have only after the decision.
        let now = pair.alpha.clock.now().timestamp
        let record = try #require(try await pair.beta.store.load().handoffs.first)
        let token = SessionToken(
            issuer: pair.alpha.id, player: pair.ada, audience: pair.beta.id, handoff: crossing.id, issuedAt: now,
            notBefore: now, expiresAt: now + Limits.tokenLifetime, world: record.world, portal: record.portal,
            epoch: record.epoch, snapshot: record.snapshotHash, revision: record.revision, decision: 1
        ).issue(by: pair.alpha.identity)
        let arriving = Task {
            await refusal {
                _ = try await pair.beta.server.arrive(token: token, proof: nil, challenge: [], within: .seconds(7))
            }
        }
        await pair.beta.clock.sleeper(for: .seconds(7))
        if isCalledOff {
            try await pair.alpha.server.callOff(crossing.id)
        } else {
            pair.beta.clock.advance(by: .seconds(7))
        }
        #expect(await arriving.value == "handoff.invalidState")
    }

    @Test("a token that names a client's key is worth nothing without it")
    func proof() async throws {
        let pair = try await TestPair.make()
        let key = Curve25519.Signing.PrivateKey()
        try await pair.alpha.enter(clientKey: PublicKey(bytes: Array(key.publicKey.rawRepresentation)))
        let token = try await Self.crossed(pair)
        let server = pair.beta.server
        #expect(
            await refusal { _ = try await server.arrive(token: token, proof: nil, challenge: Self.challenge) }
                == "token.unproven")
        let handoff = try #require(try await pair.beta.store.load().handoffs.first).id
        let proof = Array(
            try key.signature(for: ClientProof.signedBytes(challenge: Self.challenge, handoff: handoff)))
        #expect(try await server.arrive(token: token, proof: proof, challenge: Self.challenge).player == pair.ada)
    }

    @Test("so many follow a player, and one who goes makes room")
    func followers() async throws {
        let pair = try await TestPair.make()
        var streams: [AsyncStream<PlayerUpdate>] = []
        for _ in 0..<16 { streams.append(try await pair.alpha.server.updates(of: pair.ada)) }
        #expect(await refusal { _ = try await pair.alpha.server.updates(of: pair.ada) } == "player.followed")
        streams.removeLast()
        try await eventually { await refusal { _ = try await pair.alpha.server.updates(of: pair.ada) } == nil }
    }

    @Test("challenges are new every time")
    func challenges() async throws {
        let alpha = try await TestServer.start("alpha")
        let first = await alpha.server.challenge()
        #expect(first.count == ClientProof.challengeBytes)
        #expect(await alpha.server.challenge() != first)
    }
}

extension AsyncStream {
    /// Everything until it ends.
    fileprivate func all() async -> [Element] {
        await reduce(into: []) { $0.append($1) }
    }
}
