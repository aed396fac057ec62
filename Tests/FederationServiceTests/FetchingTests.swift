import FederationCore
import FederationCrypto
import FederationModel
import FederationWire
import ServiceTestKit
import Synchronization
import TestKit
import Testing

@testable import FederationService

extension FederationServer {
    fileprivate var hasAnsweredAll: Bool { assetReads.isEmpty }
}

@Suite("FederationServer, fetching", .timeLimit(.minutes(patience)))
struct FetchingTests {
    /// Would fail if chunks were written as they come, if one got lost between two groups, or if places stayed taken.
    @Test("chunks that are answered in any order make the asset, and no more are on the way than may be")
    func shuffled() async throws {
        let scene = try await AnsweredByHand(chunks: 41)
        var random = SeededGenerator(seed: 5)
        let updates = try await scene.pair.alpha.server.updates(of: scene.pair.ada)
        _ = try await scene.pair.alpha.travel()
        var answered = 0
        while answered < scene.chunks {
            let expected = min(Limits.assetRequestsInFlight, scene.chunks - answered)
            try await eventually { scene.open.count >= expected }
            #expect(scene.open.count == expected)
            for request in scene.open.shuffled(using: &random) { scene.answer(request) }
            answered += expected
        }
        try await updates.until(.completed)
        #expect(scene.total == scene.chunks)
        #expect(try await scene.pair.alpha.assets.read(scene.hash, offset: 0, length: .max) == scene.bytes)
        #expect(await scene.isForgotten())
    }

    /// What is wrong with one chunk in the middle of a group, when the rest of it is well.
    enum Flaw: String, CaseIterable, Sendable {
        case shorter = "asset.truncated"
        case changed = "asset.mismatch"
    }

    /// Would fail if a group were judged by its first or last chunk, if what was written before were kept, or if the places of
    /// the other requests were lost.
    @Test(
        "a flawed chunk in the middle of a group ends the fetch, nothing is kept, and it can begin anew",
        arguments: Flaw.allCases)
    func flawed(_ flaw: Flaw) async throws {
        let scene = try await AnsweredByHand(chunks: 6)
        let updates = try await scene.pair.alpha.server.updates(of: scene.pair.ada)
        _ = try await scene.pair.alpha.travel()
        try await eventually { scene.open.count == scene.chunks }
        for (index, request) in scene.open.enumerated() {
            scene.answer(request) { bytes in
                guard index == 2 else { return bytes }
                return flaw == .shorter ? Array(bytes.dropLast()) : [bytes[0] ^ 1] + bytes.dropFirst()
            }
        }
        #expect(try await updates.until(.returned).last?.refusal?.code == flaw.rawValue)
        #expect(try await !scene.isKept())
        #expect(await scene.isForgotten())
        scene.handBack()
        try await scene.pair.cross()
        #expect(try await scene.isKept())
    }

    /// Would fail if an answer to another request put off the end, or if the places of what was never answered stayed taken.
    @Test("a peer that stops answering in the middle of a group is given up, and nothing is kept")
    func stops() async throws {
        let scene = try await AnsweredByHand(chunks: 40)
        let updates = try await scene.pair.alpha.server.updates(of: scene.pair.ada)
        _ = try await scene.pair.alpha.travel()
        try await scene.windowIsOpen()
        for request in scene.open.dropFirst().prefix(2) { scene.answer(request) }
        await scene.pair.alpha.clock.sleeper(for: .seconds(10))
        scene.pair.alpha.clock.advance(by: .seconds(10))
        #expect(try await updates.until(.returned).last?.refusal?.code == "peer.silent")
        #expect(scene.total == Limits.assetRequestsInFlight)
        #expect(try await !scene.isKept())
        #expect(await scene.isForgotten())
        scene.handBack()
        try await scene.pair.cross()
    }

    /// Would fail if the timer were set once for the whole fetch, if it ended requests that are younger than ten seconds, or if it
    /// were not set again for them.
    @Test("one timer gives each request its ten seconds, counted from when it was asked")
    func deadlines() async throws {
        let scene = try await AnsweredByHand(chunks: 40)
        let clock = scene.pair.alpha.clock
        let updates = try await scene.pair.alpha.server.updates(of: scene.pair.ada)
        _ = try await scene.pair.alpha.travel()
        try await scene.windowIsOpen()
        clock.advance(by: .seconds(6))
        for request in scene.open { scene.answer(request) }
        try await eventually { scene.total == 2 * Limits.assetRequestsInFlight }
        clock.advance(by: .seconds(4))
        // The first requests would be late by now; the others have six seconds left.
        await clock.sleeper(for: .seconds(6))
        #expect(await !scene.isForgotten())
        clock.advance(by: .seconds(6))
        #expect(try await updates.until(.returned).last?.refusal?.code == "peer.silent")
        #expect(scene.total == 2 * Limits.assetRequestsInFlight)
    }

    /// Would fail if what was asked on the old channel were given up, or asked again twice.
    @Test("chunks whose channel is replaced are asked for again on the new one, and the player crosses")
    func replaced() async throws {
        let scene = try await AnsweredByHand(chunks: 20)
        let pair = scene.pair
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        try await scene.windowIsOpen()
        // Were the old channel's end heard of before the new one stands, the fetch would rightly be given up.
        for pipe in [pair.link.there, pair.link.back] { pipe.whenClosed {} }
        let link = try await Link.open(pair.alpha.server, pair.beta.server)
        await pair.link.close()
        try await updates.until(.completed)
        #expect(link.there.sent.count { $0 == "assetRequest" } == scene.chunks)
        #expect(try await scene.isKept())
        #expect(await scene.isForgotten())
    }

    @Test(
        "a channel that closes in the middle of a group ends the fetch at once, and so does stopping",
        arguments: [true, false])
    func ended(byStopping: Bool) async throws {
        let scene = try await AnsweredByHand(chunks: 40)
        let crossing = try await scene.pair.alpha.travel()
        try await scene.windowIsOpen()
        for request in scene.open.prefix(3) { scene.answer(request) }
        if byStopping {
            await scene.pair.alpha.server.stop()
        } else {
            await scene.pair.link.close()
        }
        try await eventually { try await scene.pair.alpha.server.crossing(crossing.id).phase == .aborted }
        #expect(try await !scene.isKept())
        #expect(await scene.isForgotten())
    }

    // MARK: Places

    /// Would fail if the places of what a failed fetch has on the way stayed taken or were not given on at once, if
    /// what the other waits for were forgotten with it, or if answers that come too late freed places once more.
    @Test("a fetch that fails leaves its places to the one that waits for them, which goes on to its end")
    func placesPass() async throws {
        let scene = try await AnsweredByHand(chunks: 40)
        let places = Limits.assetRequestsInFlight
        let failing = Task { try await scene.fetch(0..<20) { _ in } }
        try await scene.windowIsOpen()
        let gathered = Gathered()
        let patient = Task { try await scene.fetch(20..<40) { gathered.add($0) } }
        try await eventually { await scene.waiting() == places }
        // A group is written, and what is asked for next waits behind the other fetch.
        for request in scene.open.prefix(ChunkWindow.group) { scene.answer(request) }
        try await eventually { scene.total == places + ChunkWindow.group }
        try await eventually { await scene.waiting() == places }
        scene.answer(scene.open[1]) { Array($0.dropLast()) }
        #expect(await refusal { try await failing.value } == "asset.truncated")
        let border = Int64(20 * Limits.assetChunkBytes)
        #expect(scene.open.count { $0.offset >= border } == places)
        #expect(await scene.waiting() == 0)
        // Too late for the one, in time for the other.
        for request in scene.open { scene.answer(request) }
        try await eventually { scene.open.count == ChunkWindow.group }
        for request in scene.open { scene.answer(request) }
        try await patient.value
        #expect(gathered.isPart(20..<40, of: scene.bytes))
        #expect(scene.total == places + 20)
        #expect(await scene.isForgotten())
    }

    /// Would fail if a fetch looked whether it is still needed only while it waits, or only once it has asked for more.
    @Test(
        "a fetch that is cancelled while it writes ends with that, and asks for nothing more", arguments: [false, true])
    func cancelledWhileWriting(isNextGroupThere: Bool) async throws {
        let scene = try await AnsweredByHand(chunks: 40)
        let writes = HeldReads()
        let gathered = Gathered()
        let fetch = Task {
            try await scene.fetch(0..<40) { group in
                gathered.add(group)
                await writes.pass()
            }
        }
        try await scene.windowIsOpen()
        let answered = isNextGroupThere ? Limits.assetRequestsInFlight : ChunkWindow.group
        for request in scene.open.prefix(answered) { scene.answer(request) }
        try await eventually { await writes.waiting == 1 }
        try await eventually { await scene.onTheWay() == Limits.assetRequestsInFlight - answered }
        fetch.cancel()
        await writes.release()
        #expect(await refusal { try await fetch.value } != nil)
        #expect(gathered.groups == 1)
        #expect(scene.total == Limits.assetRequestsInFlight)
        #expect(await scene.isForgotten())
    }

    // MARK: A channel whose end is told late

    /// Replaces the pair's channel while alpha's store is held: it hears of the old one's end once that is let go. Answers of
    /// this name are held on the new one: alpha would not wait with them for the store.
    private func replaceChannel(
        of pair: TestPair, holding answer: String
    ) async throws -> (link: Link, entering: Task<PlayerRecord, any Error>) {
        await pair.alpha.store.hold()
        let entering = Task { try await pair.alpha.enter("bob") }
        await pair.alpha.store.waitUntilHeld()
        await pair.link.close()
        let link = try await Link.open(pair.alpha.server, pair.beta.server)
        link.back.hold(answer)
        return (link, entering)
    }

    /// Would fail if a chunk were given up that was asked for on the channel which is open when another's end is told.
    @Test("chunks that are asked for on a new channel before the old one's end is told are asked for again, and arrive")
    func chunksBeforeTheEnd() async throws {
        let scene = try await AnsweredByHand(chunks: 20)
        let pair = scene.pair
        let writes = HeldReads()
        let gathered = Gathered()
        let fetch = Task {
            try await scene.fetch(0..<20) { group in
                gathered.add(group)
                await writes.pass()
            }
        }
        try await scene.windowIsOpen()
        for request in scene.open.prefix(ChunkWindow.group) { scene.answer(request) }
        try await eventually { await writes.waiting == 1 }
        let (link, entering) = try await replaceChannel(of: pair, holding: "assetResponse")
        await writes.release()
        try await eventually { link.there.sent.count { $0 == "assetRequest" } == ChunkWindow.group }
        await pair.alpha.store.release()
        // The last group once more, with what had been asked for on the old channel.
        let all = ChunkWindow.group + Limits.assetRequestsInFlight
        try await eventually { link.there.sent.count { $0 == "assetRequest" } == all }
        link.back.release()
        try await fetch.value
        #expect(gathered.isPart(0..<20, of: scene.bytes))
        #expect(link.there.sent.count { $0 == "assetRequest" } == all)
        #expect(await scene.isForgotten())
        _ = try await entering.value
    }

    /// Would fail if a question were given up that was asked on the channel which is open when another's end is told.
    @Test("a question on a new channel before the old one's end is told is asked again, and the player crosses")
    func questionBeforeTheEnd() async throws {
        let pair = try await TestPair.make()
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let (link, entering) = try await replaceChannel(of: pair, holding: "worldResponse")
        _ = try await pair.alpha.travel()
        try await eventually { link.there.sent.contains("worldRequest") }
        await pair.alpha.store.release()
        try await eventually { link.there.sent.count { $0 == "worldRequest" } == 2 }
        link.back.release()
        try await updates.until(.completed)
        #expect(link.there.sent.count { $0 == "worldRequest" } == 2)
        _ = try await entering.value
    }

    // MARK: The other side

    /// Would fail if each request were a visit of its own, if a group had no bound, or if one were answered twice or never.
    @Test("requests that come while others are read are read together")
    func groups() async throws {
        let reads = HeldReads()
        let visits = Visits()
        let pair = try await TestPair.make(held: { GroupedAssetStore(store: $0, reads: reads, visits: visits) })
        let hash = await pair.beta.assets.add([1, 2, 3])
        let answers = Answers(on: pair.link)
        for request in UInt64(1)...32 {
            pair.link.there.inject(.assetRequest(.init(request: request, hash: hash, offset: 0, length: 2)))
        }
        // One that is refused has come behind all of them.
        pair.link.there.inject(.assetRequest(.init(request: 33, hash: hash, offset: 0, length: 2)))
        try await eventually { answers.all[33] != nil }
        #expect(answers.all == [33: .refused("asset.busy")])
        await reads.release()
        try await eventually { answers.all.count == 33 }
        #expect((UInt64(1)...32).allSatisfy { answers.all[$0] == .chunk([1, 2]) } && answers.count == 33)
        // Four groups at once, of at least one; the rest was there when the first of them ended.
        let sizes = visits.sizes
        #expect(sizes.reduce(0, +) == 32 && sizes.count <= 8 && sizes.allSatisfy { $0 <= 8 }, "\(sizes)")
        try await eventually { await pair.beta.server.hasAnsweredAll }
    }

    /// Would fail if one reader were sent for all that came together: a piece that hangs would hold up those behind it.
    @Test("requests that come together are read by as many readers as they need")
    func severalReaders() async throws {
        let reads = HeldReads()
        let visits = Visits()
        let pair = try await TestPair.make(held: { GroupedAssetStore(store: $0, reads: reads, visits: visits) })
        let hash = await pair.beta.assets.add([1, 2, 3])
        let answers = Answers(on: pair.link)
        await pair.beta.server.receive(
            (UInt64(1)...20).map { .assetRequest(.init(request: $0, hash: hash, offset: 0, length: 2)) },
            on: ChannelID(1))
        try await eventually { visits.sizes.reduce(0, +) == 20 }
        #expect(visits.sizes == [8, 8, 4])
        await reads.release()
        try await eventually { answers.all.count == 20 }
        try await eventually { await pair.beta.server.hasAnsweredAll }
    }

    /// Would fail if a group that cannot be read were refused as a whole, or its answers were mixed up.
    @Test("an asset that cannot be read does not spoil the answers of those that are read with it")
    func oneBroken() async throws {
        let reads = HeldReads()
        let visits = Visits()
        let broken = ContentHash.of([6, 6])
        let pair = try await TestPair.make(held: {
            GroupedAssetStore(store: $0, reads: reads, visits: visits, broken: broken)
        })
        let first = await pair.beta.assets.add([1])
        let last = await pair.beta.assets.add([2])
        let answers = Answers(on: pair.link)
        func ask(_ request: UInt64, _ hash: ContentHash) {
            pair.link.there.inject(.assetRequest(.init(request: request, hash: hash, offset: 0, length: 1)))
        }
        // Readers that are held, one after the other, so that what follows waits and is read together.
        for request in UInt64(1)...4 {
            ask(request, first)
            try await eventually { visits.sizes.count == Int(request) }
        }
        for (index, hash) in [first, broken, .of([5, 5]), last].enumerated() { ask(UInt64(index) + 5, hash) }
        pair.link.there.inject(.heartbeat(.init(sequence: 1, sentAt: pair.alpha.clock.now().timestamp)))
        try await eventually { pair.link.back.sent.contains("acknowledgement") }
        await reads.release()
        try await eventually { answers.all.count == 8 }
        #expect(visits.sizes == [1, 1, 1, 1, 4])
        #expect(answers.all[5] == .chunk([1]) && answers.all[8] == .chunk([2]))
        #expect(answers.all[6] == .refused("asset.failed") && answers.all[7] == .refused("asset.unknown"))
    }

    /// Would fail if frames that came together were taken in another order, or only the first of them.
    @Test("frames that came together are taken in order")
    func together() async throws {
        let pair = try await TestPair.make()
        let taken = Mutex<[UInt64]>([])
        pair.link.there.decide { frame in
            if case .acknowledgement(let heartbeat) = frame { taken.withLock { $0.append(heartbeat.sequence) } }
            return .delivered
        }
        let now = pair.alpha.clock.now().timestamp
        let frames = (UInt64(1)...5).map { FederationFrame.heartbeat(.init(sequence: $0, sentAt: now)) }
        await pair.alpha.server.receive(frames, on: ChannelID(1))
        #expect(taken.withLock { $0 } == [1, 2, 3, 4, 5])
    }
}

/// What a peer answers to requests for assets.
private final class Answers: Sendable {
    private let seen = Mutex<(all: [UInt64: FederationFrame.AssetResponse.Answer], count: Int)>(([:], 0))

    init(on link: Link) {
        link.back.decide { [weak self] frame in
            if case .assetResponse(let response) = frame {
                self?.seen.withLock { seen in
                    seen.all[response.request] = response.answer
                    seen.count += 1
                }
            }
            return .delivered
        }
    }

    var all: [UInt64: FederationFrame.AssetResponse.Answer] { seen.withLock { $0.all } }
    var count: Int { seen.withLock { $0.count } }
}

/// How many pieces were read in each visit of a store.
private final class Visits: Sendable {
    private let noted = Mutex<[Int]>([])

    var sizes: [Int] { noted.withLock { $0 } }

    func note(_ size: Int) { noted.withLock { $0.append(size) } }
}

/// An asset store whose visits a test can hold and count, and with an asset that cannot be read.
private struct GroupedAssetStore: AssetStore {
    let store: MemoryAssetStore
    let reads: HeldReads
    let visits: Visits
    var broken: ContentHash?

    func size(of hash: ContentHash) async throws -> Int64? { try await store.size(of: hash) }

    func read(_ hash: ContentHash, offset: Int64, length: Int) async throws -> [UInt8]? {
        guard hash != broken else {
            throw Refusal(.unavailable, code: "store.failed", reason: "a bad sector", remedy: "another disk")
        }
        return try await store.read(hash, offset: offset, length: length)
    }

    func read(_ pieces: [AssetPiece]) async throws -> [[UInt8]?] {
        visits.note(pieces.count)
        await reads.pass()
        return try await readEach(pieces)
    }

    func write() async throws -> any AssetWriter { try await store.write() }

    func quarantine(_ hash: ContentHash) async throws { try await store.quarantine(hash) }

    func remove(_ hash: ContentHash) async throws { try await store.remove(hash) }

    func list() async throws -> [AssetListing] { try await store.list() }
}
