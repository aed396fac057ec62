import FederationCrypto
import FederationModel
import FederationService
import Foundation
import TestKit
import Testing

@testable import FederationSQLite

/// Both kinds of asset store must behave alike.
enum AssetStoreKind: String, CaseIterable, Sendable {
    case files
    case memory

    func open(_ scratch: Scratch) async throws -> any AssetStore {
        switch self {
        case .files: try await FileAssetStore.open(in: DataDirectory(at: scratch.data))
        case .memory: MemoryAssetStore()
        }
    }
}

@Suite("An asset store")
struct AssetTests {
    private static let content: [UInt8] = (0..<5_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    private static let hash = ContentHash.of(content)

    private static func put(_ bytes: [UInt8], in store: any AssetStore) async throws -> ContentHash {
        let writer = try await store.write()
        try await writer.append(bytes)
        return try await writer.commit().hash
    }

    @Test("gives back what was written in pieces", arguments: AssetStoreKind.allCases, [0, 1, 999, 1_000, 5_000])
    func roundTrip(_ kind: AssetStoreKind, _ size: Int) async throws {
        let scratch = Scratch()
        let store = try await kind.open(scratch)
        let bytes = Array(Self.content.prefix(size))
        let hash = ContentHash.of(bytes)
        #expect(try await store.size(of: hash) == nil)
        #expect(try await store.read(hash, offset: 0, length: 1) == nil)
        let writer = try await store.write()
        for start in stride(from: 0, to: size, by: 700) {
            try await writer.append(Array(bytes[start..<min(start + 700, size)]))
            #expect(try await store.size(of: hash) == nil)
        }
        try await writer.commit(hash, size: Int64(size))
        #expect(try await store.size(of: hash) == Int64(size))
        #expect(try await readAll(hash, from: store) == bytes)
        #expect(try await store.list() == [AssetListing(hash: hash, size: Int64(size))])
    }

    @Test(
        "reads ranges, shorter only at the end", arguments: AssetStoreKind.allCases,
        [(0, 10, 10), (4_990, 10, 10), (4_990, 11, 10), (4_999, 1, 1), (5_000, 1, 0), (9_999_999, 5, 0), (17, 0, 0)])
    func ranges(_ kind: AssetStoreKind, _ range: (offset: Int, length: Int, expected: Int)) async throws {
        let scratch = Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let store = try await kind.open(scratch)
        _ = try await Self.put(Self.content, in: store)
        let bytes = try await store.read(Self.hash, offset: Int64(range.offset), length: range.length)
        #expect(bytes == Array(Self.content.dropFirst(range.offset).prefix(range.expected)))
    }

    /// Would fail if a file were kept open for another one's pieces, if a missing one shifted the answers, or if the order of the
    /// pieces were not that of the answers.
    @Test("reads pieces of many assets as it reads each of them", arguments: AssetStoreKind.allCases)
    func pieces(_ kind: AssetStoreKind) async throws {
        let scratch = Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let store = try await kind.open(scratch)
        var random = SeededGenerator(seed: 11)
        var pieces: [(piece: AssetPiece, expected: [UInt8]?)] = []
        for size in [0, 1, 700, 5_000] {
            let bytes = random.bytes(size)
            let hash = try await Self.put(bytes, in: store)
            for (offset, length) in [(0, 10), (0, 0), (1, 5_000), (699, 2), (4_990, 10), (9_999, 1)] {
                let expected = Array(bytes.dropFirst(offset).prefix(length))
                pieces.append((AssetPiece(hash: hash, offset: Int64(offset), length: length), expected))
            }
        }
        let missing = ContentHash.of([9, 9, 9])
        for offset in Int64(0)..<3 { pieces.append((AssetPiece(hash: missing, offset: offset, length: 4), nil)) }
        #expect(try await store.read(pieces.map(\.piece)) == pieces.map(\.expected))
        for _ in 0..<5 {
            pieces.shuffle(using: &random)
            #expect(try await store.read(pieces.map(\.piece)) == pieces.map(\.expected))
            #expect(try await store.readEach(pieces.map(\.piece)) == pieces.map(\.expected))
        }
        #expect(try await store.read([]) == [])
        let outside = AssetPiece(hash: missing, offset: -1, length: 1)
        #expect(await refusal { _ = try await store.read([pieces[0].piece, outside]) }?.code == "asset.range")
    }

    /// Would fail if pieces that come together were written in another order, if one were left out, or if those behind a writer's
    /// end were taken.
    @Test("writes pieces that come together as if they came one by one", arguments: AssetStoreKind.allCases)
    func piecesTogether(_ kind: AssetStoreKind) async throws {
        let scratch = Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let store = try await kind.open(scratch)
        let writer = try await store.write()
        let cuts = [0, 0, 1, 700, 701, 4_000, 5_000]
        let pieces = zip(cuts, cuts.dropFirst()).map { Array(Self.content[$0..<$1]) }
        try await writer.append(pieces: Array(pieces.prefix(4)))
        try await writer.append(pieces: [])
        try await writer.append(pieces: Array(pieces.dropFirst(4)))
        try await writer.commit(Self.hash, size: 5_000)
        #expect(try await readAll(Self.hash, from: store) == Self.content)
        #expect(await refusal { try await writer.append(pieces: [[1], [2]]) }?.code == "asset.writerEnded")
    }

    @Test("does not allocate what was asked for but what is there", arguments: AssetStoreKind.allCases)
    func enormousRange(_ kind: AssetStoreKind) async throws {
        let scratch = Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let store = try await kind.open(scratch)
        _ = try await Self.put([1, 2, 3], in: store)
        let bytes = try await store.read(ContentHash.of([1, 2, 3]), offset: 1, length: .max)
        #expect(bytes == [2, 3])
        #expect(await refusal { _ = try await store.read(Self.hash, offset: -1, length: 1) }?.code == "asset.range")
        #expect(await refusal { _ = try await store.read(Self.hash, offset: 0, length: -1) }?.code == "asset.range")
    }

    @Test("keeps nothing of what has another hash or size than announced", arguments: AssetStoreKind.allCases)
    func mismatch(_ kind: AssetStoreKind) async throws {
        let scratch = Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let store = try await kind.open(scratch)
        let short = try await store.write()
        try await short.append([1, 2, 3])
        await #expect(throws: AssetWriteFailure.sizeMismatch(expected: 4, actual: 3)) {
            try await short.commit(Self.hash, size: 4)
        }
        let other = try await store.write()
        try await other.append([1, 2, 3])
        await #expect(throws: AssetWriteFailure.hashMismatch(expected: Self.hash, actual: .of([1, 2, 3]))) {
            try await other.commit(Self.hash, size: 3)
        }
        #expect(try await store.list().isEmpty)
    }

    @Test("refuses to go on with a writer that has ended", arguments: AssetStoreKind.allCases, [0, 1, 2])
    func ended(_ kind: AssetStoreKind, _ end: Int) async throws {
        let scratch = Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let store = try await kind.open(scratch)
        let writer = try await store.write()
        try await writer.append(Self.content)
        switch end {
        case 0: _ = try await writer.commit()
        case 1: await writer.abandon()
        default: _ = try? await writer.commit(Self.hash, size: 1)
        }
        #expect(await refusal { try await writer.append([1]) }?.code == "asset.writerEnded")
        #expect(await refusal { _ = try await writer.commit() }?.code == "asset.writerEnded")
        await writer.abandon()
        #expect(try await store.list().count == (end == 0 ? 1 : 0))
    }

    @Test("moves assets to quarantine, forgets them, and takes them again", arguments: AssetStoreKind.allCases)
    func quarantine(_ kind: AssetStoreKind) async throws {
        let scratch = Scratch()
        let store = try await kind.open(scratch)
        let hash = try await Self.put(Self.content, in: store)
        try await store.quarantine(hash)
        try await store.quarantine(hash)
        #expect(try await store.size(of: hash) == nil)
        #expect(try await store.list().isEmpty)
        let quarantined =
            switch store {
            case let store as FileAssetStore: try await store.listQuarantine()
            case let store as MemoryAssetStore: try await store.listQuarantine()
            default: [AssetListing]()
            }
        #expect(quarantined == [AssetListing(hash: hash, size: 5_000)])
        _ = try await Self.put(Self.content, in: store)
        #expect(try await store.size(of: hash) == 5_000)
        try await store.remove(hash)
        try await store.remove(hash)
        #expect(try await store.read(hash, offset: 0, length: 1) == nil)
    }

    @Test("lists what it holds, sorted by hash", arguments: AssetStoreKind.allCases)
    func listing(_ kind: AssetStoreKind) async throws {
        let scratch = Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let store = try await kind.open(scratch)
        let expected = try await withThrowingTaskGroup(of: AssetListing.self) { group in
            for size in 0..<50 {
                group.addTask {
                    let hash = try await Self.put(Array(Self.content.prefix(size)), in: store)
                    return AssetListing(hash: hash, size: Int64(size))
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }.sorted { $0.hash < $1.hash }
        }
        #expect(try await store.list() == expected)
    }

    @Test("in memory fails as often as it was told to, and lies when it was told to")
    func memoryFaults() async throws {
        let store = MemoryAssetStore()
        await store.failNextWrites(1)
        #expect(await refusal { _ = try await Self.put([1], in: store) }?.code == "store.failed")
        #expect(try await store.list().isEmpty)
        let hash = await store.add([1])
        await store.damage(hash, to: [2])
        #expect(try await readAll(hash, from: store) == [2])
    }
}

@Suite("Assets on disk")
struct AssetFileTests {
    @Test("stand under their hash, survive a restart, and leave no temporaries")
    func names() async throws {
        let scratch = Scratch()
        let bytes = Array("abc".utf8)
        do {
            let store = try await FileAssetStore.open(in: DataDirectory(at: scratch.data))
            let writer = try await store.write()
            try await writer.append(bytes)
            _ = try await writer.commit()
            let dropped = try await store.write()
            try await dropped.append(bytes)
            let abandoned = try await store.write()
            await abandoned.abandon()
        }
        // FIPS 180-4's own example.
        let path = "\(scratch.data)/assets/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(FileManager.default.contents(atPath: path) == Data(bytes))
        #expect(try Files.names(in: "\(scratch.data)/assets/incoming").isEmpty)
        let store = try await FileAssetStore.open(in: DataDirectory(at: scratch.data))
        #expect(try await store.list().map(\.size) == [3])
    }

    @Test("that were being written when the process died are removed at the next start")
    func stale() async throws {
        let scratch = Scratch()
        do { _ = try await FileAssetStore.open(in: DataDirectory(at: scratch.data)) }
        let stale = "\(scratch.data)/assets/incoming/1.part"
        try Data([1, 2]).write(to: URL(filePath: stale))
        let store = try await FileAssetStore.open(in: DataDirectory(at: scratch.data))
        #expect(access(stale, F_OK) != 0)
        let writer = try await store.write()
        try await writer.append([1])
        _ = try await writer.commit()
    }

    @Test("are not what merely looks like one: links, folders, other names")
    func strangers() async throws {
        let scratch = Scratch()
        let store = try await FileAssetStore.open(in: DataDirectory(at: scratch.data))
        let secret = "\(scratch.path)/secret"
        try Data("secret".utf8).write(to: URL(filePath: secret))
        let hash = ContentHash.of(Array("secret".utf8))
        mkdir(store.layout.shard(hash), 0o700)
        symlink(secret, store.layout.file(hash))
        let folder = ContentHash.of([9])
        mkdir(store.layout.shard(folder), 0o700)
        mkdir(store.layout.file(folder), 0o700)
        try Data().write(to: URL(filePath: store.layout.shard(hash) + "/readme.txt"))
        #expect(try await store.list().isEmpty)
        #expect(try await store.size(of: hash) == nil)
        #expect(try await store.size(of: folder) == nil)
        #expect(try await store.read(folder, offset: 0, length: 1) == nil)
        await #expect(throws: Refusal.self) { try await store.read(hash, offset: 0, length: 1) }
    }

    private static func put(_ bytes: [UInt8], in store: FileAssetStore) async throws -> HeldAsset {
        let writer = try await store.write()
        try await writer.append(bytes)
        return .whole(try await writer.commit(ContentHash.of(bytes), size: Int64(bytes.count)))
    }

    /// Would fail if reading a file piece by piece forgot the last piece, took an empty file for a missing one, believed
    /// the size alone, followed a link, or mixed up the order of the answers.
    @Test("are verified as the plainest way does it, whatever has become of them")
    func verified() async throws {
        let scratch = Scratch()
        let store = try await FileAssetStore.open(in: DataDirectory(at: scratch.data))
        let piece = AssetReading.pieceBytes
        var random = SeededGenerator(seed: 7)
        var cases: [(hash: ContentHash, expected: HeldAsset)] = []
        for size in [0, 1, piece - 1, piece, piece + 1, 3 * piece, 3 * piece + 7] {
            let bytes = random.bytes(size)
            cases.append((ContentHash.of(bytes), try await Self.put(bytes, in: store)))
        }
        let damages: [@Sendable ([UInt8]) -> [UInt8]] = [
            { [$0[0] ^ 1] + $0.dropFirst() }, { $0.dropLast() + [$0[$0.count - 1] ^ 1] }, { $0.dropLast() },
            { Array($0.prefix(AssetReading.pieceBytes)) }, { $0 + [0] }, { _ in [] },
        ]
        for damage in damages {
            let bytes = random.bytes(2 * piece + 9)
            _ = try await Self.put(bytes, in: store)
            try Data(damage(bytes)).write(to: URL(filePath: store.layout.file(ContentHash.of(bytes))))
            cases.append((ContentHash.of(bytes), .damaged))
        }
        cases.append((ContentHash.of([9, 9]), .missing))
        let folder = ContentHash.of([9, 8])
        mkdir(store.layout.shard(folder), 0o700)
        mkdir(store.layout.file(folder), 0o700)
        cases.append((folder, .missing))
        let link = ContentHash.of([9, 7])
        let target = "\(scratch.path)/target"
        try Data([9, 7]).write(to: URL(filePath: target))
        mkdir(store.layout.shard(link), 0o700)
        symlink(target, store.layout.file(link))
        cases.append((link, .missing))
        cases.shuffle(using: &random)
        let hashes = cases.map(\.hash)
        #expect(try await store.verify(hashes) == cases.map(\.expected))
        #expect(try await store.verifyByReading(hashes) == cases.map(\.expected))
        #expect(try await store.verify([]) == [])
    }

    /// Would fail if one queue served all hashes, or if the lanes of one call were read one after the other: a disk that is
    /// slow for one asset would hold up all of them.
    @Test("are read in four lanes at once: one that is waited for holds up none in another", arguments: [true, false])
    func lanes(inOneCall: Bool) async throws {
        let scratch = Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let store = try await FileAssetStore.open(in: DataDirectory(at: scratch.data))
        // Whoever opens a named pipe waits for somebody at its other end. Two to a lane: while nobody comes to the
        // second, the lane is occupied from the moment that the first was opened.
        let lanes = try (0..<4).map { lane in
            try ["1", "2"].map { try #require(ContentHash("0\(lane)" + String(repeating: $0, count: 62))) }
        }
        let pipes = lanes.map { $0.map { store.layout.file($0) } }
        for (hashes, paths) in zip(lanes, pipes) {
            mkdir(store.layout.shard(hashes[0]), 0o700)
            for path in paths { try #require(mkfifo(path, 0o600) == 0) }
        }
        let pieces = lanes.map { $0.map { AssetPiece(hash: $0, offset: 0, length: 1) } }
        let calls = inOneCall ? [Array(pieces.joined())] : pieces
        let reading = Task {
            try await withThrowingTaskGroup(of: [[UInt8]?].self) { group in
                for call in calls { group.addTask { try await store.read(call) } }
                return try await group.reduce(into: [[UInt8]?]()) { $0 += $1 }
            }
        }
        var ends: [Int32] = []
        defer { for end in ends where end >= 0 { close(end) } }
        let deadline = ContinuousClock.now + .seconds(20 * patience)
        for paths in pipes {
            // It succeeds once somebody waits there to read.
            var end = open(paths[0], O_WRONLY | O_NONBLOCK | O_CLOEXEC)
            while end < 0, ContinuousClock.now < deadline {
                await Task.yield()
                end = open(paths[0], O_WRONLY | O_NONBLOCK | O_CLOEXEC)
            }
            #expect(end >= 0, "nobody reads \(paths[0]) while others are waited for")
            ends.append(end)
        }
        // Now nobody waits any longer, whether the lanes were read at once or not. A pipe is no asset.
        for path in pipes.joined() { ends.append(open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)) }
        #expect(try await reading.value == [[UInt8]?](repeating: nil, count: 8))
    }

    @Test("that went bad are mended by writing them again")
    func mended() async throws {
        let scratch = Scratch()
        let store = try await FileAssetStore.open(in: DataDirectory(at: scratch.data))
        for bytes: [UInt8] in [[1, 2, 3], [1, 2, 3]] {
            let writer = try await store.write()
            try await writer.append(bytes)
            let hash = try await writer.commit().hash
            #expect(try await readAll(hash, from: store) == [1, 2, 3])
            try Data([6, 6, 6]).write(to: URL(filePath: store.layout.file(hash)))
        }
    }

    @Test("that do not fit on the disk are refused, and nothing is left of them")
    func noSpace() async throws {
        let scratch = Scratch()
        let data = scratch.data
        await #expect(processExitsWith: .exitCode(0)) { [data = data as String] in
            guard limitFiles(to: 100_000) else { exit(10) }
            let store = try await FileAssetStore.open(in: DataDirectory(at: data))
            let writer = try await store.write()
            try await writer.append([UInt8](repeating: 1, count: 90_000))
            do {
                try await writer.append([UInt8](repeating: 1, count: 90_000))
                exit(11)
            } catch let refusal as Refusal {
                guard refusal.code == "store.full" else { exit(12) }
            }
            let left = try Files.names(in: "\(data)/assets/incoming")
            guard try await store.list().isEmpty, left.isEmpty else { exit(13) }
            exit(0)
        }
    }
}
