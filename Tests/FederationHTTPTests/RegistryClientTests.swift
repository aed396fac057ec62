import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import Synchronization
import TestKit
import Testing

@testable import FederationHTTP

@Suite("A server that uses registries", .timeLimit(.minutes(2 * patience)))
struct RegistryClientTests {
    /// Runs a registry and a server beside it that uses it, through real sockets.
    private func pair(
        store: MemoryStore = MemoryStore(),
        _ body: @escaping @Sendable (TestServer, TestServer, StubCards) async throws -> Void
    ) async throws {
        let cards = StubCards()
        try await TestServer.run("registry", registryAccess: .signed, cards: cards) { registry async throws in
            try await TestServer.run("alpha", clock: registry.clock, store: store) { alpha async throws in
                cards.serve(
                    try #require(await alpha.server.card()?.compact), at: try #require(Endpoint("ws://127.0.0.1:7700")))
                try await body(registry, alpha, cards)
            }
        }
    }

    private func client(
        of server: TestServer, _ addresses: [String], pageEntries: Int = 100, pagesPerRound: Int = 50,
        tamper: @escaping TestLink.Tamper = { $1 }
    ) -> RegistryClient {
        RegistryClient(
            server: server.server, addresses: addresses, link: TestLink(tamper: tamper),
            configuration: .init(pageEntries: pageEntries, pagesPerRound: pagesPerRound), clock: server.clock)
    }

    private func source(_ server: TestServer, _ address: String) async throws -> RegistrySource {
        try #require(await server.server.sources().first { $0.address == address })
    }

    @Test("registers there, says that it is alive, and takes whom the registry lists")
    func round() async throws {
        try await pair { registry, alpha, _ in
            for number in 0..<5 {
                _ = try await registry.server.register(try Stranger("s\(number)", port: UInt16(7_900 + number)).card)
            }
            _ = try await registry.server.suspend(ServerID(unchecked: "s1"), reason: "spam")
            let client = client(of: alpha, [registry.address], pageEntries: 2)
            #expect(await client.round(registry.address))
            let first = try await source(alpha, registry.address)
            #expect(first.registry == registry.id && first.isRegistered && first.lastError == nil)
            #expect(first.lastContact == alpha.clock.now().timestamp)
            #expect(first.servers == 4 && first.read == first.size)
            #expect(try await registry.server.server(alpha.id).status == .online)
            for id in ["s0", "s2", "s3", "s4"] {
                #expect(await alpha.server.registries(listing: ServerID(unchecked: id)) == [registry.address])
            }
            #expect(await alpha.server.registries(listing: ServerID(unchecked: "s1")).isEmpty)
            // What is new, and who has gone.
            try await registry.server.deregister(ServerID(unchecked: "s0"))
            _ = try await registry.server.reinstate(ServerID(unchecked: "s1"))
            var second = try Stranger("s2", port: 7_990)
            second.sequence = 2
            _ = try await registry.server.register(second.card)
            alpha.clock.advance(by: .seconds(30))
            #expect(await client.round(registry.address))
            #expect(await alpha.server.registries(listing: ServerID(unchecked: "s0")).isEmpty)
            #expect(await alpha.server.registries(listing: ServerID(unchecked: "s1")) == [registry.address])
            #expect(try await alpha.server.server(ServerID(unchecked: "s2")).endpoint.port == 7_990)
            #expect(try await source(alpha, registry.address).servers == 4)
            // It leaves by its own wish.
            try await client.leave(registry.address)
            await #expect(throws: Refusal.self) { try await registry.server.server(alpha.id) }
        }
    }

    @Test("uses several registries at once, and what one lists does not end with what another does")
    func several() async throws {
        try await pair { registry, alpha, cards in
            try await TestServer.run("second", clock: alpha.clock, registryAccess: .signed, cards: cards) {
                second async throws in
                let (beta, gamma) = (try Stranger("beta"), try Stranger("gamma", port: 7_901))
                for card in [beta.card, gamma.card] { _ = try await registry.server.register(card) }
                _ = try await second.server.register(beta.card)
                let both = [registry.address, second.address].sorted()
                let client = self.client(of: alpha, both)
                for address in both { #expect(await client.round(address)) }
                #expect(await alpha.server.registries(listing: beta.id) == both)
                #expect(await alpha.server.registries(listing: gamma.id) == [registry.address])
                for used in [registry, second] { #expect(try await used.server.server(alpha.id).status == .online) }
                try await registry.server.deregister(beta.id)
                alpha.clock.advance(by: .seconds(30))
                #expect(await client.round(registry.address))
                #expect(await alpha.server.registries(listing: beta.id) == [second.address])
            }
        }
    }

    @Test("lists no more whom the registry has suspended, whatever they register then, until they are reinstated")
    func suspended() async throws {
        try await pair { registry, alpha, _ in
            var beta = try Stranger("beta")
            let id = beta.id
            _ = try await registry.server.register(beta.card)
            let client = client(of: alpha, [registry.address])
            func isListed() async throws -> Bool {
                alpha.clock.advance(by: .seconds(30))
                #expect(await client.round(registry.address))
                return await alpha.server.registries(listing: id) == [registry.address]
            }
            #expect(try await isListed())
            _ = try await registry.server.suspend(id, reason: "spam")
            beta.sequence = 2
            _ = try await registry.server.register(beta.card)
            #expect(try await !isListed(), "another card ends no suspension")
            try await registry.server.deregister(id)
            beta.sequence = 3
            _ = try await registry.server.register(beta.card)
            #expect(try await !isListed(), "nor does leaving and coming back")
            let newest = try await registry.server.logInclusion(of: id).record
            let entry = try #require(RegistryLogEntry(try JSONValue.parse(newest.leaf)))
            #expect(entry.kind == .suspended && entry.reason == "spam")
            // Whoever begins to read, entry by entry, comes to the registration first.
            try await TestServer.run("late", clock: registry.clock) { late async throws in
                let reader = self.client(of: late, [registry.address], pageEntries: 1, pagesPerRound: 1)
                let size = newest.index + 1
                for _ in 0..<size {
                    late.clock.advance(by: .seconds(5))
                    _ = await reader.round(registry.address)
                    #expect(await late.server.registries(listing: id).isEmpty)
                }
                #expect(try await self.source(late, registry.address).read >= size)
            }
            _ = try await registry.server.reinstate(id)
            #expect(try await isListed())
            let auditor = RegistryAuditor(address: registry.address, link: TestLink(), clock: registry.clock)
            #expect(try await auditor.run(nil, comparing: []).findings.isEmpty)
        }
    }

    @Test("says that it is alive to the one registry that asked it, from the first time on")
    func audience() async throws {
        try await pair { registry, alpha, _ in
            let sent = Sent()
            let client = client(of: alpha, [registry.address]) { request, json in
                if request.path.hasSuffix("/heartbeat") { sent.note(request.statement) }
                return json
            }
            #expect(await client.round(registry.address))
            let statement = try #require(sent.statements.first)
            #expect(sent.statements.count == 1)
            for (reader, isRight) in [(registry.id, true), (ServerID(unchecked: "elsewhere"), false)] {
                let read = try? HeartbeatStatement.verify(
                    statement, server: alpha.id, key: alpha.identity.publicKey, by: reader,
                    at: alpha.clock.now().timestamp)
                #expect((read != nil) == isRight, "\(reader)")
            }
        }
    }

    @Test("reads a registry's log and no entry, and takes no time and no standing of anybody from it")
    func ownWords() async throws {
        try await pair { registry, alpha, _ in
            let beta = try Stranger("beta")
            _ = try await registry.server.register(beta.card)
            let statement = beta.heartbeat(1, at: ManualClock.start)
            let heard = try await registry.server.heartbeat(beta.id, statement: statement)
            #expect(heard.status == .online && heard.lastHeartbeat != nil)
            alpha.clock.advance(by: .seconds(30))
            let asked = Sent()
            let client = client(of: alpha, [registry.address]) { request, json in
                if request.method == "GET" { asked.note(request.path) }
                return json
            }
            #expect(await client.round(registry.address))
            #expect(await alpha.server.registries(listing: beta.id) == [registry.address])
            let known = try await alpha.server.server(beta.id)
            #expect(known.status == .offline && known.lastHeartbeat == nil)
            #expect(known.registeredAt == alpha.clock.now().timestamp)
            #expect(asked.statements.contains { $0.hasPrefix("/v1/log/entries") })
            for path in asked.statements {
                #expect(path.hasPrefix("/v1/log/") || path == "/.well-known/aether-federation", "\(path)")
            }
        }
    }

    /// What went out.
    private final class Sent: Sendable {
        private let seen = Mutex<[String]>([])

        var statements: [String] { seen.withLock(\.self) }

        func note(_ statement: String?) {
            if let statement { seen.withLock { $0.append(statement) } }
        }
    }

    @Test("follows a key by its rotation, and an owner's revocation, as the registry passes them on")
    func keys() async throws {
        try await pair { registry, alpha, _ in
            let recovery = try Stranger.identity("beta", "recovery")
            var beta = try Stranger("beta")
            try beta.commit(toNext: "second")
            beta.commitment.recovery = recovery.publicKey.commitment
            _ = try await registry.server.register(beta.card)
            let client = client(of: alpha, [registry.address])
            #expect(await client.round(registry.address))
            try beta.rotate(to: "second")
            _ = try await registry.server.register(beta.card)
            alpha.clock.advance(by: .seconds(30))
            #expect(await client.round(registry.address))
            #expect(try await alpha.server.server(beta.id).publicKey == beta.keys.publicKey)
            let end = KeyRevocation(issuer: beta.id, number: 1, replacement: nil, issuedAt: ManualClock.start)
                .issue(by: recovery)
            try await registry.server.revoke(end)
            alpha.clock.advance(by: .seconds(30))
            #expect(await client.round(registry.address))
            #expect(await alpha.server.binding(of: beta.id)?.isDead == true)
            #expect(
                try await RegistryAuditor(
                    address: registry.address, link: TestLink(), clock: registry.clock
                ).run(nil, comparing: []).findings.isEmpty)
        }
    }

    @Test(
        "learns of a recovery key together with the revocation that it proves, also by a card under the next key",
        arguments: [false, true])
    func lateRecoveryKey(_ rotates: Bool) async throws {
        try await pair { registry, alpha, _ in
            let recovery = try Stranger.identity("beta", "recovery")
            var beta = try Stranger("beta")
            try beta.commit(toNext: "second")
            _ = try await alpha.server.register(beta.card)
            if rotates { try beta.rotate(to: "second") } else { beta.sequence = 2 }
            beta.commitment.recovery = recovery.publicKey.commitment
            _ = try await registry.server.register(beta.card)
            let third = try Stranger.identity("beta", "third").publicKey
            let revocation = KeyRevocation(
                issuer: beta.id, number: 1,
                replacement: .init(key: third, commitment: KeyCommitment(recovery: beta.commitment.recovery)),
                issuedAt: ManualClock.start
            ).issue(by: recovery)
            try await registry.server.revoke(revocation)
            #expect(await client(of: alpha, [registry.address]).round(registry.address))
            #expect(await alpha.server.binding(of: beta.id)?.key == third)
        }
    }

    @Test("says that somebody has signed it off, and up to which card, and goes on reading")
    func signedOff() async throws {
        try await pair { registry, alpha, _ in
            let client = client(of: alpha, [registry.address])
            #expect(await client.round(registry.address))
            let word = DeregistrationStatement(
                issuer: alpha.id, registry: registry.id, sequence: (1 << 53) - 1,
                issuedAt: registry.clock.now().timestamp
            ).issue(by: alpha.identity)
            try await registry.server.deregister(alpha.id, statement: word)
            alpha.clock.advance(by: .seconds(30))
            #expect(await !client.round(registry.address))
            let after = try await source(alpha, registry.address)
            #expect(after.lastError?.code == "server.hasLeft" && !after.isRegistered)
            #expect(after.lastError?.reason.contains("\((1 << 53) - 1)") == true)
            #expect(after.read == after.size && after.read == 2)
        }
    }

    @Test("believes the registry's own words for nobody's key: only what the server itself has signed counts")
    func keysOfOthers() async throws {
        try await pair { registry, alpha, _ in
            let honest = try Stranger("beta")
            let forged = try Stranger("beta", key: "thief")
            _ = try await registry.server.register(honest.card)
            _ = try await registry.server.register(try Stranger("gamma", port: 7_901).card)
            // The registry calls another key beta's, everywhere but in what beta has signed; and files gamma's card under beta.
            let key = JSONValue.string(forged.keys.publicKey.description)
            let lying = client(of: alpha, [registry.address]) { request, json in
                guard request.path.hasPrefix("/v1/log/entries") || request.path.hasPrefix("/v1/servers") else {
                    return json
                }
                guard let cards = json["cards"]?.members else {
                    return RegistryAuditTests.replacing("publicKey", with: key, in: json)
                }
                var swapped = cards
                swapped["beta"] = cards["gamma"]
                return RegistryAuditTests.replacing("cards", with: .object(swapped), in: json)
            }
            #expect(await lying.round(registry.address))
            await #expect(throws: Refusal.self) { try await alpha.server.server(honest.id) }
            #expect(await alpha.server.registries(listing: honest.id).isEmpty)
            #expect(try await alpha.server.server(ServerID(unchecked: "gamma")).publicKey != forged.keys.publicKey)
            // A card of its own making, once the true one is known, changes nothing.
            _ = try await alpha.server.register(honest.card)
            var newer = honest
            newer.sequence = 2
            _ = try await registry.server.register(newer.card)
            let forging = client(of: alpha, [registry.address]) { _, json in
                json["cards"] == nil
                    ? json
                    : RegistryAuditTests.replacing("cards", with: .object(["beta": .string(forged.card)]), in: json)
            }
            alpha.clock.advance(by: .seconds(30))
            #expect(await forging.round(registry.address))
            #expect(try await alpha.server.server(honest.id).publicKey == honest.keys.publicKey)
        }
    }

    @Test("takes nothing from a registry whose entries are not those of its signed log, or which does not continue it")
    func badLog() async throws {
        try await pair { registry, alpha, cards in
            _ = try await registry.server.register(try Stranger("beta").card)
            let lying = client(
                of: alpha, [registry.address],
                tamper: RegistryAuditTests.entry("beta") {
                    RegistryAuditTests.replacing("sequence", with: .integer(7), in: $0)
                })
            #expect(await !lying.round(registry.address))
            #expect(try await source(alpha, registry.address).lastError?.code == "registry.badLog")
            #expect(await alpha.server.registries(listing: ServerID(unchecked: "beta")).isEmpty)
            let honest = client(of: alpha, [registry.address])
            alpha.clock.advance(by: .seconds(1))
            #expect(await honest.round(registry.address))
            let before = try await source(alpha, registry.address)
            // Another store under the same identity answers at the same address from now on.
            try await TestServer.run("registry", clock: alpha.clock, registryAccess: .signed, cards: cards) {
                other async throws in
                for number in 0..<9 {
                    _ = try await other.server.register(try Stranger("x\(number)", port: UInt16(7_900 + number)).card)
                }
                let redirected = RegistryClient(
                    server: alpha.server, addresses: [registry.address],
                    link: Redirect(from: registry.address, to: other.address),
                    clock: alpha.clock)
                alpha.clock.advance(by: .seconds(30))
                #expect(await !redirected.round(registry.address))
                let after = try await source(alpha, registry.address)
                // Its log is longer, and whoever stands in between could spoil a proof: it is refused, and no more.
                #expect(!after.isFaulty && after.lastError?.code == "registry.unproven")
                #expect(after.head == before.head && after.servers == before.servers)
                #expect(await alpha.server.registries(listing: ServerID(unchecked: "x0")).isEmpty)
            }
        }
    }

    /// Hands out a card as beta's, whatever the log names.
    private static func showing(_ card: String) -> TestLink.Tamper {
        { _, json in
            guard var cards = json["cards"]?.members, cards["beta"] != nil else { return json }
            cards["beta"] = .string(card)
            return RegistryAuditTests.replacing("cards", with: .object(cards), in: json)
        }
    }

    @Test("takes no card that the log does not name, says so for as long as one is shown, and then takes the true one")
    func unloggedCard() async throws {
        try await pair { registry, alpha, _ in
            let honest = try Stranger("beta")
            let forged = try Stranger("beta", key: "thief")
            let gamma = ServerID(unchecked: "gamma")
            _ = try await registry.server.register(honest.card)
            _ = try await registry.server.register(try Stranger("gamma", port: 7_901).card)
            // Alpha has never heard of beta: any card that it took would be believed for good.
            let isHonest = Mutex(false)
            let showing = Self.showing(forged.card)
            let client = client(of: alpha, [registry.address]) { request, json in
                isHonest.withLock(\.self) ? json : showing(request, json)
            }
            #expect(await client.round(registry.address), "a card may be newer than the log that was asked for")
            for _ in 0..<2 {
                #expect(await alpha.server.binding(of: honest.id) == nil)
                #expect(await alpha.server.registries(listing: honest.id).isEmpty)
                alpha.clock.advance(by: .seconds(30))
                #expect(await !client.round(registry.address), "this head had to name it")
                let refused = try await source(alpha, registry.address)
                #expect(refused.lastError?.code == "registry.unloggedCard" && refused.fault == nil)
                #expect(await alpha.server.registries(listing: gamma) == [registry.address], "the others stay")
            }
            isHonest.withLock { $0 = true }
            alpha.clock.advance(by: .seconds(30))
            #expect(await client.round(registry.address))
            #expect(try await source(alpha, registry.address).lastError == nil)
            #expect(await alpha.server.binding(of: honest.id)?.key == honest.keys.publicKey)
            #expect(await alpha.server.registries(listing: honest.id) == [registry.address])
        }
    }

    @Test("believes no page of the log before the signed head is known to cover it")
    func unprovenPage() async throws {
        try await pair { registry, alpha, _ in
            let forged = try Stranger("beta", key: "thief")
            _ = try await registry.server.register(try Stranger("beta").card)
            for number in 0..<5 {
                _ = try await registry.server.register(try Stranger("s\(number)", port: UInt16(7_901 + number)).card)
            }
            // The first page of several names the thief's card; the last one would show that this is not what was signed.
            let entry = RegistryAuditTests.entry("beta") {
                let key = JSONValue.string(forged.keys.publicKey.description)
                let card = JSONValue.string(ContentHash.of(Array(forged.card.utf8)).description)
                return RegistryAuditTests.replacing(
                    "card", with: card, in: RegistryAuditTests.replacing("key", with: key, in: $0))
            }
            let lying = client(of: alpha, [registry.address], pageEntries: 2) {
                entry($0, Self.showing(forged.card)($0, $1))
            }
            #expect(await !lying.round(registry.address))
            #expect(try await source(alpha, registry.address).lastError?.code == "registry.badLog")
            #expect(await alpha.server.binding(of: forged.id) == nil)
            // Nothing is held against the registry: what lies may be what stands in between.
            alpha.clock.advance(by: .seconds(30))
            #expect(await client(of: alpha, [registry.address], pageEntries: 2).round(registry.address))
            #expect(await alpha.server.registries(listing: forged.id) == [registry.address])
        }
    }

    @Test("takes a card that was newer than the head with the entry that names it, and blames nobody")
    func newerCard() async throws {
        try await pair { registry, alpha, _ in
            var beta = try Stranger("beta")
            _ = try await registry.server.register(beta.card)
            let client = client(of: alpha, [registry.address])
            let first = beta
            beta.sequence = 2
            let second = beta.card
            // The registry has the second card already when it answers for a log that ends with the first.
            let hasty = RegistryClient(
                server: alpha.server, addresses: [registry.address],
                link: TestLink(tamper: Self.showing(second)), clock: alpha.clock)
            #expect(await hasty.round(registry.address))
            #expect(await alpha.server.registries(listing: first.id).isEmpty)
            _ = try await registry.server.register(second)
            for _ in 0..<3 {
                alpha.clock.advance(by: .seconds(30))
                #expect(await hasty.round(registry.address))
            }
            #expect(try await alpha.server.server(first.id).recordSequence == 2)
            #expect(try await source(alpha, registry.address).fault == nil)
            #expect(await client.round(registry.address))
        }
    }

    @Test("works on while every registry is down, and after a restart with what it has read")
    func down() async throws {
        let store = MemoryStore()
        let address = Mutex("")
        try await pair(store: store) { registry, alpha, _ in
            _ = try await registry.server.register(try Stranger("beta").card)
            address.withLock { $0 = registry.address }
            #expect(await client(of: alpha, [registry.address]).round(registry.address))
        }
        let gone = address.withLock(\.self)
        try await TestServer.run("alpha", store: store) { alpha async throws in
            let client = client(of: alpha, [gone, "http://127.0.0.1:1"])
            for registry in [gone, "http://127.0.0.1:1"] {
                #expect(await !client.round(registry))
                #expect(try await source(alpha, registry).lastError?.code == "registry.unreachable")
            }
            let known = try await source(alpha, gone)
            #expect(known.registry == ServerID(unchecked: "registry") && known.servers == 1 && known.read == 2)
            #expect(try await alpha.server.server(ServerID(unchecked: "beta")).id.rawValue == "beta")
            let shown = try await alpha.request("GET", "/v1/registries").json["registries"]?.elements
            #expect(shown?.count == 2 && shown?[0]["lastError"]?["code"]?.text == "registry.unreachable")
            // Everybody may compare heads; what else there is to see is the operator's.
            let open = try await alpha.request("GET", "/v1/registries", as: .stranger).json["registries"]?.elements
            #expect(open?.compactMap { $0.members?.keys.sorted() } == [["address"], ["address", "head", "registry"]])
            #expect(try await alpha.request("GET", "/v1/registries", as: .guesser).status == 401)
        }
    }

    @Test("is told when it names itself, and when another registry answers at a known address")
    func wrongAddress() async throws {
        try await pair { registry, alpha, cards in
            let client = client(of: alpha, [alpha.address, registry.address])
            #expect(await !client.round(alpha.address))
            #expect(try await source(alpha, alpha.address).lastError?.code == "registry.self")
            #expect(await client.round(registry.address))
            try await TestServer.run("other", clock: alpha.clock, registryAccess: .signed, cards: cards) {
                other async throws in
                let redirected = RegistryClient(
                    server: alpha.server, addresses: [registry.address],
                    link: Redirect(from: registry.address, to: other.address),
                    clock: alpha.clock)
                #expect(await !redirected.round(registry.address))
                #expect(try await source(alpha, registry.address).lastError?.code == "registry.changed")
            }
        }
    }

    @Test("goes round by itself, with pauses that jitter, until it is stopped")
    func loop() async throws {
        try await pair { registry, alpha, _ in
            let entropy = FixedEntropy()
            let client = RegistryClient(
                server: alpha.server, addresses: [registry.address], link: TestLink(), clock: alpha.clock,
                entropy: entropy)
            let running = Task { await client.run() }
            await alpha.clock.sleeper(for: .seconds(24))
            #expect(try await source(alpha, registry.address).isRegistered)
            _ = try await registry.server.register(try Stranger("beta").card)
            alpha.clock.advance(by: .seconds(24))
            await alpha.clock.sleeper(for: .seconds(24))
            #expect(await alpha.server.registries(listing: ServerID(unchecked: "beta")) == [registry.address])
            running.cancel()
            await running.value
        }
    }
}

/// The smallest numbers.
struct FixedEntropy: EntropySource {
    func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
}

/// Another server answers in the place of the one that was meant.
private struct Redirect: RegistryLink {
    let from: String
    let to: String

    func ask(_ request: RegistryRequest) async throws(Refusal) -> [UInt8] {
        let address = request.address == from ? to : request.address
        return try await TestLink().ask(
            RegistryRequest(request.method, address, request.path, statement: request.statement))
    }
}
