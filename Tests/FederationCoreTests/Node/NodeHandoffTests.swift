import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// A handoff one message at a time: what each end does, in which order, the first time and again.
@Suite("FederationNode, a handoff step by step")
struct NodeHandoffTests {
    private static let ada = PromiseTests.ada

    /// Alpha with a player, beta, and a channel between them; nothing is on its way.
    private struct Pair {
        let federation: TestFederation
        let alpha: TestNode
        let beta: TestNode
        /// The channel as alpha and as beta know it.
        let toBeta: ChannelID
        let toAlpha: ChannelID

        init() throws {
            federation = try TestFederation(["alpha", "beta", "gamma"])
            alpha = federation.node("alpha")
            beta = federation.node("beta")
            try federation.connectAll()
            try federation.enter(ada, at: alpha)
            toBeta = try #require(alpha.channel(to: beta))
            toAlpha = try #require(beta.channel(to: alpha))
        }

        var now: Now { federation.now }

        func depart(_ id: UInt8 = 1) throws -> [Effect] {
            let effects = try alpha.node.depart(
                ada, epoch: nil, through: TestFederation.portal(to: beta.id), to: beta.id, as: HandoffSamples.id(id),
                assets: try TestFederation.manifest(of: beta.id), at: now)
            return stored(effects, alpha)
        }

        func atAlpha(_ frame: FederationFrame) -> [Effect] {
            stored(alpha.node.receive(frame, on: toBeta, at: now), alpha)
        }

        func atBeta(_ frame: FederationFrame) -> [Effect] {
            stored(beta.node.receive(frame, on: toAlpha, at: now), beta)
        }

        /// The effects, of which the store has had its part.
        private func stored(_ effects: [Effect], _ node: TestNode) -> [Effect] {
            for case .persist(let changes) in effects { node.store.apply(changes) }
            return effects
        }

        /// Goes as far as the commit that alpha sends.
        func committed() throws -> FederationFrame {
            let offer = try #require(try depart().frames.first)
            let accept = try #require(atBeta(offer).frames.first)
            return try #require(atAlpha(accept).frames.first)
        }
    }

    @Test("each message makes durable what it decides, says so, and only then answers; a repeated one is only answered")
    func messages() throws {
        let pair = try Pair()
        let departing = try pair.depart()
        #expect(
            departing.labels
                == ["persist prepared + departing", "report source prepared", "tell offered", "send offer"])
        let offer = try #require(departing.frames.first)
        let reserving = pair.atBeta(offer)
        #expect(
            reserving.labels
                == ["persist reserved", "report destination reserved", "tell reserved", "send accept"])
        #expect(pair.atBeta(offer).labels == ["send accept"])
        let accept = try #require(reserving.frames.first)
        let committing = pair.atAlpha(accept)
        #expect(
            committing.labels
                == [
                    "persist committed + decision 1 + departed", "report source committed", "tell committed",
                    "send commit",
                ])
        #expect(pair.atAlpha(accept).labels == ["send commit"])
        let commit = try #require(committing.frames.first)
        let admitting = pair.atBeta(commit)
        #expect(
            admitting.labels
                == [
                    "persist admitted + playable + passage", "report destination admitted", "tell admitted",
                    "send admitted",
                ])
        #expect(pair.atBeta(commit).labels == ["send admitted"])
        #expect(pair.atBeta(offer).labels == ["send admitted"])
        let admitted = try #require(admitting.frames.first)
        #expect(
            pair.atAlpha(admitted).labels == ["persist completed", "report source completed", "tell completed"])
        #expect(pair.atAlpha(admitted).labels == [])
        #expect(pair.atAlpha(accept).labels == [])
    }

    @Test("a rejected player goes on at home, and the destination is told that it is over")
    func rejected() throws {
        let pair = try Pair()
        _ = try pair.depart()
        let reject = FederationFrame.reject(
            FederationFrame.HandoffRejection(handoff: HandoffSamples.id(1), code: "world.full", reason: "full"))
        #expect(
            pair.atAlpha(reject).labels
                == ["persist aborted + playable", "report source aborted", "tell returned world.full", "send abort"])
        #expect(pair.atAlpha(reject).labels == [])
        // The answer to an offer that was accepted after all.
        #expect(pair.atAlpha(.accept(HandoffSamples.id(1))).labels == ["send abort"])
        #expect(pair.alpha.player(Self.ada)?.presence == .playable)
    }

    @Test("a crossing is called off as long as it is not decided")
    func callOff() throws {
        let pair = try Pair()
        #expect(throws: Refusal.self) { try pair.alpha.node.callOff(HandoffSamples.id(1), at: pair.now) }
        let offer = try #require(try pair.depart().frames.first)
        let accept = try #require(pair.atBeta(offer).frames.first)
        #expect(
            try pair.alpha.node.callOff(HandoffSamples.id(1), at: pair.now).labels
                == [
                    "persist aborted + playable", "report source aborted", "tell returned handoff.calledOff",
                    "send abort",
                ])
        #expect(pair.atAlpha(accept).labels == ["send abort"])
        #expect(
            pair.atBeta(.abort(HandoffSamples.id(1))).labels
                == ["persist aborted", "report destination aborted", "tell withdrawn"])
        #expect(pair.atBeta(.abort(HandoffSamples.id(1))).labels == [])
        #expect(pair.atBeta(offer).labels == ["send reject handoff.aborted"])
        let again = try Pair()
        _ = try again.committed()
        #expect(throws: Refusal.self) { try again.alpha.node.callOff(HandoffSamples.id(1), at: again.now) }
        // Only the source's own crossings.
        #expect(throws: Refusal.self) { try again.beta.node.callOff(HandoffSamples.id(1), at: again.now) }
    }

    @Test("without an answer in 200 ms the player goes on at home, and a later answer changes nothing")
    func timeout() throws {
        let pair = try Pair()
        let offer = try #require(try pair.depart().frames.first)
        let accept = try #require(pair.atBeta(offer).frames.first)
        pair.federation.advance(by: Limits.acceptTimeout)
        let labels = pair.alpha.queue.compactMap { if case .effect(let effect) = $0 { effect.label } else { nil } }
        #expect(
            labels.suffix(4)
                == [
                    "persist aborted + playable", "report source aborted", "tell returned handoff.timeout",
                    "send abort",
                ])
        #expect(pair.atAlpha(accept).labels == ["send abort"])
    }

    @Test("an answer after the deadline is too late even before the clock was looked at")
    func lateAnswer() throws {
        let pair = try Pair()
        let offer = try #require(try pair.depart().frames.first)
        let accept = try #require(pair.atBeta(offer).frames.first)
        let late = Now(
            instant: pair.now.instant + Limits.acceptTimeout, timestamp: pair.now.timestamp + Limits.acceptTimeout)
        #expect(pair.alpha.node.receive(accept, on: pair.toBeta, at: late).labels == ["report refused handoff.timeout"])
        #expect(pair.alpha.node.tick(at: late).frames.contains(.abort(HandoffSamples.id(1))))
    }

    @Test("a source that comes back while nothing was decided lets the player go on at once")
    func restartPrepared() throws {
        let pair = try Pair()
        _ = try pair.depart()
        pair.federation.crash(pair.alpha)
        try pair.federation.restart(pair.alpha)
        #expect(pair.alpha.player(Self.ada)?.presence == .departing(HandoffSamples.id(1)))
        #expect(pair.alpha.node.nextDeadline == pair.now.instant)
        let effects = pair.alpha.node.tick(at: pair.now)
        #expect(effects.labels.first == "persist aborted + playable")
        pair.alpha.enqueue(effects)
        #expect(pair.alpha.player(Self.ada)?.presence == .playable)
        try pair.federation.heal()
        try pair.federation.checkRest()
    }

    // MARK: After the decision

    @Test(
        "a destination that lost the reservation is offered the player again; any other refusal waits for the next time"
    )
    func rejectedAfterCommit() throws {
        let pair = try Pair()
        _ = try pair.committed()
        func reject(_ code: String) -> [String] {
            let rejection = FederationFrame.HandoffRejection(
                handoff: HandoffSamples.id(1), code: code, reason: "a reason")
            return pair.atAlpha(.reject(rejection)).labels
        }
        #expect(reject("handoff.unknown") == ["send offer"])
        // Two servers that answer each other at once would never stop.
        #expect(reject("world.unknown") == ["report refused world.unknown"])
        #expect(reject("handoff.aborted") == ["report refused handoff.aborted"])
        #expect(pair.alpha.node.ledger.record(HandoffSamples.id(1))?.state == .committed)
        #expect(pair.alpha.player(Self.ada)?.presence == .departed(to: pair.beta.id, HandoffSamples.id(1)))
    }

    @Test("a destination that comes back without its reservation gets the player after all")
    func lostReservation() throws {
        let pair = try Pair()
        let storeBefore = pair.beta.store
        let commit = try pair.committed()
        // Beta's disk has never heard of the handoff.
        pair.federation.crash(pair.beta)
        pair.beta.store = storeBefore
        try pair.federation.restart(pair.beta)
        try pair.federation.connect(pair.alpha, pair.beta)
        let channel = try #require(pair.beta.channel(to: pair.alpha))
        #expect(pair.beta.node.receive(commit, on: channel, at: pair.now).labels == ["send reject handoff.unknown"])
        try pair.federation.settle()
        #expect(pair.beta.player(Self.ada)?.presence == .playable)
        #expect(pair.alpha.store.handoffs[HandoffSamples.id(1)]?.state == .completed)
    }

    @Test("an offer that cannot be taken is answered once, not for ever")
    func noLoop() throws {
        let pair = try Pair()
        pair.alpha.enqueue(try pair.depart())
        // Somebody else's reservation of the same player is in the way, and the decision is made all the same.
        pair.alpha.enqueue(pair.atAlpha(.accept(HandoffSamples.id(1))))
        pair.beta.node.worlds[TestFederation.worldID(of: pair.beta.id)] = nil
        // Comes to rest, or the harness says that it does not.
        try pair.federation.settle()
        #expect(pair.alpha.node.ledger.record(HandoffSamples.id(1))?.state == .committed)
        pair.beta.enqueue(pair.beta.node.addWorld(TestFederation.world(of: pair.beta.id), at: pair.now))
        try pair.federation.heal()
        #expect(pair.federation.playable(Self.ada) == [pair.beta.id])
    }

    @Test("what is decided survives that the destination is removed as a peer, and goes on when it is one again")
    func peerRemovedWhileCommitted() throws {
        let pair = try Pair()
        _ = try pair.committed()
        let removed = try pair.alpha.node.removePeer(pair.beta.id, at: pair.now)
        #expect(!removed.labels.contains { $0.contains("aborted") })
        pair.alpha.enqueue(removed)
        try pair.federation.settle()
        pair.federation.advance(by: .seconds(300))
        try pair.federation.settle()
        #expect(pair.alpha.node.ledger.record(HandoffSamples.id(1))?.state == .committed)
        #expect(pair.federation.playable(Self.ada).isEmpty)
        let card = try #require(pair.beta.card)
        pair.alpha.enqueue(try pair.alpha.node.addPeer(card, at: pair.now).effects)
        try pair.federation.heal()
        #expect(pair.federation.playable(Self.ada) == [pair.beta.id])
        try pair.federation.checkRest()
    }

    @Test(
        "a player who was only offered goes on at once when the destination is removed or suspended",
        arguments: [true, false])
    func cutOffWhilePrepared(_ isRemoved: Bool) throws {
        let pair = try Pair()
        _ = try pair.depart()
        let effects =
            isRemoved
            ? try pair.alpha.node.removePeer(pair.beta.id, at: pair.now)
            : try pair.alpha.node.suspend(pair.beta.id, reason: "a test", at: pair.now)
        let code = isRemoved ? "destination.untrusted" : "destination.suspended"
        #expect(
            effects.labels == [
                isRemoved ? "persist no peer beta + beta offline" : "persist beta suspended",
                "persist aborted + playable", "report source aborted", "tell returned \(code)", "send abort",
                "hang up beta", "close suspended", "report channel of beta closed",
            ] + (isRemoved ? ["persist no introduction of gamma by beta"] : []))
        #expect(pair.alpha.player(Self.ada)?.presence == .playable)
    }

    // MARK: Questions

    @Test("a destination that asks is told what the ledger says, and no more than is durable")
    func query() throws {
        let pair = try Pair()
        func ask(_ id: UInt8 = 1) -> [String] { pair.atAlpha(.query(HandoffSamples.id(id))).labels }
        #expect(ask(9) == ["send verdict aborted"])
        let offer = try #require(try pair.depart().frames.first)
        #expect(ask() == ["send verdict undecided"])
        _ = pair.atBeta(offer)
        let commit = try #require(pair.atAlpha(.accept(HandoffSamples.id(1))).frames.first)
        #expect(ask() == ["send verdict committed"])
        // Nobody else is told anything.
        let third = pair.federation.node("gamma")
        let toThird = try #require(pair.alpha.channel(to: third))
        #expect(
            pair.alpha.node.receive(.query(HandoffSamples.id(1)), on: toThird, at: pair.now).labels
                == ["send verdict aborted"])
        let admitted = try #require(pair.atBeta(commit).frames.first)
        _ = pair.atAlpha(admitted)
        #expect(ask() == ["send verdict committed"])
    }

    @Test("a reservation does as the answer says", arguments: ["undecided", "committed", "aborted"])
    func verdict(_ answer: String) throws {
        let pair = try Pair()
        let commit = try pair.committed()
        guard case .commit(let message) = commit else { throw Violation("not a commit") }
        let decision: FederationFrame.HandoffVerdict.Decision =
            switch answer {
            case "undecided": .undecided
            case "committed": .committed(token: message.token)
            default: .aborted
            }
        let verdict = FederationFrame.HandoffVerdict(handoff: HandoffSamples.id(1), decision: decision)
        let expected: [String] =
            switch answer {
            case "undecided": []
            case "committed":
                [
                    "persist admitted + playable + passage", "report destination admitted", "tell admitted",
                    "send admitted",
                ]
            default: ["persist aborted", "report destination aborted", "tell withdrawn"]
            }
        #expect(pair.atBeta(.verdict(verdict)).labels == expected)
        // Told again that it is committed, it says again that the player is here.
        #expect(pair.atBeta(.verdict(verdict)).labels == (answer == "committed" ? ["send admitted"] : []))
        // A verdict on what was never reserved, and one by somebody whom it does not concern.
        let stranger = FederationFrame.HandoffVerdict(handoff: HandoffSamples.id(7), decision: decision)
        #expect(pair.atBeta(.verdict(stranger)).labels == [])
    }

    @Test("only the source speaks of its handoff")
    func thirdParty() throws {
        let pair = try Pair()
        let commit = try pair.committed()
        let third = pair.federation.node("gamma")
        let atBeta = try #require(pair.beta.channel(to: third))
        let atAlpha = try #require(pair.alpha.channel(to: third))
        func betaHears(_ frame: FederationFrame) -> [String] {
            pair.beta.node.receive(frame, on: atBeta, at: pair.now).labels
        }
        #expect(betaHears(commit) == ["send reject handoff.unknown"])
        #expect(betaHears(.abort(HandoffSamples.id(1))) == [])
        #expect(
            betaHears(.verdict(FederationFrame.HandoffVerdict(handoff: HandoffSamples.id(1), decision: .aborted))) == []
        )
        #expect(pair.beta.node.ledger.record(HandoffSamples.id(1))?.state == .reserved)
        #expect(
            pair.alpha.node.receive(.accept(HandoffSamples.id(1)), on: atAlpha, at: pair.now).labels == ["send abort"])
        let rejection = FederationFrame.HandoffRejection(handoff: HandoffSamples.id(1), code: "a.b", reason: "")
        #expect(
            pair.alpha.node.receive(.reject(rejection), on: atAlpha, at: pair.now).labels
                == ["report refused handoff.unknown"])
        #expect(pair.alpha.node.ledger.record(HandoffSamples.id(1))?.state == .committed)
    }

    @Test("a receipt that is not the destination's completes nothing")
    func forgedReceipt() throws {
        let pair = try Pair()
        let admitted = try #require(pair.atBeta(try pair.committed()).frames.first)
        guard case .admitted(let message) = admitted else { throw Violation("not a receipt") }
        for receipt in ["a.b.c", String(message.receipt.dropLast(4)) + "AAAA"] {
            let forged = FederationFrame.HandoffAdmitted(handoff: message.handoff, receipt: receipt)
            #expect(pair.atAlpha(.admitted(forged)).labels == ["report refused receipt.invalid"])
        }
        let another = FederationFrame.HandoffAdmitted(handoff: HandoffSamples.id(2), receipt: message.receipt)
        #expect(pair.atAlpha(.admitted(another)).labels == ["report refused receipt.invalid"])
        #expect(pair.alpha.node.ledger.record(message.handoff)?.state == .committed)
    }

    // MARK: Clocks

    @Test(
        "a clock that was set wrong after the offer does not keep a decided player out", arguments: [-86_400, 86_400])
    func clockJumps(_ seconds: Int) throws {
        let pair = try Pair()
        let commit = try pair.committed()
        pair.beta.clockOffset = .seconds(seconds)
        let effects = pair.beta.node.receive(commit, on: pair.toAlpha, at: pair.federation.now(of: pair.beta))
        #expect(effects.labels.first == "persist admitted + playable + passage")
    }

    @Test("two clocks that differ by minutes agree on what an offer's time means", arguments: [-200, 200])
    func clockOffset(_ seconds: Int) throws {
        let pair = try Pair()
        pair.beta.clockOffset = .seconds(seconds)
        pair.federation.close(try #require(pair.federation.wire(pair.alpha, pair.beta)))
        try pair.federation.connect(pair.alpha, pair.beta)
        let id = try pair.federation.depart(Self.ada, from: pair.alpha, to: pair.beta.id)
        try pair.federation.settle()
        #expect(pair.federation.playable(Self.ada) == [pair.beta.id])
        try pair.federation.redeem(id, at: pair.beta)
    }
}
