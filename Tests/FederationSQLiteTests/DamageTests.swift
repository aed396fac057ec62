import FederationCore
import FederationModel
import FederationService
import Foundation
import GRDB
import Testing

@testable import FederationSQLite

/// What somebody does to a file behind the store's back, and how the store answers.
struct Damage: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let sql: String
    let reason: String

    init(_ sql: String, _ reason: String) {
        testDescription = sql
        self.sql = sql
        self.reason = reason
    }

    static let rows = [
        Damage(
            "UPDATE servers SET endpoint = 'ftp://x'", "table servers, row \"a\", column endpoint holds \"ftp://x\""),
        Damage("UPDATE servers SET id = 'A b'", "row \"A b\", column id holds \"A b\""),
        Damage("UPDATE servers SET status = 'asleep'", "column status holds \"asleep\""),
        Damage("UPDATE servers SET public_key = upper(public_key) || '\n'", "column public_key holds \"07"),
        Damage("UPDATE servers SET endpoint = 'wss://h:07700'", "column endpoint holds \"wss://h:07700\""),
        Damage("UPDATE servers SET worlds = 'Harbour'", "column worlds holds \"Harbour\""),
        Damage("UPDATE servers SET worlds = 'harbour Garden'", "column worlds holds \"Garden\""),
        Damage("UPDATE servers SET worlds = 'harbour' || char(0x301)", "column worlds holds \"harbou"),
        Damage("UPDATE servers SET alternatives = 'ws://h ftp://h'", "column alternatives holds \"ftp://h\""),
        Damage("UPDATE tombstones SET is_suspended = 2", "column is_suspended holds 2"),
        Damage("UPDATE peers SET public_key = ''", "table peers, row \"a\", column public_key"),
        Damage("UPDATE routes SET spawn = '1,2,nan'", "column spawn holds \"1,2,nan\""),
        Damage("UPDATE worlds SET manifest = 'ff'", "table worlds, row \"w\", column manifest"),
        Damage("UPDATE players SET presence = 'departing'", "does not go with the presence departing"),
        Damage("UPDATE players SET player = 'mira'", "table players, row \"mira\", column player"),
        Damage("UPDATE handoffs SET id = replace(id, '1', 'G')", "row \"0000000000000000000000000000000G\", column id"),
        Damage("UPDATE handoffs SET id = '01'", "row \"01\", column id holds \"01\", which is no HandoffID"),
        Damage("UPDATE handoffs SET player = 'mira@alpha@beta'", "column player holds \"mira@alpha@beta\""),
        Damage("UPDATE handoffs SET state = 'finished'", "column state holds \"finished\""),
        Damage("UPDATE handoffs SET role = 'both'", "row \"00000000000000000000000000000001\", column role"),
        Damage("UPDATE handoffs SET snapshot_hash = printf('%.*c', 500, 'x')", "column snapshot_hash holds \"xxxxx"),
        Damage("UPDATE policy SET json = '{}{}'", "table policy, row 1, column json holds \"{}{}\""),
        Damage("UPDATE policy SET json = replace(json, 'deny', 'Deny')", "column json holds \"{"),
        Damage("UPDATE policy SET json = replace(json, 'id:b*', 'id:B*')", "which is no TrustPolicy"),
    ]

    /// Numbers that would be counted on from, added up or taken for a size.
    static let numbers = [
        Damage(
            "INSERT INTO node VALUES (1, -1)",
            "table node, row 1, column card_sequence holds -1, which is not from 0 to 9223372036854775807"),
        Damage("INSERT INTO decisions VALUES ('a', -1)", "table decisions, row \"a\", column count holds -1"),
        Damage(
            "INSERT INTO recalls VALUES ('mira@a', 0)",
            "table recalls, row \"mira@a\", column epoch holds 0, which is not from 1 to 281474976710655"),
        Damage("INSERT INTO recalls VALUES ('mira@a', 281474976710656)", "column epoch holds 281474976710656"),
        Damage(
            "INSERT INTO brought VALUES ('a', 9223372036854775807), ('b', 1)",
            "table brought, row \"a\", column count holds 9223372036854775807, which is not from 0 to 2147483647"),
        Damage("INSERT INTO brought VALUES ('a', -1)", "table brought, row \"a\", column count holds -1"),
        Damage("UPDATE players SET revision = -1", "table players, row \"mira@home\", column revision holds -1"),
        Damage("UPDATE players SET epoch = 0", "table players, row \"mira@home\", column epoch holds 0"),
        Damage("UPDATE servers SET record_sequence = -1", "table servers, row \"a\", column record_sequence holds -1"),
        Damage("UPDATE tombstones SET record_sequence = -1", "table tombstones, row \"a\", column record_sequence"),
        Damage("UPDATE handoffs SET epoch = -1", "column epoch holds -1"),
        Damage("UPDATE handoffs SET revision = -1", "column revision holds -1"),
        Damage("UPDATE handoffs SET snapshot_size = -1", "column snapshot_size holds -1, which is not from 0 to"),
        Damage("UPDATE handoffs SET snapshot_size = 1048577", "column snapshot_size holds 1048577"),
        Damage("UPDATE handoffs SET decision = 0", "column decision holds 0, which is not from 1 to"),
        Damage("INSERT INTO passages VALUES ('a mira@a', 'a', 'mira@a', 0, 't')", "column decision holds 0"),
        Damage("INSERT INTO reclaims VALUES ('mira@a', 'b', 0, 1, 'lost', 0)", "column voided holds 0"),
        Damage("INSERT INTO reclaims VALUES ('mira@a', 'b', 1, -1, 'lost', 0)", "column epoch holds -1"),
        Damage("UPDATE worlds SET manifest_size = -1", "table worlds, row \"w\", column manifest_size holds -1"),
        Damage("UPDATE worlds SET assets = 65537", "table worlds, row \"w\", column assets holds 65537"),
        Damage("UPDATE worlds SET total_size = -1", "table worlds, row \"w\", column total_size holds -1"),
        Damage(
            """
            INSERT INTO registries (address, registry, head, size, hashes)
            VALUES ('https://r', 'b', 'h.p.s', 9223372036854775807, '')
            """, "table registries, row \"https://r\", column size holds 9223372036854775807"),
        Damage(
            "INSERT INTO bindings SELECT id, public_key, NULL, NULL, '', -1, 0, 0 FROM servers",
            "table bindings, row \"a\", column revocation holds -1"),
    ]
}

@Suite("A damaged store")
struct DamageTests {
    private static let full: [StoreChange] = [
        .putServer(Sample.server("a"), card: nil), .putTombstone(Sample.tombstone("a")), .putPeer(Sample.peer("a")),
        .putRoute(Sample.route("r")), .putWorld(Sample.world("w")), .putPlayer(Sample.player("mira")),
        .putHandoff(Sample.handoff(1)), .trust(.putPolicy(TrustPolicy(deny: [.id("b*")]))),
    ]

    @Test("names the row that cannot be read, on one line", arguments: Damage.rows + Damage.numbers)
    func badRow(_ damage: Damage) async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { try await $0.apply(Self.full) }
        let shell = try DatabaseQueue(path: scratch.database)
        try await shell.write { try $0.execute(sql: damage.sql) }
        try shell.close()
        let refused = await refusal { try await withStore(scratch.data) { _ = try await $0.load() } }
        let answer = try #require(refused)
        #expect(answer.code == "store.corrupt")
        #expect(answer.reason.contains(damage.reason), "\(answer)")
        #expect(answer.description.utf8.count < 600)
        #expect(answer.description.split(whereSeparator: \.isNewline).count == 1)
    }

    @Test("that is no database at all is refused")
    func noDatabase() async throws {
        let scratch = Scratch()
        mkdir(scratch.data, 0o700)
        try Data("this is a letter to my aunt, and no database ".utf8 + [UInt8](repeating: 0x20, count: 4_096))
            .write(to: URL(filePath: scratch.database))
        let answer = await refusal { try await withStore(scratch.data) { _ in } }
        #expect(answer?.code == "store.corrupt")
        #expect(answer?.reason.contains(scratch.database) == true)
    }

    @Test("with a page overwritten is refused, and never crashes", arguments: 1...6)
    func badPage(_ page: Int) async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { try await $0.apply(Self.full) }
        let file = try FileHandle(forUpdating: URL(filePath: scratch.database))
        try file.seek(toOffset: UInt64(page * 4_096))
        try file.write(contentsOf: Data(repeating: 0xEE, count: 4_096))
        try file.close()
        let answer = await refusal { try await withStore(scratch.data) { _ = try await $0.load() } }
        #expect(answer?.code == "store.corrupt")
    }

    @Test("cut short is refused")
    func truncated() async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { try await $0.apply(Self.full) }
        truncate(scratch.database, 3 * 4_096 + 17)
        let answer = await refusal { try await withStore(scratch.data) { _ = try await $0.load() } }
        #expect(answer?.code == "store.corrupt")
    }

    @Test("of a newer version is refused and left as it is")
    func newer() async throws {
        let scratch = Scratch()
        try await withStore(scratch.data) { try await $0.apply(Self.full) }
        let shell = try DatabaseQueue(path: scratch.database)
        try await shell.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99-from-the-future')") }
        try shell.close()
        let answer = await refusal { try await withStore(scratch.data) { _ in } }
        #expect(answer?.code == "store.newer")
        let names = try await DatabaseQueue(path: scratch.database).read {
            try String.fetchAll($0, sql: "SELECT identifier FROM grdb_migrations ORDER BY identifier")
        }
        #expect(
            names == [
                "1-federation", "10-brought-by-registry", "11-own-commitment", "2-passages", "3-keys", "4-registry",
                "5-policy", "6-registry-faults", "7-pins", "8-suspensions", "9-brought", "99-from-the-future",
            ])
    }

    @Test(
        "of another program is refused and left as it is",
        arguments: [
            ["CREATE TABLE bookmarks (url TEXT)"],
            ["CREATE TABLE bookmarks (url TEXT)", Self.migrations],
            [Self.migrations, "CREATE TABLE bookmarks (url TEXT)"],
            [Self.migrations, "INSERT INTO grdb_migrations VALUES ('1-bookmarks')"],
            [Self.migrations, "INSERT INTO grdb_migrations VALUES ('1-federation')"],
            [Self.migrations, "CREATE VIEW bookmarks AS SELECT identifier FROM grdb_migrations"],
            [Self.migrations, "PRAGMA application_id = 252006673"],
        ])
    func foreign(_ statements: [String]) async throws {
        let scratch = Scratch()
        mkdir(scratch.data, 0o700)
        let other = try DatabaseQueue(path: scratch.database)
        try await other.write { for sql in statements { try $0.execute(sql: sql) } }
        try other.close()
        #expect(await refusal { try await withStore(scratch.data) { _ in } }?.code == "store.foreign")
        let tables = try await DatabaseQueue(path: scratch.database).read {
            try String.fetchAll($0, sql: "SELECT name FROM sqlite_master WHERE name = 'servers'")
        }
        #expect(tables.isEmpty)
    }

    /// As GRDB makes it before the first migration, in a transaction of its own.
    private static let migrations = "CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY)"

    private struct BrokenOff: Error {}

    @Test("whose first start was broken off before the first migration is begun again")
    func unbegun() async throws {
        let scratch = Scratch()
        mkdir(scratch.data, 0o700)
        let queue = try DatabaseQueue(path: scratch.database)
        var migrator = DatabaseMigrator()
        migrator.registerMigration("0-never") { _ in throw BrokenOff() }
        #expect(throws: BrokenOff.self) { try migrator.migrate(queue) }
        let left = try await queue.read { try String.fetchAll($0, sql: "SELECT name FROM sqlite_master") }
        #expect(left.contains("grdb_migrations"))
        try queue.close()
        let server = Sample.server("a")
        try await withStore(scratch.data) { try await $0.apply([.putServer(server, card: nil)]) }
        #expect(try await withStore(scratch.data) { try await $0.load() }.servers == [server])
    }

    @Test("whose first start found no space is begun again once there is some", arguments: [40, 48, 64, 96] as [UInt])
    func noSpace(_ kibibytes: UInt) async throws {
        let scratch = Scratch()
        let data = scratch.data
        await #expect(processExitsWith: .exitCode(0)) { [data = data as String, kibibytes = kibibytes as UInt] in
            guard limitFiles(to: kibibytes * 1_024) else { exit(10) }
            do {
                _ = try await SQLiteStore.open(in: DataDirectory(at: data))
                exit(11)
            } catch is Refusal {
                exit(0)
            }
        }
        let server = Sample.server("a")
        try await withStore(scratch.data) { try await $0.apply([.putServer(server, card: nil)]) }
        #expect(try await withStore(scratch.data) { try await $0.load() }.servers == [server])
    }

    @Test(
        "turns each kind of SQLite error into one that says what to do",
        arguments: [
            (ResultCode.SQLITE_FULL, "store.full"), (.SQLITE_BUSY, "store.busy"), (.SQLITE_CORRUPT, "store.corrupt"),
            (.SQLITE_NOTADB, "store.corrupt"), (.SQLITE_READONLY, "store.denied"), (.SQLITE_CANTOPEN, "store.denied"),
            (.SQLITE_IOERR, "store.failed"), (.SQLITE_NOMEM, "store.failed"),
        ])
    func mapping(_ code: ResultCode, _ expected: String) {
        let error = DatabaseError(resultCode: code, message: "two\nlines")
        let answer = StorageRefusal.database(error, at: "/data/federation.sqlite3")
        #expect(answer.code == expected)
        #expect(answer.description.split(whereSeparator: \.isNewline).count == 1)
    }

    @Test(
        "turns each kind of system error into one that says what to do",
        arguments: [
            (ENOSPC, "store.full"), (EDQUOT, "store.full"), (EACCES, "store.denied"), (EROFS, "store.denied"),
            (EIO, "store.failed"),
        ])
    func system(_ number: Int32, _ expected: String) {
        #expect(StorageRefusal.system("/data/assets", number).code == expected)
    }
}
