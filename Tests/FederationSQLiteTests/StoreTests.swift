import FederationCore
import FederationModel
import FederationService
import Foundation
import GRDB
import TestKit
import Testing

@testable import FederationSQLite

@Suite("A store")
struct StoreTests {
    @Test("on disk holds every change after a restart, and takes it twice", arguments: StoreCase.all)
    func roundTrip(_ sample: StoreCase) async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { try await $0.apply(sample.changes) }
        let state = try await withStore(scratch.data) { store in
            let state = try await store.load().inOrder
            try await store.apply(sample.changes)
            return state
        }
        #expect(state == sample.expected)
        #expect(try await withStore(scratch.data) { try await $0.load().inOrder } == sample.expected)
    }

    @Test("in memory holds every change, and takes it twice", arguments: StoreCase.all)
    func memory(_ sample: StoreCase) async throws {
        let store = MemoryStore()
        try await store.apply(sample.changes)
        #expect(try await store.load() == sample.expected)
        try await store.apply(sample.changes)
        #expect(try await store.load() == sample.expected)
        #expect(try await MemoryStore(sample.expected).load() == sample.expected)
    }

    @Test("on disk holds what one in memory holds after any changes", arguments: [1, 2, 3, 4])
    func agreement(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let scratch = Scratch()
        let memory = MemoryStore()
        let pool = StoreCase.all.flatMap(\.changes)
        for _ in 0..<3 {
            try await withStore(scratch.data) { store in
                for _ in 0..<10 {
                    let changes = (0..<Int.random(in: 0...6, using: &random)).compactMap { _ in
                        pool.randomElement(using: &random)
                    }
                    try await store.apply(changes)
                    try await memory.apply(changes)
                }
                #expect(try await store.load().inOrder == memory.load())
            }
        }
    }

    @Test("of the time before pins had places pins its peers where they are known to be, and no others")
    func pins() async throws {
        let scratch = Scratch()
        let server = Sample.movedServer("a")
        try await withStore(scratch.data) { store in
            try await store.apply([
                .putServer(server, card: nil), .putServer(Sample.movedServer("b"), card: nil),
                .putServer(Sample.server("d"), card: nil), .putPeer(Sample.peer("a")),
                .putPeer(Sample.peer("b", trust: .firstUse, scopes: .all)), .putPeer(Sample.peer("c")),
                .putPeer(Sample.peer("d")),
            ])
        }
        let shell = try DatabaseQueue(path: scratch.database)
        try await shell.write {
            try $0.execute(
                sql: "ALTER TABLE peers DROP COLUMN endpoints; DELETE FROM grdb_migrations WHERE identifier = '7-pins'")
        }
        try shell.close()
        let peers = try await withStore(scratch.data) { try await $0.load() }.peers
        let places = Dictionary(uniqueKeysWithValues: peers.map { ($0.server.rawValue, $0.pinnedEndpoints) })
        let expected = [
            "a": [server.endpoint] + server.alternatives, "b": [], "c": [], "d": [Sample.server("d").endpoint],
        ]
        #expect(places == expected)
    }

    @Test("of the time before suspensions had reasons and registries a count keeps its rows")
    func suspensions() async throws {
        let scratch = Scratch()
        let registry = Sample.registry("https://r", entries: 3)
        try await withStore(scratch.data) { store in
            try await store.apply([
                .putTombstone(Sample.tombstone("a")), .putTombstone(Sample.departed("b")),
                .registry(.putRegistry(registry)), .registry(.putRegistry(Sample.faulty("https://s"))),
            ])
        }
        let shell = try DatabaseQueue(path: scratch.database)
        try await shell.write {
            try $0.execute(
                sql: """
                    ALTER TABLE tombstones DROP COLUMN suspension_reason;
                    DROP TABLE brought;
                    DELETE FROM grdb_migrations
                    WHERE identifier IN ('8-suspensions', '9-brought', '10-brought-by-registry');
                    """)
        }
        try shell.close()
        let state = try await withStore(scratch.data) { store in
            let state = try await store.load()
            try await store.apply([
                .putTombstone(Sample.tombstone("a")), .registry(.putBrought(registry.registry, 3)),
            ])
            return state
        }
        let bare = ServerTombstone(server: ServerID(unchecked: "a"), publicKey: Sample.key(3), isSuspended: true)
        #expect(state.tombstones == [bare, Sample.departed("b")])
        #expect(state.registries == [registry, Sample.faulty("https://s")] && state.brought.isEmpty)
        let later = try await withStore(scratch.data) { try await $0.load() }
        #expect(later.tombstones.first == Sample.tombstone("a") && later.brought == [registry.registry: 3])
    }

    @Test("of the time when what a registry had brought was counted at each address keeps the sum")
    func counts() async throws {
        let scratch = Scratch()
        let known = ["https://r", "https://s"].map { Sample.registry($0, entries: 3) }
        let idle = KnownRegistry(address: "https://t", registry: ServerID(unchecked: "idle"), head: "h.p.s")
        try await withStore(scratch.data) { store in
            try await store.apply((known + [idle]).map { .registry(.putRegistry($0)) })
        }
        let shell = try DatabaseQueue(path: scratch.database)
        try await shell.write {
            try $0.execute(
                sql: """
                    DROP TABLE brought;
                    ALTER TABLE registries ADD COLUMN brought INTEGER NOT NULL DEFAULT 0;
                    UPDATE registries SET brought = 3 WHERE address = 'https://r';
                    UPDATE registries SET brought = 4 WHERE address = 'https://s';
                    DELETE FROM grdb_migrations WHERE identifier = '10-brought-by-registry';
                    """)
        }
        try shell.close()
        let state = try await withStore(scratch.data) { try await $0.load() }
        #expect(state.registries == known + [idle] && state.brought == [ServerID(unchecked: "keeper"): 7])
    }

    @Test("of the time before own promises were kept knows the keys, and takes the promises from then on")
    func ownCommitment() async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { try await $0.apply([.putOwnKeys(Sample.ownKeys)]) }
        let shell = try DatabaseQueue(path: scratch.database)
        try await shell.write {
            try $0.execute(
                sql: """
                    ALTER TABLE own_keys DROP COLUMN next_hash;
                    ALTER TABLE own_keys DROP COLUMN recovery_hash;
                    DELETE FROM grdb_migrations WHERE identifier = '11-own-commitment';
                    """)
        }
        try shell.close()
        var expected = Sample.ownKeys
        expected.commitment = nil
        let kept = try await withStore(scratch.data) { store in
            let kept = try await store.load().ownKeys
            try await store.apply([.putOwnKeys(Sample.ownKeys)])
            return kept
        }
        #expect(kept == expected)
        #expect(try await withStore(scratch.data) { try await $0.load() }.ownKeys == Sample.ownKeys)
    }

    @Test("keeps what many callers write at the same time")
    func concurrentCallers() async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { store in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<600 {
                    group.addTask { try await store.apply([.putPlayer(Sample.player("p\(number)", isPlain: true))]) }
                }
                try await group.waitForAll()
            }
        }
        #expect(try await withStore(scratch.data) { try await $0.load().players.count } == 600)
    }

    @Test("refuses one call of a group without touching the others, and applies none of that call")
    func savepoints() async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { _ in }
        let shell = try DatabaseQueue(path: scratch.database)
        try await shell.write {
            try $0.execute(
                sql: """
                    CREATE TRIGGER no BEFORE INSERT ON players WHEN new.player = 'bad@home'
                    BEGIN SELECT RAISE(ABORT, 'not this one'); END
                    """)
        }
        try shell.close()
        try await withStore(scratch.data) { store in
            let failures = await withTaskGroup(of: (any Error)?.self) { group in
                for number in 0..<20 {
                    let name = number == 9 ? "bad" : "p\(number)"
                    let changes: [StoreChange] = [
                        .putPlayer(Sample.player("with-\(name)")), .putPlayer(Sample.player(name)),
                    ]
                    group.addTask {
                        do {
                            try await store.apply(changes)
                            return nil
                        } catch {
                            return error
                        }
                    }
                }
                return await group.reduce(into: []) { $0 += [$1].compactMap(\.self) }
            }
            #expect(failures.map { ($0 as? Refusal)?.reason.contains("not this one") } == [true])
            let names = try await store.load().players.map(\.player.name.rawValue)
            #expect(names.count == 38)
            #expect(!names.contains("with-bad"))
        }
    }

    @Test("applies what it was given even when the caller is cancelled")
    func cancellation() async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { store in
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                try await store.apply([.putCardSequence(7)])
            }
            try await task.value
            #expect(try await store.load().cardSequence == 7)
        }
    }

    @Test("that was closed refuses")
    func closed() async throws {
        let scratch = Scratch()
        let store = try await SQLiteStore.open(in: DataDirectory(at: scratch.data))
        try await store.close()
        try await store.close()
        #expect(await refusal { try await store.apply([.putCardSequence(1)]) }?.code == "store.closed")
        #expect(await refusal { _ = try await store.load() }?.code == "store.closed")
    }

    @Test("waits for the disk at every commit")
    func synchronousMode() throws {
        let scratch = Scratch()
        let directory = try DataDirectory(at: scratch.data)
        let database = try SQLiteStore.openDatabase(scratch.database, in: directory.path)
        #expect(try database.read { try Int.fetchOne($0, sql: "PRAGMA synchronous") } == 2)
        #expect(try database.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
        try database.close()
    }

    @Test("can be read by a person with sqlite3")
    func readable() async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) {
            let away = PlayerRecord.Presence.departed(to: ServerID(unchecked: "away"), Sample.handoffID(1))
            try await $0.apply([.putPlayer(Sample.player("mira", presence: away))])
        }
        let shell = try DatabaseQueue(path: scratch.database)
        let row = try shell.read {
            try Row.fetchOne($0, sql: "SELECT player, presence, presence_server AS at, spawn FROM players")
        }
        #expect(
            row.map { "\($0)" }
                == #"[player:"mira@home" presence:"departed" at:"away" spawn:"-1.5,0.000001,999999999.25"]"#)
    }

    @Test("in memory fails as often as it was told to, with or without having applied the changes")
    func faults() async throws {
        let store = MemoryStore()
        await store.failNext(1)
        await store.failNext(1, .unanswered)
        #expect(await refusal { try await store.apply([.putCardSequence(1)]) }?.code == "store.failed")
        #expect(try await store.load().cardSequence == 0)
        #expect(await refusal { try await store.apply([.putCardSequence(2)]) }?.code == "store.failed")
        #expect(try await store.load().cardSequence == 2)
        try await store.apply([.putCardSequence(3)])
        #expect(await store.transactions == 2)
    }

    @Test("in memory holds changes back until it is released")
    func hold() async throws {
        let store = MemoryStore()
        await store.hold()
        async let applied: Void = store.apply([.putCardSequence(1)])
        await store.waitUntilHeld()
        #expect(try await store.load().cardSequence == 0)
        await store.release()
        try await applied
        #expect(try await store.load().cardSequence == 1)
    }
}
