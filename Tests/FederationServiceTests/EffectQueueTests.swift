import FederationCore
import FederationModel
import FederationService
import FederationWire
import ServiceTestKit
import Synchronization
import TestKit
import Testing

/// Nothing leaves before what it follows from is durable, and what cannot be made durable is promised to nobody.
@Suite("FederationServer, the effect queue", .timeLimit(.minutes(patience)))
struct EffectQueueTests {
    /// The four moments at which a handoff writes, and what must wait for each.
    enum Moment: String, Sendable, CaseIterable {
        case prepared
        case reserved
        case committed
        case admitted

        var frame: String {
            switch self {
            case .prepared: "offer"
            case .reserved: "accept"
            case .committed: "commit"
            case .admitted: "admitted"
            }
        }

        var update: UpdateKind? {
            switch self {
            case .prepared: .offered
            case .reserved: nil
            case .committed: .redirect
            case .admitted: .admitted
            }
        }
    }

    @Test("no frame and no word to a player goes out before its record is durable", arguments: Moment.allCases)
    func order(_ moment: Moment) async throws {
        let pair = try await TestPair.make()
        let isSource = moment == .prepared || moment == .committed
        let (side, pipe) = isSource ? (pair.alpha, pair.link.there) : (pair.beta, pair.link.back)
        let told = Told(try await side.server.updates(of: pair.ada))
        let done = try await pair.alpha.server.updates(of: pair.ada)
        // The frame that brings the moment about is held until the store is.
        let cause = moment == .committed ? pair.link.back : pair.link.there
        if moment == .committed { cause.hold("accept") }
        if moment == .admitted { cause.hold("commit") }
        if moment == .prepared || moment == .reserved { await side.store.hold() }
        let crossing = try await pair.alpha.travel()
        if moment == .committed || moment == .admitted {
            try await eventually { cause.sent.contains(moment == .committed ? "accept" : "commit") }
            await side.store.hold()
            cause.release()
        }
        await side.store.waitUntilHeld()
        // Whatever would run, runs.
        for _ in 0..<200 { await Task.yield() }
        #expect(!pipe.sent.contains(moment.frame))
        if let update = moment.update { #expect(!told.kinds.contains(update)) }
        #expect(try await side.store.load().handoffs.first?.state.rawValue != moment.rawValue)
        await side.store.release()
        try await done.until(.completed)
        #expect(pipe.sent.contains(moment.frame))
        #expect(try await pair.alpha.server.crossing(crossing.id).phase == .completed)
    }

    @Test("what waits is committed together")
    func groupCommit() async throws {
        let alpha = try await TestServer.start("alpha")
        try await alpha.publish("home")
        let before = await alpha.store.transactions
        await alpha.store.hold()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<50 { group.addTask { try await alpha.enter("p\(number)") } }
            try await eventually { await alpha.server.summary().players == 50 }
            await alpha.store.release()
            try await group.waitForAll()
        }
        #expect(await alpha.store.transactions == before + 2)
        #expect(try await alpha.store.load().players.count == 50)
    }

    @Test("a read waits until what it has read is durable")
    func reads() async throws {
        let alpha = try await TestServer.start("alpha")
        try await alpha.publish("home")
        await alpha.store.hold()
        let entering = Task { try await alpha.enter() }
        await alpha.store.waitUntilHeld()
        let hasRead = Mutex(false)
        let reading = Task {
            let record = try await alpha.server.player(try alpha.player())
            hasRead.withLock { $0 = true }
            return record
        }
        for _ in 0..<200 { await Task.yield() }
        #expect(!hasRead.withLock { $0 })
        await alpha.store.release()
        #expect(try await reading.value == entering.value)
    }

    @Test("what needs no store keeps its place behind what does")
    func noOvertaking() async throws {
        let pair = try await TestPair.make()
        await pair.alpha.store.hold()
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        await pair.alpha.store.waitUntilHeld()
        let heartbeat = FederationFrame.Heartbeat(sequence: 1, sentAt: pair.alpha.clock.now().timestamp)
        pair.link.back.inject(.heartbeat(heartbeat))
        for _ in 0..<200 { await Task.yield() }
        #expect(!pair.link.there.sent.contains("acknowledgement"))
        await pair.alpha.store.release()
        try await updates.until(.completed)
        let order = pair.link.there.sent.filter { ["offer", "acknowledgement"].contains($0) }
        #expect(order == ["offer", "acknowledgement"])
    }

    // MARK: A store that fails

    @Test(
        "everybody who waits is told at once, also who came while the store was still trying",
        arguments: [
            MemoryStore.Fault.refused, .unanswered,
        ])
    func failure(_ fault: MemoryStore.Fault) async throws {
        let alpha = try await TestServer.start("alpha")
        try await alpha.publish("home")
        await alpha.store.hold()
        let first = Task { await refusal { try await alpha.enter("first") } }
        await alpha.store.waitUntilHeld()
        let second = Task { await refusal { try await alpha.enter("second") } }
        try await eventually { await alpha.server.summary().players == 2 }
        await alpha.store.failNext(1, fault)
        await alpha.store.release()
        #expect(await first.value == "store.failed")
        #expect(await second.value == "store.failed")
        // It has told the truth: nothing more is promised until the store works again.
        #expect(await alpha.server.summary().storageFailure != nil)
        #expect(await refusal { try await alpha.enter("third") } == "store.failed")
        #expect(await refusal { _ = try await alpha.server.player(try alpha.player("first")) } == "store.failed")
        await alpha.clock.sleeper(for: .milliseconds(100))
        alpha.clock.advance(by: .milliseconds(100))
        try await eventually { await alpha.server.summary().storageFailure == nil }
        #expect(try await alpha.server.player(try alpha.player("second")).presence == .playable)
        #expect(try await alpha.store.load().players.map(\.player.name.rawValue) == ["first", "second"])
        try await alpha.enter("third")
    }

    @Test("a peer that answers in time is not blamed for this server's own store")
    func ownStoreIsLate() async throws {
        let pair = try await TestPair.make()
        // From now on alpha knows beta's world, and asks one question about it.
        try await pair.cross()
        try await pair.alpha.enter("bob")
        let answer = Mutex<FederationFrame?>(nil)
        pair.link.back.decide { frame in
            guard case .worldResponse = frame else { return .delivered }
            answer.withLock { $0 = frame }
            return .lost
        }
        let bob = try pair.alpha.player("bob")
        let updates = try await pair.alpha.server.updates(of: bob)
        _ = try await pair.alpha.travel("bob")
        try await eventually { answer.withLock { $0 != nil } }
        await pair.alpha.store.failNext(2)
        #expect(await refusal { try await pair.alpha.enter("carol") } == "store.failed")
        await pair.alpha.server.receive(try #require(answer.withLock { $0 }), on: ChannelID(1))
        // For as long as a peer may take to answer; by then the store's own pause has begun.
        await pair.alpha.clock.sleeper(for: .milliseconds(100))
        pair.alpha.clock.advance(by: .seconds(10))
        let seen = try await updates.until(.returned)
        #expect(seen.last?.refusal?.code == "store.failed")
        // The store was tried again meanwhile, in vain.
        await pair.alpha.clock.sleeper(for: .milliseconds(200))
        pair.alpha.clock.advance(by: .milliseconds(200))
        try await eventually { await pair.alpha.server.summary().storageFailure == nil }
        #expect(try await pair.alpha.server.player(bob).presence == .playable)
    }

    @Test("a failing store loses nothing: the handoff goes on where it stood", arguments: Moment.allCases)
    func handoffGoesOn(_ moment: Moment) async throws {
        let pair = try await TestPair.make()
        let isSource = moment == .prepared || moment == .committed
        let (side, pipe) = isSource ? (pair.alpha, pair.link.there) : (pair.beta, pair.link.back)
        let cause = moment == .committed ? pair.link.back : pair.link.there
        if moment == .committed { cause.hold("accept") }
        if moment == .admitted { cause.hold("commit") }
        if moment == .prepared || moment == .reserved { await side.store.failNext(3) }
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        if moment == .committed || moment == .admitted {
            try await eventually { cause.sent.contains(moment == .committed ? "accept" : "commit") }
            await side.store.failNext(3)
            cause.release()
        }
        for pause in [100, 200, 400] {
            await side.clock.sleeper(for: .milliseconds(pause))
            #expect(!pipe.sent.contains(moment.frame))
            side.clock.advance(by: .milliseconds(pause))
        }
        let seen = try await updates.until(.completed)
        #expect(!seen.contains { $0.kind == .returned })
        #expect(try await pair.alpha.server.crossing(crossing.id).phase == .completed)
        #expect(try await pair.beta.server.player(pair.ada).state == Array("a lamp".utf8))
    }

    @Test("too many effects behind a failing store slow the peer down instead of filling the memory")
    func backpressure() async throws {
        let pair = try await TestPair.make()
        await pair.alpha.store.hold()
        let entering = Task { try await pair.alpha.enter("bob") }
        await pair.alpha.store.waitUntilHeld()
        let received = Mutex(0)
        let channel = ChannelID(1)
        let flood = Task {
            for sequence in 1...UInt64(3_000) {
                let heartbeat = FederationFrame.Heartbeat(
                    sequence: sequence, sentAt: pair.alpha.clock.now().timestamp)
                await pair.alpha.server.receive(.heartbeat(heartbeat), on: channel)
                received.withLock { $0 += 1 }
            }
        }
        try await eventually { received.withLock { $0 } >= 1_000 }
        for _ in 0..<5_000 { await Task.yield() }
        #expect(received.withLock { $0 } < 1_100)
        await pair.alpha.store.release()
        await flood.value
        _ = try await entering.value
        #expect(pair.link.there.sent.count { $0 == "acknowledgement" } == 3_000)
    }

    // MARK: The card

    @Test("a card is shown once its number cannot be used again")
    func card() async throws {
        let alpha = try await TestServer.open("alpha")
        await alpha.store.hold()
        let starting = Task { try await alpha.server.start(transport: alpha.transport) }
        await alpha.store.waitUntilHeld()
        #expect(await alpha.server.card() == nil)
        await alpha.store.release()
        try await starting.value
        let first = try #require(await alpha.server.card()?.card.sequence)
        await alpha.store.hold()
        let publishing = Task { try await alpha.publish("home") }
        await alpha.store.waitUntilHeld()
        #expect(await alpha.server.card()?.card.sequence == first)
        await alpha.store.release()
        _ = try await publishing.value
        #expect(try #require(await alpha.server.card()?.card.sequence) > first)
    }
}

/// What a player is told, gathered as it comes.
final class Told: Sendable {
    private let state = Mutex<[PlayerUpdate]>([])

    init(_ updates: AsyncStream<PlayerUpdate>) {
        Task {
            for await update in updates { state.withLock { $0.append(update) } }
        }
    }

    var kinds: [UpdateKind] { state.withLock { $0.map(\.kind) } }

    var all: [PlayerUpdate] { state.withLock { $0 } }
}
