import FederationCore
import FederationCrypto
import FederationModel
import ServiceTestKit
import TestKit
import Testing

@testable import FederationService

@Suite("Answering inquiries, and asking", .timeLimit(.minutes(patience)))
struct InquiryTests {
    /// Alpha asks beta. Beta has pinned alpha, unless a test says otherwise.
    private struct Scene {
        let alpha: TestServer
        let beta: TestServer
        let examiner = StubExaminer()
        var nonce: UInt8 = 0

        init(isPeer: Bool = true) async throws {
            let clock = ManualClock()
            alpha = try await TestServer.start("alpha", seed: 1, clock: clock)
            beta = try await TestServer.open("beta", seed: 2, clock: clock)
            try await beta.server.start(transport: beta.transport, examiner: examiner)
            let card = try #require(await alpha.server.card()?.compact)
            if isPeer { _ = try await beta.server.addPeer(card) }
            examiner.put(StubExaminer.Place(card: card), at: try Self.home)
        }

        static var home: Endpoint { get throws { try #require(Endpoint("ws://alpha.example")) } }

        mutating func inquiry(
            by identity: ServerIdentity? = nil, to audience: String = "beta", worlds: [String] = [],
            at offset: Duration = .zero
        ) throws -> Inquiry {
            nonce += 1
            return Inquiry(
                issuer: (identity ?? alpha.identity).id, audience: try #require(ServerID(audience)),
                nonce: [UInt8](repeating: nonce, count: 16), worlds: worlds.compactMap { WorldID($0) },
                issuedAt: alpha.clock.now().timestamp + offset)
        }

        /// What beta answers, or the code with which it refuses.
        func ask(_ inquiry: Inquiry, by identity: ServerIdentity? = nil) async throws -> Result<InquiryAnswer, Refusal>
        {
            let compact: String
            do throws(Refusal) {
                compact = try await beta.server.answer(inquiry: inquiry.issue(by: identity ?? alpha.identity))
            } catch {
                return .failure(error)
            }
            return .success(try InquiryAnswer.verify(compact, to: inquiry, key: beta.identity.publicKey))
        }

        /// The same where alpha is not found: the answer comes when the time for that is over, whatever was found.
        func askInVain(_ inquiry: Inquiry) async throws -> InquiryAnswer {
            async let answer = ask(inquiry)
            await beta.clock.sleeper(for: FederationServer.attemptTime)
            beta.clock.advance(by: FederationServer.attemptTime)
            return try await answer.get()
        }

        /// A card of alpha, newer than any other, that names this endpoint.
        func moved(to endpoint: String) throws -> String {
            let now = alpha.clock.now().timestamp
            return ServerCard(
                id: alpha.id, name: "Alpha", endpoint: try #require(Endpoint(endpoint)),
                publicKey: alpha.identity.publicKey, commitment: try alpha.keys.commitment(), sequence: 1 << 52,
                worlds: [], issued: now, expires: now + .seconds(86_400)
            ).issue(by: alpha.identity)
        }

        func code(_ inquiry: Inquiry, by identity: ServerIdentity? = nil) async throws -> String? {
            if case .failure(let refusal) = try await ask(inquiry, by: identity) { return refusal.code }
            return nil
        }
    }

    @Test("a peer is told how it stands, and whether it is reached where its card says; nothing else is tried")
    func answers() async throws {
        var scene = try await Scene()
        try await scene.beta.publish("harbour")
        let answer = try await scene.ask(try scene.inquiry(worlds: ["harbour", "moon"])).get()
        #expect(answer.standing.trust == "pinned" && answer.standing.refusal == nil)
        #expect(answer.standing.scopes == ["heartbeat", "route", "assets", "handoff"])
        #expect(answer.findings.map(\.check) == ["dns", "tcp", "upgrade", "card"])
        #expect(answer.findings.allSatisfy { $0.status == .ok }, "\(answer.findings)")
        #expect(answer.worlds.map { $0.refusal?.code } == [nil, "world.unknown"])
        #expect(
            scene.examiner.visited == [
                "card ws://alpha.example:7700 by choice", "probe ws://alpha.example:7700 at 192.0.2.1",
            ])
    }

    @Test("who is unknown, or does not hold the key, is told the same, and nobody is tried")
    func unknown() async throws {
        var scene = try await Scene(isPeer: false)
        let thief = try ServerIdentity(id: scene.alpha.id, seed: [UInt8](repeating: 9, count: 32))
        let first = try scene.inquiry()
        #expect(try await scene.code(first) == "inquiry.unknown")
        _ = try await scene.beta.server.register(try #require(await scene.alpha.server.card()?.compact))
        let second = try scene.inquiry()
        #expect(try await scene.code(second, by: thief) == "inquiry.unknown")
        // Known now, and no peer: it is told so, and not tried.
        let third = try scene.inquiry()
        let answer = try await scene.ask(third).get()
        #expect(answer.standing.refusal?.code == "peer.unknown" && answer.findings.isEmpty)
        #expect(scene.examiner.visited.isEmpty)
    }

    @Test("whoever is suspended or denied is told so, and not tried back")
    func excluded() async throws {
        var scene = try await Scene()
        _ = try await scene.beta.server.suspend(scene.alpha.id, reason: "a quarrel")
        let first = try scene.inquiry(worlds: ["harbour"])
        let suspended = try await scene.ask(first).get()
        #expect(suspended.standing.refusal?.code == "server.suspended")
        #expect(suspended.standing.refusal?.reason.contains("a quarrel") == true)
        #expect(suspended.worlds.first?.refusal?.code == "server.suspended")
        _ = try await scene.beta.server.reinstate(scene.alpha.id)
        var policy = TrustPolicy()
        policy.deny = [try #require(TrustPattern("id:alpha"))]
        try await scene.beta.server.setPolicy(policy)
        let second = try scene.inquiry()
        #expect(try await scene.ask(second).get().standing.refusal?.code == "policy.denied")
        #expect(scene.examiner.visited.isEmpty)
    }

    @Test("what is old, early, meant for others, repeated or not in order is refused by name")
    func refusals() async throws {
        var scene = try await Scene()
        let good = try scene.inquiry()
        #expect(try await scene.code(good) == nil)
        #expect(try await scene.code(good) == "inquiry.repeated")
        let old = try scene.inquiry(at: .seconds(-361))
        let early = try scene.inquiry(at: .seconds(301))
        let other = try scene.inquiry(to: "gamma")
        #expect(try await scene.code(old) == "inquiry.expired")
        #expect(try await scene.code(early) == "inquiry.expired")
        #expect(try await scene.code(other) == "inquiry.wrongAudience")
        await #expect(throws: Refusal.self) { try await scene.beta.server.answer(inquiry: "a.b.c") }
        // It is remembered for as long as it would be taken.
        scene.beta.clock.advance(by: .seconds(359))
        #expect(try await scene.code(good) == "inquiry.repeated")
    }

    @Test("one server is answered twenty times at once, and then once in six seconds")
    func bounded() async throws {
        var scene = try await Scene()
        for _ in 0..<Limits.inquiriesPerServer {
            let inquiry = try scene.inquiry()
            #expect(try await scene.code(inquiry) == nil)
        }
        let more = try scene.inquiry()
        #expect(try await scene.code(more) == "inquiry.tooMany")
        let visits = scene.examiner.visited.count
        scene.beta.clock.advance(by: Limits.inquiryPause)
        #expect(try await scene.code(more) == nil)
        let last = try scene.inquiry()
        #expect(try await scene.code(last) == "inquiry.tooMany")
        #expect(scene.examiner.visited.count == visits + 2)
    }

    @Test("all servers together are answered so many times at once, and then twice in a second")
    func boundedInAll() throws {
        var gate = InquiryGate()
        let clock = ManualClock()
        var number = 0
        func admit() throws -> String? {
            number += 1
            let server = try #require(ServerID("s\(number)"))
            do throws(Refusal) {
                try gate.admit("n", from: server, until: clock.now().timestamp + .seconds(10_000), at: clock.now())
                return nil
            } catch {
                return error.code
            }
        }
        for _ in 0..<Limits.inquiries { #expect(try admit() == nil) }
        #expect(try admit() == "inquiry.tooMany")
        clock.advance(by: Limits.inquiryPauseOfAll)
        #expect(try admit() == nil)
        #expect(try admit() == "inquiry.tooMany")
        // What is remembered is bounded as well, however slowly it comes, until it has expired.
        for _ in Limits.inquiries + 1..<Limits.rememberedInquiries {
            clock.advance(by: Limits.inquiryPauseOfAll)
            #expect(try admit() == nil)
        }
        clock.advance(by: Limits.inquiryPauseOfAll)
        #expect(try admit() == "inquiry.tooMany")
        clock.advance(by: .seconds(10_000))
        #expect(try admit() == nil)
    }

    @Test("unless its own card answers, a peer is told nothing of what is at an address, wherever that is")
    func noOracle() async throws {
        var scene = try await Scene()
        let other = try #require(await scene.beta.server.card()?.compact)
        for findings: [Finding] in [
            [.wrong("dns", "dns.unresolved", "no such name", "spell it")],
            [.ok("dns", "found"), .wrong("tcp", "tcp.refused", "closed", "open it")],
            [.ok("dns", "found"), .ok("tcp", "open"), .wrong("upgrade", "upgrade.refused", "HTTP 200", "look")],
        ] {
            for card in [nil, other, "a.b.c"] {
                scene.examiner.put(StubExaminer.Place(findings: findings, card: card), at: try Scene.home)
                let inquiry = try scene.inquiry()
                let told = try await scene.askInVain(inquiry).findings
                #expect(told.map { "\($0.check) \($0.code)" } == ["endpoint endpoint.unproven"], "\(told)")
                #expect(!"\(told)".contains("closed") && !"\(told)".contains("HTTP"))
            }
        }
        #expect(!scene.examiner.visited.contains { $0.hasPrefix("probe") })
    }

    @Test("where only the operator's word leads, a peer is told whether it was itself, and not what else is there")
    func noScan() async throws {
        for (card, isOwn) in [(true, true), (false, false)] {
            var scene = try await Scene()
            let shown = try #require(await (card ? scene.alpha : scene.beta).server.card()?.compact)
            for place in [
                StubExaminer.Place(card: shown, isPrivate: true),
                StubExaminer.Place(
                    findings: [.wrong("tcp", "tcp.refused", "closed", "open it")], card: isOwn ? shown : nil,
                    isPrivate: true),
            ] {
                scene.examiner.put(place, at: try Scene.home)
                let inquiry = try scene.inquiry()
                let findings = try await (isOwn ? scene.ask(inquiry).get() : scene.askInVain(inquiry)).findings
                #expect(findings.map(\.code) == [isOwn ? "ok" : "endpoint.unproven"], "\(findings)")
                #expect(findings.map(\.check) == ["endpoint"])
            }
        }
    }

    @Test("a peer is probed at the address that has shown its card, and not where its name leads a second time")
    func rebinding() async throws {
        var scene = try await Scene()
        let card = try #require(await scene.alpha.server.card()?.compact)
        let address = try #require(NetworkAddress("198.51.100.77"))
        scene.examiner.put(StubExaminer.Place(card: card, address: address), at: try Scene.home)
        let inquiry = try scene.inquiry()
        _ = try await scene.ask(inquiry).get()
        #expect(scene.examiner.visited.last == "probe ws://alpha.example:7700 at 198.51.100.77")
    }

    @Test(
        "of a place that nobody pinned a peer is told the same, and at the same time, when it was looked for too often")
    func busyIsNoOracle() async throws {
        var told: Set<String> = []
        for (isBusy, isPrivate) in [(true, false), (false, true), (false, false)] {
            var scene = try await Scene()
            let endpoint = try #require(Endpoint("ws://alpha.example:22"))
            let card = try scene.moved(to: "ws://alpha.example:22")
            _ = try await scene.beta.server.register(card)
            scene.examiner.put(
                StubExaminer.Place(card: isPrivate ? card : nil, isBusy: isBusy, isPrivate: isPrivate), at: endpoint)
            let inquiry = try scene.inquiry()
            let findings = try await scene.askInVain(inquiry).findings
            #expect(findings.map(\.code) == ["endpoint.unproven"])
            told.insert("\(findings)")
        }
        #expect(told.count == 1, "\(told)")
    }

    @Test("that this server has looked at too much is no word about a peer that is pinned there, and comes at once")
    func busy() async throws {
        var scene = try await Scene()
        scene.examiner.put(StubExaminer.Place(isBusy: true), at: try Scene.home)
        let inquiry = try scene.inquiry()
        let findings = try await scene.ask(inquiry).get().findings
        #expect(findings.map(\.code) == ["inquiry.busy"] && findings.map(\.status) == [.warning], "\(findings)")
    }

    /// Would fail if it were held against the peer, came late, or named the address, which may be known to the operator alone.
    @Test("that this server can ask nobody over TLS is no word about a peer, and comes at once, without an address")
    func blind() async throws {
        var scene = try await Scene()
        scene.examiner.put(StubExaminer.Place(isBlind: true), at: try Scene.home)
        let inquiry = try scene.inquiry()
        let findings = try await scene.ask(inquiry).get().findings
        #expect(findings.map(\.code) == ["tls.failed"] && findings.map(\.status) == [.warning], "\(findings)")
        #expect(!"\(findings)".contains("alpha.example"))
    }

    @Test(
        "where a pinned peer's later card leads is not the operator's choice, until the operator pins it there",
        arguments: ["ws://10.0.0.5:22", "ws://alpha.example:22", "ws://other.example:7700"])
    func moving(_ place: String) async throws {
        var scene = try await Scene()
        let beta = scene.beta.server
        let alpha = scene.alpha.id
        let endpoint = try #require(Endpoint(place))
        #expect(await beta.addressPolicy(for: alpha, at: try Scene.home) == nil)
        let secure = try #require(Endpoint("wss://alpha.example:7700"))
        #expect(await beta.addressPolicy(for: alpha, at: secure) == nil, "the same place over TLS")
        let card = try scene.moved(to: place)
        _ = try await beta.register(card)
        #expect(await beta.addressPolicy(for: alpha, at: endpoint) == .publicOnly)
        scene.examiner.put(StubExaminer.Place(card: card, isPrivate: true), at: endpoint)
        let first = try scene.inquiry()
        let told = try await scene.askInVain(first).findings
        #expect(told.map(\.code) == ["endpoint.unproven"], "\(told)")
        #expect(scene.examiner.visited == ["card \(endpoint)"])
        let own = try await beta.examine(alpha)
        #expect(own.findings.contains { $0.code == "address.moved" && $0.status == .wrong }, "\(own.findings)")
        // The operator's word again.
        _ = try await beta.addPeer(card)
        #expect(await beta.addressPolicy(for: alpha, at: endpoint) == nil)
        let second = try scene.inquiry()
        let again = try await scene.ask(second).get().findings
        #expect(again.map(\.code) == ["ok"], "\(again)")
    }

    @Test("two servers that examine each other at one time both come to an end")
    func bothAtOnce() async throws {
        let clock = ManualClock()
        let (one, other) = (StubExaminer(), StubExaminer())
        let alpha = try await TestServer.open("alpha", seed: 1, clock: clock)
        let beta = try await TestServer.open("beta", seed: 2, clock: clock)
        try await alpha.server.start(transport: alpha.transport, examiner: one)
        try await beta.server.start(transport: beta.transport, examiner: other)
        let link = try await Link.connect(alpha.server, beta.server)
        let cards = (await alpha.server.card()?.compact, await beta.server.card()?.compact)
        // What each asks reaches the other only when both have asked.
        let meeting = Meeting(of: 2)
        let (first, second) = (alpha.server, beta.server)
        func place(_ card: String?, _ server: FederationServer) -> StubExaminer.Place {
            StubExaminer.Place(card: card) { inquiry throws(Refusal) in
                await meeting.arrive()
                return try await server.answer(inquiry: inquiry)
            }
        }
        one.put(place(cards.1, second), at: try #require(Endpoint("ws://beta.example")))
        other.put(place(cards.0, first), at: try #require(Endpoint("ws://alpha.example")))
        async let there = first.examine(beta.id)
        async let back = second.examine(alpha.id)
        for examination in [try await there, try await back] {
            let found = examination.findings
            #expect(found.contains { $0.check == "asked" && $0.status == .ok }, "\(found)")
            #expect(found.contains { $0.check == "back.card" && $0.status == .ok }, "\(found)")
        }
        await link.close()
    }

    @Test("a dry run asks for the manifest and the files as a crossing would, keeps nothing, and names what is missing")
    func dryRun() async throws {
        let pair = try await TestPair.make(files: ["a": [1, 2, 3], "b": [4, 5]])
        let (alpha, forest) = (pair.alpha, WorldID(unchecked: "forest"))
        let before = try await alpha.assets.list()
        let first = await alpha.server.dryRun(of: forest, at: pair.beta.id)
        #expect(first.status == .ok && first.found.hasPrefix("0 of 2 files"), "\(first)")
        #expect(try await alpha.assets.list() == before)
        try await pair.cross()
        let second = await alpha.server.dryRun(of: forest, at: pair.beta.id)
        #expect(second.status == .ok && second.found.hasSuffix("2 of its 2 files are here"), "\(second)")
        let unknown = await alpha.server.dryRun(of: WorldID(unchecked: "moon"), at: pair.beta.id)
        #expect(unknown.status == .wrong && unknown.code == "world.unknown", "\(unknown)")
        // A file that its owner has lost.
        let lost = try await pair.beta.publish("ruin", ["c": [9]])
        try await pair.beta.assets.remove(.of([9]))
        let ruin = await alpha.server.dryRun(of: lost.world, at: pair.beta.id)
        #expect(ruin.status == .wrong && ruin.code.hasPrefix("asset."), "\(ruin)")
        await pair.link.close()
        let apart = await alpha.server.dryRun(of: forest, at: pair.beta.id)
        #expect(apart.status == .warning && apart.code == "assets.untried", "\(apart)")
    }

    // MARK: Asking

    /// Alpha's own examination of beta, at whose address this stands.
    private func examine(_ place: (Scene) async throws -> StubExaminer.Place) async throws -> Examination {
        let scene = try await Scene()
        let clock = ManualClock()
        let asker = try await TestServer.open("asker", seed: 3, clock: clock)
        let examiner = StubExaminer()
        try await asker.server.start(transport: asker.transport, examiner: examiner)
        _ = try await asker.server.addPeer(try #require(await scene.beta.server.card()?.compact))
        examiner.put(try await place(scene), at: try #require(Endpoint("ws://beta.example")))
        return try await asker.server.examine(scene.beta.id)
    }

    @Test("a peer that takes no inquiries is a warning, and nothing else is wrong for that")
    func olderPeer() async throws {
        let found = try await examine { StubExaminer.Place(card: try #require(await $0.beta.server.card()?.compact)) }
        let asked = try #require(found.findings.first { $0.check == "asked" })
        #expect(asked.status == .warning && asked.code == "inquiry.notTaken" && asked.remedy != nil)
        #expect(found.findings.first { $0.check == "card" }?.status == .ok, "\(found.findings)")
    }

    /// Beta's place, with an answer by whoever holds these keys, as if it were beta's.
    private static func place(
        _ scene: Scene, by identity: ServerIdentity, versions: ProtocolVersions = .current, suites: [UInt16] = [1]
    ) async throws -> StubExaminer.Place {
        let card = try #require(await scene.beta.server.card()?.compact)
        let asker = try ServerIdentity(
            id: try #require(ServerID("asker")), seed: [UInt8](repeating: 3, count: ServerIdentity.seedBytes))
        return StubExaminer.Place(card: card) { compact throws(Refusal) in
            guard
                let asked = try? Inquiry.verify(
                    compact, issuer: asker.id, key: asker.publicKey, audience: identity.id, at: ManualClock.start)
            else { return "" }
            return InquiryAnswer(
                to: asked, at: asked.issuedAt, sequence: 1, versions: versions, suites: suites,
                standing: .init(trust: "pinned"), findings: [], worlds: []
            ).issue(by: identity)
        }
    }

    @Test("a peer without a version or a suite in common is named as that")
    func nothingInCommon() async throws {
        let cases: [(versions: ProtocolVersions, suites: [UInt16], code: String)] = [
            (.current, CipherSuite.allCases.map(\.rawValue), "ok"), (.current, [0x7FFF], "suites.none"),
            (.current, [], "suites.none"),
            (try #require(ProtocolVersions(minimum: 200, maximum: 201)), [1], "versions.none"),
        ]
        for (versions, suites, code) in cases {
            let found = try await examine {
                try await Self.place($0, by: $0.beta.identity, versions: versions, suites: suites)
            }
            let finding = try #require(found.findings.first { $0.check == "suites" }, "\(found.findings)")
            #expect(finding.code == code && finding.status == (code == "ok" ? .ok : .wrong), "\(code): \(finding)")
        }
    }

    @Test("an answer that is not signed by the peer is wrong, whatever it says")
    func forged() async throws {
        let found = try await examine { scene in
            let thief = try ServerIdentity(id: scene.beta.id, seed: [UInt8](repeating: 9, count: 32))
            return try await Self.place(scene, by: thief)
        }
        #expect(found.findings.first { $0.check == "asked" }?.code == "inquiry.forged", "\(found.findings)")
    }

    @Test("a card that has expired, or is nobody's, is wrong")
    func cards() async throws {
        for (age, expected) in [(Duration.seconds(-100), "card.expired"), (.seconds(10_000), "card.notYetValid")] {
            let found = try await examine { scene in
                let issued = ManualClock.start + age
                let card = ServerCard(
                    id: scene.beta.id, name: "Beta", endpoint: try #require(Endpoint("ws://beta.example")),
                    publicKey: scene.beta.identity.publicKey, sequence: .max >> 12, worlds: [], issued: issued,
                    expires: issued + .seconds(50))
                return StubExaminer.Place(card: card.issue(by: scene.beta.identity))
            }
            #expect(found.findings.first { $0.check == "card" }?.code == expected, "\(found.findings)")
        }
        let garbage = try await examine { _ in StubExaminer.Place(card: "a.b.c") }
        #expect(garbage.findings.first { $0.check == "card" }?.code == "card.refused", "\(garbage.findings)")
    }
}
