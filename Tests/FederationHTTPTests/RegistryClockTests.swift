import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import Synchronization
import TestKit
import Testing

@testable import FederationHTTP

@Suite("Registries, and clocks that differ", .timeLimit(.minutes(2 * patience)))
struct RegistryClockTests {
    /// Would fail if a card that is not valid yet by a slow clock were passed over: its server would be listed only when it
    /// shows the next one.
    @Test("a reader whose clock is slow reads a page with a fresh card again, and says why")
    func slow() async throws {
        let cards = StubCards()
        try await TestServer.run("registry", registryAccess: .signed, cards: cards) { registry async throws in
            try await TestServer.run("alpha", clock: ManualClock()) { alpha async throws in
                let ahead = Duration.seconds(1_000)
                registry.clock.advance(by: ahead)
                var beta = try Stranger("beta")
                beta.issued = ManualClock.start + ahead
                let id = beta.id
                _ = try await registry.server.register(beta.card)
                _ = try await registry.server.register(try Stranger("gamma", port: 7_901).card)
                let client = RegistryClient(
                    server: alpha.server, addresses: [registry.address], link: TestLink(), clock: alpha.clock)
                func source() async throws -> RegistrySource {
                    try #require(await alpha.server.sources().first { $0.address == registry.address })
                }
                #expect(await !client.round(registry.address))
                let slow = try await source()
                #expect(slow.lastError?.code == "registry.clock" && slow.read == 0 && !slow.isFaulty)
                // Cards are dated in whole seconds.
                #expect(slow.lastError?.reason.contains(" 999 s ") == true)
                #expect(await alpha.server.registries(listing: id).isEmpty)
                // What else is on the page holds.
                #expect(await alpha.server.registries(listing: ServerID(unchecked: "gamma")) == [registry.address])
                alpha.clock.advance(by: ahead)
                _ = await client.round(registry.address)
                let right = try await source()
                #expect(right.lastError?.code != "registry.clock" && right.read == right.size && right.read >= 2)
                #expect(await alpha.server.registries(listing: id) == [registry.address])
            }
        }
    }

    /// Would fail if any card from the future stopped the reading: whoever got one into a log could stop all its readers.
    @Test("a card that is ahead of the registry's clock too is passed over")
    func ahead() async throws {
        try await TestServer.run { alpha async throws in
            let registry = try ScriptedRegistry(["s0", "s1"])
            registry.change { $0.listed[0].issued = ManualClock.start + .seconds(1_000) }
            let client = RegistryClient(
                server: alpha.server, addresses: [ScriptedRegistry.address], link: registry, clock: alpha.clock)
            #expect(await client.round(ScriptedRegistry.address))
            let source = try #require(
                await alpha.server.sources().first { $0.address == ScriptedRegistry.address })
            #expect(source.read == 2 && source.servers == 1)
            #expect(await alpha.server.registries(listing: ServerID(unchecked: "s0")).isEmpty)
        }
    }

    /// A card of this date is not valid yet by a clock that is ten seconds slow, and is by the registry's.
    private static let early = ManualClock.start + (Limits.clockSkew - .seconds(5))

    /// What is wrong with a registry, and the pauses after each round.
    enum Trouble: CaseIterable {
        case earlyCard
        /// It refuses this server, and lists an early card besides.
        case refusalAndEarlyCard
        case oldCard

        /// Of what is told of it: a clock that is behind may be why it refuses.
        var code: String { self == .oldCard ? "registry.badCard" : "registry.clock" }

        var pauses: [Double] {
            self == .earlyCard ? Array(repeating: 24, count: 8) : [2.5, 5, 10, 20, 40, 80, 150, 150]
        }
    }

    /// Would fail if a card that waits for a clock counted as a failure of the registry: after a few of them this
    /// server would say nothing there for minutes, and be taken for gone. And if it hid a failure behind it.
    @Test(
        "a clock that is off makes the pause until the next round no longer, as other failures do",
        arguments: Trouble.allCases)
    func pauses(trouble: Trouble) async throws {
        try await TestServer.run(clock: ManualClock(ahead: .seconds(-10))) { alpha async throws in
            let registry = try ScriptedRegistry(["s0"])
            registry.change { script in
                script.listed[0].issued = Self.early
                switch trouble {
                case .earlyCard: break
                case .refusalAndEarlyCard: script.refusing = "registry.full"
                case .oldCard:
                    script.identity.issued = ManualClock.start + .seconds(-600)
                    script.identity.lifetime = .seconds(1)
                }
            }
            let clock = SkippingClock(alpha.clock, pauses: trouble.pauses.count)
            await RegistryClient(
                server: alpha.server, addresses: [ScriptedRegistry.address], link: registry, clock: clock,
                entropy: FixedEntropy()
            ).run()
            #expect(clock.pauses == trouble.pauses.map { .seconds($0) })
            #expect(await alpha.server.sources().map(\.lastError?.code) == [trouble.code])
        }
    }

    /// Would fail if the code alone told what a clock is to blame for: a registry may answer with any.
    @Test("a registry that answers with the code of a wrong clock is asked less often, like any that refuses")
    func foreignCode() async throws {
        try await TestServer.run { alpha async throws in
            let registry = try ScriptedRegistry(["s0"])
            registry.change { $0.refusing = "registry.clock" }
            let clock = SkippingClock(alpha.clock, pauses: 3)
            await RegistryClient(
                server: alpha.server, addresses: [ScriptedRegistry.address], link: registry, clock: clock,
                entropy: FixedEntropy()
            ).run()
            #expect(clock.pauses == [.seconds(2.5), .seconds(5), .seconds(10)])
        }
    }

    /// Would fail if a round ended at the first card that waits for a clock, or if that one were forgotten.
    @Test("a card that is early holds up none of the others that are asked for again, and is taken in its time")
    func overdue() async throws {
        try await TestServer.run(clock: ManualClock(ahead: .seconds(-10))) { alpha async throws in
            let registry = try ScriptedRegistry(["s0", "s1", "s2"])
            try registry.change { script in
                script.listed[0].issued = Self.early
                // Cards that the log does not name: it owes an entry for each.
                for id in script.listed.map(\.id) {
                    script.forged[id] = try Stranger(id.rawValue, key: "thief").card
                }
            }
            let address = ScriptedRegistry.address
            let client = RegistryClient(
                server: alpha.server, addresses: [address], link: registry, clock: alpha.clock)
            func listed() async -> [String] {
                var listed: [String] = []
                for id in ["s0", "s1", "s2"]
                where await alpha.server.registries(listing: ServerID(unchecked: id)) == [address] {
                    listed.append(id)
                }
                return listed
            }
            #expect(await client.round(address))
            #expect(await listed() == [])
            registry.change { $0.forged = [:] }
            #expect(await !client.round(address))
            #expect(await alpha.server.sources().map(\.lastError?.code) == ["registry.clock"])
            #expect(await listed() == ["s1", "s2"])
            alpha.clock.advance(by: .seconds(30))
            #expect(await client.round(address))
            #expect(await listed() == ["s0", "s1", "s2"])
        }
    }
}

/// Lets no time pass: every pause is over at once. After so many it goes on no more.
private final class SkippingClock: FederationClock {
    private let clock: ManualClock
    private let most: Int
    private let slept = Mutex<[Duration]>([])

    init(_ clock: ManualClock, pauses most: Int) {
        self.clock = clock
        self.most = most
    }

    var pauses: [Duration] { slept.withLock(\.self) }

    func now() -> Now { clock.now() }

    func sleep(until deadline: Instant) async throws {
        let pause = deadline - clock.now().instant
        let count = slept.withLock { slept in
            slept.append(pause)
            return slept.count
        }
        guard count < most else { throw CancellationError() }
    }
}
