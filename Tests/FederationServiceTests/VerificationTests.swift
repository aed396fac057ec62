import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import FederationWire
import ServiceTestKit
import Synchronization
import TestKit
import Testing

/// Step 5 of a crossing: every asset of the destination world is here and has the hash that its manifest promises.
@Suite("FederationServer, verification", .timeLimit(.minutes(patience)))
struct VerificationTests {
    /// Files of several chunks, one chunk exactly, one byte and none.
    static let files: [String: [UInt8]] = [
        "large.bin": (0..<400_000).map { UInt8(truncatingIfNeeded: $0 >> 8 ^ $0) },
        "chunk.bin": [UInt8](repeating: 3, count: Limits.assetChunkBytes),
        "byte.bin": [9],
        "empty.bin": [],
    ]

    private static func hash(_ path: String) -> ContentHash { ContentHash.of(files[path] ?? []) }

    /// Starts a crossing that is refused, and returns what the player was told.
    private func refused(_ pair: TestPair) async throws -> Refusal {
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        let seen = try await updates.until(.returned)
        let refusal = try #require(seen.last?.refusal)
        let after = try await pair.alpha.server.crossing(crossing.id)
        #expect(after.phase == .aborted && after.refusal == refusal)
        #expect(after.steps.last.map { [$0.step.rawValue, "\($0.ok)"] } == ["verification", "false"])
        #expect(refusal.step == .verification)
        // Whatever happens, the player plays on at home.
        #expect(try await pair.alpha.server.player(pair.ada).presence == .playable)
        #expect(!pair.link.there.sent.contains("offer"))
        return refusal
    }

    // MARK: What works

    @Test("what is missing is fetched and verified, what is held is verified, and both are told")
    func fetches() async throws {
        let pair = try await TestPair.make(files: Self.files)
        await pair.alpha.assets.add(Self.files["chunk.bin"] ?? [])
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        let crossing = try await pair.alpha.travel()
        let seen = try await updates.until(.completed)
        let progress = seen.compactMap { update -> Int? in
            if case .verifying(_, let verified, let total) = update, total == 4 { verified } else { nil }
        }
        #expect(progress == [1, 2, 3, 4])
        for (path, bytes) in Self.files {
            #expect(try await pair.alpha.assets.read(Self.hash(path), offset: 0, length: .max) == bytes)
        }
        let step = try #require(
            try await pair.alpha.server.crossing(crossing.id).steps.first { $0.step == .verification })
        let manifest = try await pair.beta.server.world(try #require(WorldID("forest"))).manifestSize
        #expect(step.ok && step.detail.contains("4 files"))
        #expect(step.detail.contains("(\(400_001 + manifest) bytes fetched)"))
        // The second time nothing is asked but which manifest is the right one.
        let before = pair.link.there.sent.count { $0 == "assetRequest" }
        try await pair.alpha.enter("bob")
        let bob = try await pair.alpha.server.updates(of: try pair.alpha.player("bob"))
        _ = try await pair.alpha.travel("bob")
        try await bob.until(.completed)
        #expect(pair.link.there.sent.count { $0 == "assetRequest" } == before)
    }

    @Test("players who go at the same time wait for one verification, and no peer is asked for too much at once")
    func together() async throws {
        var files: [String: [UInt8]] = [:]
        for number in 0..<12 { files["\(number).bin"] = [UInt8](repeating: UInt8(number), count: 300_000) }
        let pair = try await TestPair.make(files: files)
        let inFlight = Mutex((now: 0, most: 0))
        pair.link.there.decide { frame in
            if case .assetRequest = frame { inFlight.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) } }
            return .delivered
        }
        pair.link.back.decide { frame in
            if case .assetResponse = frame { inFlight.withLock { $0.now -= 1 } }
            return .delivered
        }
        let names = ["ada", "bob", "cyd", "dan"]
        for name in names { try await pair.alpha.enter(name) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for name in names {
                let updates = try await pair.alpha.server.updates(of: try pair.alpha.player(name))
                _ = try await pair.alpha.travel(name)
                group.addTask {
                    let seen = try await updates.until(.completed)
                    #expect(seen.contains { $0.kind == .verifying })
                }
            }
            try await group.waitForAll()
        }
        let most = inFlight.withLock { $0.most }
        #expect(most > 1 && most <= Limits.assetRequestsInFlight)
        // Twelve files of five chunks, and the manifest: each once.
        #expect(pair.link.there.sent.count { $0 == "assetRequest" } == 61)
    }

    /// Would fail if no more were asked for while the first chunk is late, if more were asked for than may wait for it, or if
    /// chunks were written in the order in which they come.
    @Test("an asset's chunks are asked for ahead, within a bound, and put together in order")
    func window() async throws {
        var bytes: [UInt8] = [7]
        for chunk in 0..<UInt8(40) { bytes += [UInt8](repeating: chunk, count: Limits.assetChunkBytes) }
        let hash = ContentHash.of(bytes)
        let pair = try await TestPair.make(files: ["large.bin": bytes])
        let furthest = Mutex<Int64>(0)
        pair.link.there.decide { frame in
            guard case .assetRequest(let request) = frame, request.hash == hash else { return .delivered }
            furthest.withLock { $0 = max($0, request.offset) }
            return request.offset == 0 ? .held : .delivered
        }
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        let last = Int64((Limits.assetRequestsInFlight - 1) * Limits.assetChunkBytes)
        try await eventually { furthest.withLock { $0 } >= last }
        // All but the first are answered, and so is the manifest.
        try await eventually {
            pair.link.back.sent.count { $0 == "assetResponse" } >= Limits.assetRequestsInFlight
        }
        #expect(furthest.withLock { $0 } == last)
        pair.link.there.release()
        try await updates.until(.completed)
        #expect(pair.link.there.sent.count { $0 == "assetRequest" } == 42)
        #expect(try await pair.alpha.assets.read(hash, offset: 0, length: .max) == bytes)
    }

    /// Would fail if a batch of held assets left one out, or took one for missing.
    @Test("of many assets that are held, small and large, none is asked for")
    func batches() async throws {
        var files: [String: [UInt8]] = ["large.bin": [UInt8](repeating: 1, count: 5 << 20)]
        for number in 0..<150 { files["\(number).bin"] = [UInt8](repeating: UInt8(number), count: 1_000 + number) }
        let pair = try await TestPair.make(files: files)
        for bytes in files.values { await pair.alpha.assets.add(bytes) }
        let crossing = try await pair.cross()
        #expect(pair.link.there.sent.count { $0 == "assetRequest" } == 1)
        let steps = try await pair.alpha.server.crossing(crossing.id).steps
        #expect(steps.first { $0.step == .verification }?.detail.contains("151 files") == true)
    }

    @Test("a content that several files have is fetched once")
    func duplicates() async throws {
        let pair = try await TestPair.make(files: ["a.bin": [1, 2], "b.bin": [1, 2], "c.bin": [3]])
        let told = Told(try await pair.alpha.server.updates(of: pair.ada))
        try await pair.cross()
        #expect(pair.link.there.sent.count { $0 == "assetRequest" } == 3)
        try await eventually { told.kinds.contains(.completed) }
        let last = told.all.last { $0.kind == .verifying }
        guard case .verifying(_, verified: 3, of: 3)? = last else {
            Issue.record("\(String(describing: last)) is not 3 of 3")
            return
        }
    }

    @Test("what is held and damaged is moved away and fetched again", arguments: [[UInt8](), [1, 2, 3], [9, 9]])
    func damaged(_ bytes: [UInt8]) async throws {
        let pair = try await TestPair.make(files: ["one.bin": [1, 2, 4]])
        let hash = await pair.alpha.assets.add([1, 2, 4])
        await pair.alpha.assets.damage(hash, to: bytes)
        try await pair.cross()
        #expect(try await pair.alpha.assets.read(hash, offset: 0, length: 9) == [1, 2, 4])
        #expect(try await pair.alpha.assets.listQuarantine().map(\.hash) == [hash])
    }

    @Test(
        "a manifest that gives a held asset another size is refused, and does not cost us the asset", arguments: [1, 4])
    func lyingSize(_ size: Int) async throws {
        let pair = try await TestPair.make()
        let hash = await pair.alpha.assets.add([1, 2, 3])
        await pair.beta.assets.add([1, 2, 3])
        try await Self.publishUnchecked("forest", [try TestServer.entry("one.bin", hash, size)], on: pair)
        #expect(try await refused(pair).code == "asset.mismatch")
        #expect(try await pair.alpha.assets.read(hash, offset: 0, length: 9) == [1, 2, 3])
        #expect(try await pair.alpha.assets.listQuarantine().isEmpty)
    }

    /// Makes beta answer with a manifest that it would not publish by itself.
    private static func publishUnchecked(_ world: String, _ entries: [AssetEntry], on pair: TestPair) async throws {
        let manifest = try WorldManifest(world: try #require(WorldID(world)), name: "A lie", entries: entries)
        let bytes = manifest.canonicalBytes
        try await answer(with: await pair.beta.assets.add(bytes), size: bytes.count, on: pair)
    }

    private static func answer(with hash: ContentHash, size: Int, on pair: TestPair) async throws {
        pair.link.back.decide { frame in
            guard case .worldResponse(let response) = frame else { return .delivered }
            return .replaced(
                .worldResponse(
                    FederationFrame.WorldResponse(
                        request: response.request, answer: .manifest(hash, size: Int64(size)))))
        }
    }

    // MARK: What is refused

    /// What the peer does instead of answering well.
    enum Fault: String, Sendable, CaseIterable {
        case corrupted = "asset.mismatch"
        case truncated = "asset.truncated"
        case refused = "asset.withheld"
        case another = "peer.confused"
        case world = "world.secret"
    }

    @Test("a peer that does not keep its manifest's promise sees nobody cross", arguments: Fault.allCases)
    func faults(_ fault: Fault) async throws {
        let pair = try await TestPair.make(files: Self.files)
        let manifest = try await pair.beta.server.world(try #require(WorldID("forest")))
        pair.link.back.decide { frame in
            switch frame {
            case .assetResponse(let response):
                guard case .chunk(let bytes) = response.answer, bytes.count == Limits.assetChunkBytes,
                    Int64(bytes.count) != manifest.manifestSize
                else { return .delivered }
                let answer: FederationFrame.AssetResponse.Answer
                switch fault {
                case .corrupted: answer = .chunk([bytes[0] ^ 1] + bytes.dropFirst())
                case .truncated: answer = .chunk(Array(bytes.dropLast()))
                case .refused: answer = .refused(fault.rawValue)
                case .another:
                    return .replaced(
                        .worldResponse(
                            FederationFrame.WorldResponse(request: response.request, answer: .refused("a.b"))))
                case .world: return .delivered
                }
                return .replaced(
                    .assetResponse(FederationFrame.AssetResponse(request: response.request, answer: answer)))
            case .worldResponse(let response) where fault == .world:
                return .replaced(
                    .worldResponse(
                        FederationFrame.WorldResponse(request: response.request, answer: .refused(fault.rawValue))))
            default:
                return .delivered
            }
        }
        #expect(try await refused(pair).code == fault.rawValue)
        // Nothing of a refused asset is kept, and one that goes on later starts anew.
        #expect(try await pair.alpha.assets.size(of: Self.hash("chunk.bin")) == nil)
        pair.link.back.release()
        try await pair.cross()
        #expect(try await pair.alpha.assets.size(of: Self.hash("large.bin")) == 400_000)
    }

    @Test("a manifest that is not one", arguments: ["garbage", "another world", "too large", "lost"])
    func manifests(_ kind: String) async throws {
        let pair = try await TestPair.make()
        let expected: String
        switch kind {
        case "garbage":
            let bytes = Array("{\"not\":\"a manifest\"}".utf8)
            try await Self.answer(with: await pair.beta.assets.add(bytes), size: bytes.count, on: pair)
            expected = "manifest.invalid"
        case "another world":
            let other = try WorldManifest(world: try #require(WorldID("desert")), name: "Desert", entries: [])
            let bytes = other.canonicalBytes
            try await Self.answer(with: await pair.beta.assets.add(bytes), size: bytes.count, on: pair)
            expected = "manifest.wrongWorld"
        case "too large":
            // The wire refuses more before it comes here, so that the frame is put in behind it.
            try await Self.answer(with: ContentHash.of([]), size: Limits.manifestBytes + 1, on: pair)
            expected = "manifest.tooLarge"
        default:
            try await Self.answer(with: ContentHash.of([1]), size: 1, on: pair)
            expected = "asset.unknown"
        }
        #expect(try await refused(pair).code == expected)
    }

    @Test("one manifest for two worlds is still only one world's")
    func wrongWorldRemembered() async throws {
        let pair = try await TestPair.make()
        try await pair.cross()
        let forest = try await pair.beta.server.world(try #require(WorldID("forest")))
        try await pair.beta.publish("desert")
        try await pair.alpha.route("mirage", to: pair.beta, world: "desert")
        try await Self.answer(with: forest.manifest, size: Int(forest.manifestSize), on: pair)
        try await pair.alpha.enter("bob")
        let updates = try await pair.alpha.server.updates(of: try pair.alpha.player("bob"))
        _ = try await pair.alpha.travel("bob", through: "mirage")
        #expect(try await updates.until(.returned).last?.refusal?.code == "manifest.wrongWorld")
    }

    @Test(
        "a peer that falls silent is waited for ten seconds and not longer",
        arguments: ["worldRequest", "assetRequest"])
    func silence(_ frame: String) async throws {
        let pair = try await TestPair.make(files: Self.files)
        pair.link.there.decide { $0.name == frame ? .lost : .delivered }
        let refusing = Task { try await refused(pair) }
        try await eventually { pair.link.there.sent.contains(frame) }
        await pair.alpha.clock.sleeper(for: .seconds(10))
        pair.alpha.clock.advance(by: .seconds(10))
        #expect(try await refusing.value.code == "peer.silent")
    }

    @Test("a channel that closes ends the wait at once", arguments: ["worldRequest", "assetRequest"])
    func disconnected(_ frame: String) async throws {
        let pair = try await TestPair.make(files: Self.files)
        pair.link.there.decide { $0.name == frame ? .lost : .delivered }
        let refusing = Task { try await refused(pair) }
        try await eventually { pair.link.there.sent.contains(frame) }
        await pair.link.close()
        #expect(try await refusing.value.code == "peer.disconnected")
    }

    @Test("a question whose channel is replaced is asked again on the new one, and the player crosses")
    func replaced() async throws {
        let pair = try await TestPair.make()
        pair.link.there.decide { $0.name == "worldRequest" ? .lost : .delivered }
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        try await eventually { pair.link.there.sent.contains("worldRequest") }
        // Were the old channel's end heard of before the new one stands, the question would rightly be given up.
        for pipe in [pair.link.there, pair.link.back] { pipe.whenClosed {} }
        let link = try await Link.open(pair.alpha.server, pair.beta.server)
        await pair.link.close()
        try await updates.until(.completed)
        // Whichever end sees the new channel first closes the old one.
        try await eventually {
            (pair.link.there.sent + pair.link.back.sent).contains("close duplicateChannel")
        }
        #expect(link.there.sent.contains("worldRequest"))
        #expect(link.there.sent.contains("offer"))
    }

    @Test("an answer counts only when it comes from who was asked")
    func foreignAnswers() async throws {
        let pair = try await TestPair.make()
        let gamma = try await TestServer.start("gamma", seed: 3, clock: pair.alpha.clock)
        let toGamma = try await Link.connect(pair.alpha.server, gamma.server)
        pair.link.there.hold("worldRequest")
        let updates = try await pair.alpha.server.updates(of: pair.ada)
        _ = try await pair.alpha.travel()
        try await eventually { pair.link.there.sent.contains("worldRequest") }
        for request in UInt64(0)..<5 {
            toGamma.back.inject(
                .worldResponse(FederationFrame.WorldResponse(request: request, answer: .refused("a.lie"))))
        }
        toGamma.back.inject(
            .heartbeat(FederationFrame.Heartbeat(sequence: 1, sentAt: pair.alpha.clock.now().timestamp)))
        try await eventually { toGamma.there.sent.contains("acknowledgement") }
        pair.link.there.release()
        try await updates.until(.completed)
    }

    @Test("a disk that refuses an asset is our own fault, and says so")
    func diskFails() async throws {
        let pair = try await TestPair.make(files: Self.files)
        await pair.alpha.assets.failNextWrites(1)
        #expect(try await refused(pair).kind == .unavailable)
        try await pair.cross()
    }

    // MARK: The other side

    @Test("a peer may have so many reads on the way; what is beyond is refused at once")
    func flood() async throws {
        let reads = HeldReads()
        let pair = try await TestPair.make(held: { HeldAssetStore(store: $0, reads: reads) })
        for request in 1...UInt64(100) {
            pair.link.there.inject(
                .assetRequest(
                    FederationFrame.AssetRequest(request: request, hash: ContentHash.of([]), offset: 0, length: 1)))
        }
        try await eventually { pair.link.back.sent.count { $0 == "assetResponse" } == 68 }
        try await eventually { await reads.waiting > 0 }
        #expect(pair.link.back.sent.count { $0 == "assetResponse" } == 68)
        await reads.release()
        try await eventually { pair.link.back.sent.count { $0 == "assetResponse" } == 100 }
        // The places are free again.
        try await pair.cross()
    }
}

/// Reads that wait until a test lets them go on.
actor HeldReads {
    private var continuations: [CheckedContinuation<Void, Never>] = []
    private var isOpen = false

    var waiting: Int { continuations.count }

    func pass() async {
        guard !isOpen else { return }
        await withCheckedContinuation { continuations.append($0) }
    }

    func release() {
        isOpen = true
        for continuation in continuations { continuation.resume() }
        continuations = []
    }
}

/// An asset store whose reads a test can hold.
struct HeldAssetStore: AssetStore {
    let store: MemoryAssetStore
    let reads: HeldReads

    func size(of hash: ContentHash) async throws -> Int64? { try await store.size(of: hash) }

    func read(_ hash: ContentHash, offset: Int64, length: Int) async throws -> [UInt8]? {
        await reads.pass()
        return try await store.read(hash, offset: offset, length: length)
    }

    func write() async throws -> any AssetWriter { try await store.write() }

    func quarantine(_ hash: ContentHash) async throws { try await store.quarantine(hash) }

    func remove(_ hash: ContentHash) async throws { try await store.remove(hash) }

    func list() async throws -> [AssetListing] { try await store.list() }
}
