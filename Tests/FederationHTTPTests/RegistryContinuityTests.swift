import FederationCore
import FederationCrypto
import FederationModel
import ServiceTestKit
import Synchronization
import TestKit
import Testing

@testable import FederationHTTP
@testable import FederationService

/// What is held against a registry for good, and what is only refused: the latter may be the work of whoever stands in between.
@Suite("A registry whose log does not go on as it should", .timeLimit(.minutes(2 * patience)))
struct RegistryContinuityTests {
    private static let address = ScriptedRegistry.address
    private static let s0 = ServerID(unchecked: "s0")
    private static let body = #"{"address":"\#(address)"}"#

    private func client(of server: TestServer, _ registry: ScriptedRegistry) -> RegistryClient {
        RegistryClient(server: server.server, addresses: [Self.address], link: registry, clock: server.clock)
    }

    private func source(_ server: TestServer) async throws -> RegistrySource {
        try #require(await server.server.sources().first { $0.address == Self.address })
    }

    private func isListed(_ id: String, at server: TestServer) async -> Bool {
        await server.server.registries(listing: ServerID(unchecked: id)) == [Self.address]
    }

    private func gauges(_ server: TestServer, faulty: Int, failing: Int) async throws {
        let metrics = try await server.request("GET", "/metrics").text
        for (gauge, value) in [("aether_registry_faulty", faulty), ("aether_registry_failing", failing)] {
            #expect(metrics.contains("\(gauge){registry=\"\(Self.address)\"} \(value)"), "\(metrics)")
        }
    }

    /// Something that a registry need not have signed now, with the code that it is refused with.
    enum Lie: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case olderHead = "registry.olderHead"
        case spoiltProof = "registry.unproven"
        case unloggedCard = "registry.unloggedCard"

        var testDescription: String { rawValue }
    }

    @Test(
        "is refused, and nothing more, while it shows what it has not signed or has signed before",
        arguments: Lie.allCases
    )
    func refused(_ lie: Lie) async throws {
        try await TestServer.run { alpha async throws in
            try await alpha.server.setPolicy(TrustPolicy(registryListed: .all))
            _ = try await alpha.server.addRoute(
                PortalID(unchecked: "gate"), to: Self.s0, world: WorldID(unchecked: "w"), spawn: nil, isActive: true)
            let registry = try ScriptedRegistry(["s0", "s1", "s2"])
            let client = client(of: alpha, registry)
            try #require(await client.round(Self.address))
            let before = try await source(alpha)
            try registry.list(["s0", "s1", "s2", "s3"])
            let forged = try Stranger("s3", key: "thief").card
            registry.change {
                switch lie {
                case .olderHead: $0.shown = 1
                case .spoiltProof: $0.spoilsProofs = true
                case .unloggedCard: $0.forged[ServerID(unchecked: "s3")] = forged
                }
            }
            if lie == .unloggedCard {
                alpha.clock.advance(by: .seconds(30))
                #expect(await client.round(Self.address), "the card may be newer than the head")
            }
            // It lasts for as long as the lie, and no longer.
            for _ in 0..<3 {
                alpha.clock.advance(by: .seconds(30))
                #expect(await !client.round(Self.address))
                let refused = try await source(alpha)
                #expect(refused.lastError?.code == lie.rawValue && refused.fault == nil)
                #expect(refused.servers == 3 && (lie == .unloggedCard || refused.head == before.head))
                #expect(await alpha.server.isPeer(Self.s0), "trust goes on")
                #expect(await alpha.server.binding(of: ServerID(unchecked: "s3")) == nil)
            }
            try await gauges(alpha, faulty: 0, failing: 1)
            registry.change {
                $0.shown = nil
                $0.spoilsProofs = false
                $0.forged = [:]
            }
            alpha.clock.advance(by: .seconds(30))
            #expect(await client.round(Self.address))
            #expect(try await source(alpha).lastError == nil)
            #expect(await isListed("s3", at: alpha))
            try await gauges(alpha, faulty: 0, failing: 0)
        }
    }

    @Test(
        "is refused while its log does not continue the one that was read, whichever key signs it, until it is readmitted",
        arguments: [false, true])
    func rewritten(isRotated: Bool) async throws {
        try await TestServer.run { alpha async throws in
            let registry = try ScriptedRegistry(["s0", "s1"])
            let client = client(of: alpha, registry)
            try #require(await client.round(Self.address))
            let before = try await source(alpha)
            if isRotated { try registry.change { try $0.identity.rotate(to: "second") } }
            try registry.list(["x0", "x1", "x2"])
            for _ in 0..<3 {
                alpha.clock.advance(by: .seconds(30))
                #expect(await !client.round(Self.address))
                let refused = try await source(alpha)
                #expect(refused.lastError?.code == "registry.unproven" && refused.fault == nil)
                #expect(refused.head == before.head && refused.servers == 2 && refused.read == 2)
                #expect(await !isListed("x0", at: alpha))
            }
            #expect(try await alpha.request("POST", "/v1/registries/readmit", json: Self.body).status == 204)
            let readmitted = try await source(alpha)
            #expect(readmitted.servers == 0 && readmitted.lastError == nil && readmitted.isRegistered)
            alpha.clock.advance(by: .seconds(30))
            #expect(await client.round(Self.address))
            let after = try await source(alpha)
            #expect(after.servers == 3 && after.isRegistered)
            #expect(await isListed("x0", at: alpha))
            #expect(await !isListed("s0", at: alpha))
            // There is nothing to readmit any more.
            let again = try await alpha.request("POST", "/v1/registries/readmit", json: Self.body)
            #expect(again.status == 404 && again.code == "registry.notFaulty")
        }
    }

    /// A registry beside which something happens in the middle of a round, once.
    private final class Interrupted: RegistryLink {
        private let registry: ScriptedRegistry
        /// What is asked for when it happens.
        private let path: String
        private let happen: @Sendable () async throws(Refusal) -> Void
        private let isDue = Mutex(true)

        init(
            _ registry: ScriptedRegistry, at path: String,
            _ happen: @escaping @Sendable () async throws(Refusal) -> Void
        ) {
            self.registry = registry
            self.path = path
            self.happen = happen
        }

        func ask(_ request: RegistryRequest) async throws(Refusal) -> [UInt8] {
            if request.path.hasPrefix(path), isDue.withLock(\.self) {
                isDue.withLock { $0 = false }
                try await happen()
            }
            return try await registry.ask(request)
        }
    }

    @Test(
        "leaves nothing behind of a round that had begun before it was readmitted",
        arguments: ["/.well-known", "/v1/log/head", "/v1/log/consistency", "/v1/log/entries"])
    func readmittedMeanwhile(at path: String) async throws {
        try await TestServer.run { alpha async throws in
            let registry = try ScriptedRegistry(["s0", "s1"])
            let client = client(of: alpha, registry)
            try #require(await client.round(Self.address))
            registry.change { $0.shown = 1 }
            alpha.clock.advance(by: .seconds(30))
            try #require(await !client.round(Self.address))
            // Its log goes on as it should again; that the last round was refused still stands when the operator looks.
            registry.change { $0.shown = nil }
            try registry.add(["s2"])
            alpha.clock.advance(by: .seconds(30))
            let readmitting = Interrupted(registry, at: path) { () async throws(Refusal) in
                try await alpha.server.readmit(Self.address)
            }
            let interrupted = RegistryClient(
                server: alpha.server, addresses: [Self.address], link: readmitting, clock: alpha.clock)
            #expect(await !interrupted.round(Self.address), "it counts for nothing")
            let readmitted = try await source(alpha)
            #expect(readmitted.read == 0 && readmitted.size == 0 && readmitted.head == nil && readmitted.servers == 0)
            #expect(readmitted.lastError == nil && readmitted.lastContact == nil)
            #expect(await alpha.server.knownRegistry(Self.address) == nil)
            // Nothing has to be logged again for it.
            alpha.clock.advance(by: .seconds(30))
            #expect(await interrupted.round(Self.address))
            for id in ["s0", "s1", "s2"] { #expect(await isListed(id, at: alpha), "\(id)") }
        }
    }

    @Test("is refused, and not condemned, for another log than the one that was signed with a key that is void now")
    func voidKey() async throws {
        try await TestServer.run { alpha async throws in
            let registry = try ScriptedRegistry(["s0", "s1"])
            let recovery = try Stranger.identity("registry", "recovery")
            registry.change { $0.identity.commitment.recovery = recovery.publicKey.commitment }
            let client = client(of: alpha, registry)
            try #require(await client.round(Self.address))
            // Who has stolen the key may have signed what was read.
            let third = try Stranger.identity("registry", "third")
            let revocation = KeyRevocation(
                issuer: third.id, number: 1,
                replacement: .init(
                    key: third.publicKey, commitment: KeyCommitment(recovery: recovery.publicKey.commitment)),
                issuedAt: ManualClock.start
            ).issue(by: recovery)
            registry.change {
                $0.identity.revocation = revocation
                $0.identity.keys = third
                $0.identity.commitment.next = nil
                $0.identity.sequence = 2
            }
            try registry.list(["s0", "x1"])
            alpha.clock.advance(by: .seconds(30))
            #expect(await !client.round(Self.address))
            let refused = try await source(alpha)
            #expect(refused.lastError?.code == "registry.unproven" && refused.fault == nil && refused.servers == 2)
        }
    }

    /// What is learned of a registry's key while it is asked for a head that contradicts the one before.
    enum KeyNews: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case nothing
        case rotated = "that it has rotated"
        case revoked = "that it is void"
        case dead = "that it is void and none follows"

        var testDescription: String { rawValue }

        /// Whether both heads are the registry's own words all the same.
        var isProof: Bool {
            switch self {
            case .nothing, .rotated: true
            case .revoked, .dead: false
            }
        }
    }

    @Test(
        "is condemned by the key that it has when two heads are compared, not when the second was asked for",
        arguments: KeyNews.allCases)
    func keyMeanwhile(_ news: KeyNews) async throws {
        try await TestServer.run { alpha async throws in
            let registry = try ScriptedRegistry(["s0", "s1"])
            let recovery = try Stranger.identity("registry", "recovery")
            var identity = try Stranger("registry", port: 7_700)
            try identity.commit(toNext: "second")
            identity.commitment.recovery = recovery.publicKey.commitment
            registry.change { [identity] in $0.identity = identity }
            try #require(await client(of: alpha, registry).round(Self.address))
            try registry.list(["s0", "x1"])
            alpha.clock.advance(by: .seconds(30))
            let replacement = KeyRevocation.Replacement(
                key: try Stranger.identity("registry", "third").publicKey,
                commitment: KeyCommitment(recovery: identity.commitment.recovery))
            let revocation = KeyRevocation(
                issuer: identity.id, number: 1, replacement: news == .dead ? nil : replacement,
                issuedAt: ManualClock.start
            ).issue(by: recovery)
            try identity.rotate(to: "second")
            let rotated = identity.card
            let learning = Interrupted(registry, at: "/v1/log/head") { () async throws(Refusal) in
                switch news {
                case .nothing: break
                case .rotated: _ = try await alpha.server.register(rotated)
                case .revoked, .dead: try await alpha.server.revoke(revocation)
                }
            }
            let learner = RegistryClient(
                server: alpha.server, addresses: [Self.address], link: learning, clock: alpha.clock)
            #expect(await !learner.round(Self.address))
            let judged = try await source(alpha)
            #expect(judged.lastError?.code == (news.isProof ? "registry.contradiction" : "registry.unproven"))
            #expect((judged.fault != nil) == news.isProof && judged.servers == (news.isProof ? 0 : 2))
        }
    }

    @Test(
        "is trusted no more at any of its addresses once it was caught at one, nor at one that is named later",
        arguments: [address, "http://registry.test:7702"])
    func addresses(readmitted: String) async throws {
        let registry = try ScriptedRegistry(["s0", "s1"])
        let (second, third) = ("http://registry.test:7701", "http://registry.test:7702")
        try await TestServer.run { alpha async throws in
            func client() -> RegistryClient {
                RegistryClient(
                    server: alpha.server, addresses: [Self.address, second, third], link: registry, clock: alpha.clock)
            }
            for address in [Self.address, second] { try #require(await client().round(address)) }
            #expect(await alpha.server.registries(listing: Self.s0) == [Self.address, second])
            let underWay = try #require(await alpha.server.knownRegistry(second))
            let round = await alpha.server.beginRound(with: second)
            try registry.list(["s0", "x1"])
            alpha.clock.advance(by: .seconds(30))
            #expect(await !client().round(Self.address))
            #expect(await alpha.server.registries(listing: Self.s0).isEmpty)
            // A round with another address that was under way takes nothing any more.
            func refusals() async -> [String?] {
                let remembering = await #expect(throws: Refusal.self) {
                    try await alpha.server.remember(underWay, in: round)
                }
                let taking = await #expect(throws: Refusal.self) { _ = try await alpha.server.take([], in: round) }
                return [remembering?.code, taking?.code]
            }
            #expect(await refusals() == ["registry.faulty", "registry.faulty"])
            try registry.list(["s0", "s1"])
            for address in [Self.address, second, third] {
                #expect(await !client().round(address))
                let source = try #require(await alpha.server.sources().first { $0.address == address })
                #expect(source.lastError?.code == "registry.faulty" && source.isFaulty, "\(address)")
                #expect(source.lastError?.remedy.hasSuffix("readmit \(Self.address)") == true)
            }
            #expect(await alpha.server.registries(listing: Self.s0).isEmpty)
            // The operator's word is about the registry, too.
            let body = #"{"address":"\#(readmitted)"}"#
            #expect(try await alpha.request("POST", "/v1/registries/readmit", json: body).status == 204)
            #expect(await refusals() == ["registry.readmitted", "registry.readmitted"])
            for address in [Self.address, second, third] { #expect(await client().round(address)) }
        }
    }

    @Test(
        "is trusted no more once it has signed two logs of one size, also after a restart, until it is readmitted",
        arguments: [false, true])
    func contradiction(isRotated: Bool) async throws {
        let store = MemoryStore()
        let clock = ManualClock()
        let registry = try ScriptedRegistry(["s0", "s1"])
        try await TestServer.run(clock: clock, store: store) { alpha async throws in
            try await alpha.server.setPolicy(TrustPolicy(registryListed: .all))
            _ = try await alpha.server.addRoute(
                PortalID(unchecked: "gate"), to: Self.s0, world: WorldID(unchecked: "w"), spawn: nil, isActive: true)
            let client = client(of: alpha, registry)
            try #require(await client.round(Self.address))
            #expect(await alpha.server.isPeer(Self.s0))
            let before = try await source(alpha)
            if isRotated { try registry.change { try $0.identity.rotate(to: "second") } }
            try registry.list(["s0", "x1"])
            clock.advance(by: .seconds(30))
            #expect(await !client.round(Self.address))
            let caught = try await source(alpha)
            #expect(caught.lastError?.code == "registry.contradiction")
            #expect(caught.fault?.code == "registry.contradiction" && caught.head == before.head)
            // The evidence is two signed heads, which anybody can check.
            let evidence = try #require(caught.fault?.evidence)
            let first = try Stranger.identity("registry", "registry").publicKey
            let second = try isRotated ? Stranger.identity("registry", "second").publicKey : first
            #expect(evidence.count == 2 && evidence.first == before.head)
            let heads = try zip(evidence, [first, second]).map {
                try TreeHead.verify($0, registry: ServerID(unchecked: "registry"), key: $1)
            }
            #expect(heads.map(\.size) == [2, 2] && heads.first?.root != heads.last?.root)
            // Trust that rested on it alone has ended.
            #expect(await !alpha.server.isPeer(Self.s0))
            #expect(await !isListed("s0", at: alpha))
            #expect(caught.servers == 0)
        }
        try await TestServer.run(clock: clock, store: store) { alpha async throws in
            // It is as it was before, and still not believed.
            try registry.list(["s0", "s1"])
            let client = client(of: alpha, registry)
            clock.advance(by: .seconds(30))
            #expect(await !client.round(Self.address))
            let still = try await source(alpha)
            #expect(still.lastError?.code == "registry.faulty" && still.fault?.evidence.count == 2)
            #expect(await !alpha.server.isPeer(Self.s0))
            try await gauges(alpha, faulty: 1, failing: 1)
            let shown = try await alpha.request("GET", "/v1/registries").json["registries"]?.elements?.first
            #expect(shown?["fault"]?["code"]?.text == "registry.contradiction")
            // Until the operator decides otherwise.
            #expect(try await alpha.request("POST", "/v1/registries/readmit", json: Self.body).status == 204)
            clock.advance(by: .seconds(30))
            #expect(await client.round(Self.address))
            #expect(await isListed("s0", at: alpha))
            #expect(await alpha.server.isPeer(Self.s0))
            try await gauges(alpha, faulty: 0, failing: 0)
        }
    }
}
