import FederationCore
import FederationCrypto
import FederationModel
import FederationWire
import Logging
import ServiceTestKit
import Synchronization
import TestKit
import Testing

@testable import FederationHTTP
@testable import FederationService

/// Cards that are expired, replayed, forged, somebody else's or under an id that looks like another: by whichever way one comes,
/// it is refused with its code, and nothing of it is kept.
@Suite("Cards that are not in order", .timeLimit(.minutes(2 * patience)))
struct BadCardTests {
    /// A card that must be refused, and how.
    struct Bad: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let status: Int
        let code: String
        let body: @Sendable (StubCards) throws -> String

        init(
            _ description: String, _ status: Int, _ code: String,
            _ body: @escaping @Sendable (StubCards) throws -> String
        ) {
            testDescription = description
            self.status = status
            self.code = code
            self.body = body
        }

        /// Refused although the address answers as it should.
        init(
            answering description: String, _ status: Int, _ code: String, id: String = "gamma", key: String? = nil,
            _ change: @escaping @Sendable (inout Stranger) throws -> Void = { _ in }
        ) {
            self.init(description, status, code) { cards in
                var stranger = try Stranger(id, key: key)
                // Newer than what is known where its server is known.
                stranger.sequence = 2
                try change(&stranger)
                for endpoint in stranger.endpoints { cards.serve(stranger.card, at: endpoint) }
                return stranger.card
            }
        }
    }

    static let bad: [Bad] =
        [
            Bad(answering: "expired", 422, "card.refused") {
                $0.lifetime = .seconds(1); $0.issued = $0.issued + .seconds(-600)
            },
            Bad(answering: "from the future", 422, "card.refused") { $0.issued = $0.issued + .seconds(400) },
            Bad(answering: "valid for a century", 422, "card.refused") {
                $0.lifetime = .seconds(100 * 365 * 24 * 3_600)
            },
            Bad(answering: "valid for a second too long", 422, "card.refused") {
                $0.lifetime = Limits.serverCardLifetime + .seconds(1)
            },
            Bad("oversized", 413, "body.tooLarge") { _ in String(repeating: "a", count: Limits.jwsBytes + 300) },
            Bad("not a statement", 422, "card.refused") { _ in "a.b.c" },
            Bad("signed by another key than the one it names", 422, "card.refused") { _ in
                let honest = try Stranger("gamma").card.split(separator: ".")
                let other = try Stranger("gamma", key: "thief").card.split(separator: ".")
                return "\(honest[0]).\(honest[1]).\(other[2])"
            },
            Bad("another statement of the same server", 422, "card.refused") { _ in
                try Stranger("gamma").heartbeat(1, at: ManualClock.start)
            },
            Bad(answering: "an id that belongs to another key", 409, "server.keyMismatch", id: "beta", key: "thief") {
                $0.sequence = 100
            },
            Bad(answering: "an older card", 409, "server.alreadyRegistered", id: "beta") { $0.sequence = 4 },
            Bad(answering: "the same number with other content", 409, "card.equivocation", id: "beta") {
                $0.sequence = 5
                $0.name = "Another"
            },
            Bad("the same number and an address where nothing answers", 409, "card.equivocation") { _ in
                var beta = try Stranger("beta")
                beta.sequence = 5
                return beta.card
            },
            Bad(answering: "a rotation to a key that was not committed to", 409, "key.notCommitted", id: "beta") {
                $0.sequence = 5
                try $0.rotate(to: "thief")
            },
            Bad(answering: "the registry's own id", 409, "server.self", id: "registry", key: "thief"),
            Bad(answering: "an address that nobody can reach", 422, "server.invalidEndpoint") {
                $0.endpoints = [Endpoint("ws://0.0.0.0:7700")].compactMap(\.self)
            },
            Bad("an address where nothing answers", 409, "endpoint.unproven") { _ in try Stranger("gamma").card },
            Bad("an address where another server answers", 409, "endpoint.unproven") { cards in
                let gamma = try Stranger("gamma")
                cards.serve(try Stranger("delta").card, at: gamma.endpoints[0])
                return gamma.card
            },
            Bad("an address where the same id answers with another key", 409, "endpoint.unproven") { cards in
                let gamma = try Stranger("gamma")
                cards.serve(try Stranger("gamma", key: "other").card, at: gamma.endpoints[0])
                return gamma.card
            },
            Bad("a second address that is somebody else's", 409, "endpoint.unproven") { cards in
                var gamma = try Stranger("gamma")
                gamma.endpoints.append(try Stranger.endpoint(7_800))
                cards.serve(gamma.card, at: gamma.endpoints[0])
                return gamma.card
            },
            Bad("a card that answers and does not name the address", 409, "endpoint.unproven") { cards in
                var gamma = try Stranger("gamma")
                let moved = gamma.endpoints[0]
                gamma.endpoints = [try Stranger.endpoint(7_901)]
                cards.serve(gamma.card, at: moved)
                gamma.endpoints = [moved]
                return gamma.card
            },
        ]
        // Ids that look like "beta", which is taken, or like nothing else.
        + ["Beta", "BETA", "b\u{435}ta", "beta.", ".beta", "be..ta", "beta ", "\u{FF42}eta", "be\u{AD}ta", "", "-beta"]
        .map {
            Bad(answering: "the look-alike id '\($0)'", 422, "card.refused", id: $0)
        }

    /// By which way a card comes to a server.
    enum Way: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case stranger = "a stranger registers it"
        case `operator` = "the operator registers it"
        case peer = "the operator adds it as a peer"

        var testDescription: String { rawValue }

        func submit(_ card: String, to server: TestServer) async throws -> Answer {
            switch self {
            case .stranger: try await server.request("POST", "/v1/servers", as: .stranger, jws: card)
            case .operator: try await server.request("POST", "/v1/servers", jws: card)
            case .peer: try await server.request("POST", "/v1/peers", jws: card)
            }
        }
    }

    /// Runs a registry that knows beta by its fifth card, and is otherwise empty.
    private func registry(
        _ cards: StubCards, access: FederationRoutes.RegistryAccess, logger: Logger = TestServer.quiet,
        _ body: @escaping @Sendable (TestServer, Stranger) async throws -> Void
    ) async throws {
        try await TestServer.run("registry", registryAccess: access, cards: cards, logger: logger) {
            registry async throws in
            var beta = try Stranger("beta", port: 7_800)
            beta.sequence = 5
            cards.serve(beta.card, at: beta.endpoints[0])
            _ = try await registry.server.register(beta.card)
            try await body(registry, beta)
        }
    }

    /// What must not change.
    private static func expectUnchanged(
        _ after: StoredState, _ before: StoredState, _ sample: Bad, _ location: SourceLocation = #_sourceLocation
    ) {
        #expect(after.servers == before.servers && after.cards == before.cards, sourceLocation: location)
        #expect(after.bindings == before.bindings && after.tombstones == before.tombstones, sourceLocation: location)
        #expect(after.peers == before.peers && after.listings == before.listings, sourceLocation: location)
        #expect(after.logHashes == before.logHashes, sourceLocation: location)
        // Two cards that contradict each other are the one thing that is kept: as evidence.
        #expect(after.equivocations.isEmpty == (sample.code != "card.equivocation"), sourceLocation: location)
    }

    /// Those that are wrong whoever reads them. At the addresses in a card asks the registry where a stranger registers; for
    /// others the handshake proves who is there.
    static let wrongForAll = bad.filter { $0.code != "endpoint.unproven" }

    static let submissions: [(Bad, Way)] =
        bad.map { ($0, .stranger) } + wrongForAll.flatMap { [($0, .operator), ($0, .peer)] }

    @Test("are refused with a code, and nothing is stored", arguments: submissions)
    func refused(_ sample: Bad, _ way: Way) async throws {
        let cards = StubCards()
        try await registry(cards, access: way == .stranger ? .signed : .admin) { registry, _ in
            // Whoever would be let in, would be a peer at once.
            let lenient = TrustPolicy(registryListed: .all, firstUse: .all)
            try await registry.server.setPolicy(lenient)
            _ = try await registry.server.addRoute(
                PortalID(unchecked: "gate"), to: ServerID(unchecked: "gamma"), world: WorldID(unchecked: "w"),
                spawn: nil, isActive: true)
            let before = try await registry.store.load()
            let answer = try await way.submit(try sample.body(cards), to: registry)
            #expect(answer.status == sample.status && answer.code == sample.code, "\(answer)")
            Self.expectUnchanged(try await registry.store.load(), before, sample)
        }
    }

    @Test("are not believed when a trusted peer passes them on", arguments: wrongForAll)
    func noticed(_ sample: Bad) async throws {
        let cards = StubCards()
        try await registry(cards, access: .signed) { registry, _ in
            try await TestServer.run("alpha", clock: registry.clock) { alpha async throws in
                let (link, before) = try await Self.connect(registry, alpha)
                try await Self.deliver(
                    .notice(.card(try sample.body(cards))), over: link, thenBeat: 900,
                    at: registry.clock.now().timestamp)
                Self.expectUnchanged(try await registry.store.load(), before, sample)
            }
        }
    }

    /// What is reported of a card that comes along with introductions; nil when nothing is said of it: what is older is passed
    /// over, and what contradicts itself is evidence.
    private static func reported(_ sample: Bad) -> String? {
        switch sample.code {
        case "server.alreadyRegistered", "card.equivocation": nil
        case "card.refused", "body.tooLarge", "server.self": "introduction.cardRefused"
        default: sample.code
        }
    }

    /// The codes with which a server has refused what peers had sent.
    private static func refusals(in log: String) -> [String] {
        log.split(separator: "\n").filter { $0.contains(" refused a frame of ") || $0.contains(" refused what ") }
            .compactMap { line in
                line.split(separator: " ").first { $0.hasPrefix("code=") }.map { String($0.dropFirst("code=".count)) }
            }
    }

    /// Opens a channel between both, and waits until the first knows that the second is there.
    ///
    /// - Returns: also what the first has stored then.
    private static func connect(
        _ first: TestServer, _ second: TestServer
    ) async throws -> (link: Link, before: StoredState) {
        let link = try await Link.connect(first.server, second.server)
        let deadline = ContinuousClock.now + .seconds(10 * patience)
        var before = try await first.store.load()
        while before.servers.first(where: { $0.id == second.id })?.status != .online {
            try #require(ContinuousClock.now < deadline, "the channel was not noticed")
            await Task.yield()
            before = try await first.store.load()
        }
        return (link, before)
    }

    /// The heartbeats that were answered.
    private final class Answered: Sendable {
        private let numbers = Mutex<Set<UInt64>>([])

        func note(_ number: UInt64) { numbers.withLock { _ = $0.insert(number) } }

        func contains(_ number: UInt64) -> Bool { numbers.withLock { $0.contains(number) } }
    }

    /// Hands a frame of the second server to the first, and waits until it is done with it.
    private static func deliver(
        _ frame: FederationFrame, over link: Link, thenBeat number: UInt64, at time: Timestamp
    ) async throws {
        let answered = Answered()
        link.there.decide { sent in
            if case .acknowledgement(let heartbeat) = sent { answered.note(heartbeat.sequence) }
            return .delivered
        }
        link.back.inject(frame)
        // What comes after it is answered when it is done with.
        link.back.inject(.heartbeat(.init(sequence: number, sentAt: time)))
        let deadline = ContinuousClock.now + .seconds(10 * patience)
        while !answered.contains(number) {
            try #require(ContinuousClock.now < deadline, "the heartbeat was not answered")
            await Task.yield()
        }
    }

    @Test("are not believed when they come with a trusted peer's introductions", arguments: wrongForAll)
    func introduced(_ sample: Bad) async throws {
        let (cards, log) = (StubCards(), LogCapture())
        // One that serves a registry takes no stranger's card so, but looks for it itself.
        try await registry(cards, access: .admin, logger: log.logger) { registry, _ in
            // Whoever is introduced is somebody to be known.
            try await registry.server.setPolicy(TrustPolicy(introducedBy: .init(count: 1, scopes: .all)))
            try await TestServer.run("alpha", clock: registry.clock) { alpha async throws in
                let (link, before) = try await Self.connect(registry, alpha)
                let now = registry.clock.now().timestamp
                func introduction(_ id: String, key: String) throws -> String {
                    Introduction(
                        issuer: alpha.id, subject: ServerID(unchecked: id),
                        key: try Stranger.identity(id, key).publicKey, endpoint: try Stranger.endpoint(7_650),
                        issuedAt: now, expiresAt: now + .seconds(3_600)
                    ).issue(by: alpha.identity)
                }
                // Of gamma it says what is true, so that nothing but what is wrong with a card speaks against it; what it says
                // of those that are known gives nothing.
                let statements = [
                    try introduction("beta", key: "thief"), try introduction("gamma", key: "gamma"),
                    try introduction("registry", key: "thief"),
                ]
                let wrong = FederationFrame.introductions(
                    .init(statements: statements, cards: [try sample.body(cards)]))
                try await Self.deliver(wrong, over: link, thenBeat: 900, at: now)
                #expect(Self.refusals(in: log.text) == [Self.reported(sample)].compactMap(\.self), "\(log.text)")
                Self.expectUnchanged(try await registry.store.load(), before, sample)
                // The right one, by the same way, is taken.
                let right = FederationFrame.introductions(
                    .init(statements: statements, cards: [try Stranger("gamma").card]))
                try await Self.deliver(right, over: link, thenBeat: 901, at: now)
                let known = try await registry.store.load().servers.map(\.id)
                #expect(known.contains(ServerID(unchecked: "gamma")), "\(log.text)")
            }
        }
    }

    @Test("are not believed where a server looks for the card of one that it knows", arguments: wrongForAll)
    func fetched(_ sample: Bad) async throws {
        let cards = StubCards()
        try await registry(cards, access: .admin) { registry, _ in
            // Older than what is found, so that nothing but what is wrong with that speaks against it.
            _ = try await registry.server.register(try Stranger("gamma").card)
            let before = try await registry.store.load()
            let (place, end) = (try Stranger.endpoint(7_650), try Stranger.endpoint(7_651))
            cards.serve(try sample.body(cards), at: place)
            for id in ["beta", "gamma"] {
                let asked = cards.asked
                await registry.server.fetchCard(of: ServerID(unchecked: id), at: [place, end])
                // It goes on to the next address once the first is of no use, and not before.
                let deadline = ContinuousClock.now + .seconds(10 * patience)
                while cards.asked < asked + 2 {
                    try #require(try await registry.store.load().cards == before.cards, "it was taken")
                    try #require(ContinuousClock.now < deadline, "the second address was not asked")
                    await Task.yield()
                }
                Self.expectUnchanged(try await registry.store.load(), before, sample)
            }
        }
    }

    @Test("are not believed when a registry lists them", arguments: wrongForAll)
    func listed(_ sample: Bad) async throws {
        let cards = StubCards()
        try await registry(cards, access: .signed) { registry, beta in
            try await TestServer.run("alpha", clock: registry.clock) { alpha async throws in
                cards.serve(
                    try #require(await alpha.server.card()?.compact), at: try #require(Endpoint("ws://127.0.0.1:7700")))
                let honest = RegistryClient(
                    server: alpha.server, addresses: [registry.address], link: TestLink(), clock: alpha.clock)
                try #require(await honest.round(registry.address))
                let before = try await alpha.store.load()
                #expect(before.servers.map(\.id.rawValue) == ["beta", "registry"])
                // The log has news of both ids, and the registry hands out the card as that of each.
                var newer = beta
                newer.sequence = 6
                _ = try await registry.server.register(newer.card)
                _ = try await registry.server.register(try Stranger("gamma", port: 7_801).card)
                let card = JSONValue.string(try sample.body(cards))
                let lying = RegistryClient(
                    server: alpha.server, addresses: [registry.address],
                    link: TestLink { _, json in
                        guard json["cards"] != nil else { return json }
                        return RegistryAuditTests.replacing(
                            "cards", with: .object(["beta": card, "gamma": card]), in: json)
                    }, clock: alpha.clock)
                alpha.clock.advance(by: .seconds(30))
                #expect(await lying.round(registry.address))
                let after = try await alpha.store.load()
                #expect(after.registries.map { $0.frontier.count } == [4], "the news were read")
                Self.expectUnchanged(after, before, sample)
                // No entry of its log names the card, and once the next head is read that is said.
                alpha.clock.advance(by: .seconds(30))
                #expect(await !lying.round(registry.address))
                let source = try #require(await alpha.server.sources().first)
                #expect(source.lastError?.code == "registry.unloggedCard" && source.fault == nil)
                Self.expectUnchanged(try await alpha.store.load(), before, sample)
            }
        }
    }
}
