import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import Foundation
import GRDB
import Testing

@testable import FederationSQLite

/// Each test compares every byte in the directory: a look that migrates, checkpoints or writes the lock fails it.
@Suite("A look at a store")
struct ExaminationTests {
    /// Everything in a directory by name.
    private static func contents(_ directory: String) throws -> [String: Data] {
        var found: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
            found[name] = try Data(contentsOf: URL(filePath: "\(directory)/\(name)"))
        }
        return found
    }

    @Test("that is whole says so, and changes nothing, not even who may enter")
    func whole() async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { try await $0.apply([.putServer(Sample.server("a"), card: nil)]) }
        chmod(scratch.data, 0o755)
        let before = try Self.contents(scratch.data)
        #expect(try await SQLiteStore.examine(in: scratch.data) == .whole)
        #expect(try Self.contents(scratch.data) == before)
        #expect(mode(scratch.data) == 0o755)
    }

    @Test("of an older version says so, and leaves it one", arguments: ["delete", "wal"])
    func older(_ journal: String) async throws {
        let scratch = Scratch()
        mkdir(scratch.data, 0o700)
        let queue = try DatabaseQueue(path: scratch.database)
        try await queue.writeWithoutTransaction { _ = try String.fetchOne($0, sql: "PRAGMA journal_mode = \(journal)") }
        try Schema.migrator.migrate(queue, upTo: "1-federation")
        try queue.close()
        let before = try Self.contents(scratch.data)
        #expect(try await SQLiteStore.examine(in: scratch.data) == .older)
        #expect(try Self.contents(scratch.data) == before)
        try await withStore(scratch.data) { _ = try await $0.load() }
        #expect(try await SQLiteStore.examine(in: scratch.data) == .whole)
    }

    @Test("whose server was killed reads what the log holds, and leaves it there")
    func killed() async throws {
        let scratch = Scratch()
        let data = scratch.data
        await #expect(processExitsWith: .signal(SIGKILL)) { [data = data as String] in
            let store = try await SQLiteStore.open(in: DataDirectory(at: data))
            try await store.apply([.putCardSequence(1)])
            kill(getpid(), SIGKILL)
        }
        var before = try Self.contents(scratch.data)
        #expect(before["federation.sqlite3-wal"]?.isEmpty == false)
        // All tables are in the log alone, so that without it there would be nothing to call whole.
        #expect(try await SQLiteStore.examine(in: scratch.data) == .whole)
        var after = try Self.contents(scratch.data)
        before["federation.sqlite3-shm"] = nil
        after["federation.sqlite3-shm"] = nil
        #expect(after == before)
        #expect(try await withStore(scratch.data) { try await $0.load() }.cardSequence == 1)
    }

    @Test("names the row that a start would refuse")
    func damaged() async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { try await $0.apply([.putCardSequence(1)]) }
        let shell = try DatabaseQueue(path: scratch.database)
        try await shell.write { try $0.execute(sql: "UPDATE node SET card_sequence = -1") }
        try shell.close()
        let before = try Self.contents(scratch.data)
        let answer = await refusal { _ = try await SQLiteStore.examine(in: scratch.data) }
        #expect(answer?.code == "store.corrupt")
        #expect(answer?.reason.contains("table node, row 1, column card_sequence holds -1") == true)
        #expect(try Self.contents(scratch.data) == before)
    }

    @Test("that a server has open is refused, and so is another program's")
    func refused() async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { store in
            let answer = await refusal { _ = try await SQLiteStore.examine(in: scratch.data) }
            #expect(answer?.code == "store.inUse")
            #expect(answer?.reason.contains("process \(getpid())") == true)
        }
        #expect(try await SQLiteStore.examine(in: scratch.data) == .whole)
        let other = Scratch()
        mkdir(other.data, 0o700)
        let queue = try DatabaseQueue(path: other.database)
        try await queue.write { try $0.execute(sql: "CREATE TABLE bookmarks (url TEXT)") }
        try queue.close()
        #expect(await refusal { _ = try await SQLiteStore.examine(in: other.data) }?.code == "store.foreign")
    }

    @Test("tells the newest revocation of its own keys, also while a server has it open")
    func revocation() async throws {
        let scratch = Scratch()
        #expect(try await SQLiteStore.lastRevocation(in: scratch.data) == nil)
        try await withStore(scratch.data) { store in
            #expect(try await SQLiteStore.lastRevocation(in: scratch.data) == nil)
            try await store.apply([.putOwnKeys(OwnKeys(revocation: "a.b.c"))])
            #expect(try await SQLiteStore.lastRevocation(in: scratch.data) == "a.b.c")
            try await store.apply([.putOwnKeys(OwnKeys(revocation: "d.e.f"))])
            #expect(try await SQLiteStore.lastRevocation(in: scratch.data) == "d.e.f")
        }
        let before = try Self.contents(scratch.data)
        #expect(try await SQLiteStore.lastRevocation(in: scratch.data) == "d.e.f")
        #expect(try Self.contents(scratch.data) == before)
    }

    @Test(
        "tells what was noted of its own keys, also while a server has it open; of an older version, that it does not")
    func notedKeys() async throws {
        let scratch = Scratch()
        #expect(try await SQLiteStore.notedKeys(in: scratch.data) == OwnKeys())
        let keys = OwnKeys(
            rotations: ["a.b.c"], commitment: KeyCommitment(next: ContentHash.of([1]), recovery: ContentHash.of([2])))
        try await withStore(scratch.data) { store in
            #expect(try await SQLiteStore.notedKeys(in: scratch.data) == OwnKeys())
            try await store.apply([.putOwnKeys(keys)])
            #expect(try await SQLiteStore.notedKeys(in: scratch.data) == keys)
        }
        let before = try Self.contents(scratch.data)
        #expect(try await SQLiteStore.notedKeys(in: scratch.data) == keys)
        #expect(try Self.contents(scratch.data) == before)
        let old = Scratch()
        mkdir(old.data, 0o700)
        let queue = try DatabaseQueue(path: old.database)
        try Schema.migrator.migrate(queue, upTo: "1-federation")
        try queue.close()
        #expect(try await SQLiteStore.notedKeys(in: old.data) == nil)
        // What is left of a store whose log was not copied with it.
        let torn = Scratch()
        mkdir(torn.data, 0o700)
        let empty = try DatabaseQueue(path: torn.database)
        try await empty.writeWithoutTransaction {
            try $0.execute(sql: "PRAGMA journal_mode = WAL; PRAGMA user_version = 0")
        }
        try empty.close()
        #expect(try await SQLiteStore.notedKeys(in: torn.data) == OwnKeys())
    }

    @Test("of the time before there were revocations tells none")
    func noRevocation() async throws {
        let scratch = Scratch()
        mkdir(scratch.data, 0o700)
        let queue = try DatabaseQueue(path: scratch.database)
        try Schema.migrator.migrate(queue, upTo: "1-federation")
        try queue.close()
        #expect(try await SQLiteStore.lastRevocation(in: scratch.data) == nil)
    }

    @Test("in a directory whose name means something in an address is a look at that directory")
    func names() async throws {
        let scratch = Scratch()
        let directory = "\(scratch.path)/50% #1?immutable=0 äß"
        try await withStore(directory) { try await $0.apply([.putCardSequence(1)]) }
        let before = try Self.contents(directory)
        #expect(try await SQLiteStore.examine(in: directory) == .whole)
        #expect(try Self.contents(directory) == before)
    }
}
