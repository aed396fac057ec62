public import FederationCore
import Foundation
import GRDB

extension SQLiteStore {
    /// What a look at a store found that changes nothing in it.
    public enum Condition: Hashable, Sendable {
        /// Every row can be read, as it will be at the next start.
        case whole
        /// The file is whole. Its rows are those of an older version, which ``open(in:)`` brings up to date.
        case older
    }

    /// Looks at the store in `directory`, which is there, without changing anything: no byte of it, and no file beside it.
    /// Only what a server that was killed has left behind may be indexed anew, by SQLite, in `federation.sqlite3-shm`. While
    /// it is looked at no server can open it.
    ///
    /// - Throws: what ``open(in:)`` throws, `store.inUse` where a server has it open, and what ``load()`` throws.
    public static func examine(in directory: String) async throws -> Condition {
        let path = "\(directory)/\(fileName)"
        return try await BlockingQueue(label: "aether.store.examination").run {
            do {
                return try DataDirectory.withoutChange(directory) { try examine(path) }
            } catch {
                throw StorageRefusal.database(error, at: path)
            }
        }
    }

    /// The newest revocation of its own keys that the server in `directory` has taken, as compact JWS; nil when there is
    /// none, or no store. Nothing is changed, and the server may run meanwhile.
    ///
    /// - Throws: `store.corrupt`, `store.denied`, `store.failed`.
    public static func lastRevocation(in directory: String) async throws -> String? {
        try await look(into: directory) { database in
            // A store of the time before there were revocations has no such table.
            guard try database.tableExists("own_keys") else { return nil }
            return try String.fetchOne(database, sql: "SELECT revocation FROM own_keys")
        }
    }

    /// What the server in `directory` has noted of its own keys: nothing where there is no store yet. nil when the store is of an
    /// older version and does not tell before a start brings it up to date. Nothing is changed, and the server may run meanwhile.
    ///
    /// - Throws: `store.corrupt`, `store.denied`, `store.failed`.
    public static func notedKeys(in directory: String) async throws -> OwnKeys? {
        guard try Files.size("\(directory)/\(fileName)") != nil else { return OwnKeys() }
        return try await look(into: directory) { database in
            // A file without tables: its log was not copied with it.
            guard try database.tableExists("grdb_migrations") else { return OwnKeys() }
            guard try Schema.migrator.hasCompletedMigrations(database) else { return nil }
            return try OwnKeys.loadAll(database).first ?? OwnKeys()
        }
    }

    /// Reads something in the store of `directory`, if there is one, while nothing is changed and a server may run.
    private static func look<Value: Sendable>(
        into directory: String, _ body: @escaping @Sendable (Database) throws -> Value?
    ) async throws -> Value? {
        let path = "\(directory)/\(fileName)"
        return try await BlockingQueue(label: "aether.store.examination").run {
            do {
                guard try Files.size(path) != nil else { return nil }
                let database = try openUnchanged(path)
                defer { try? database.close() }
                return try database.read(body)
            } catch {
                throw StorageRefusal.database(error, at: path)
            }
        }
    }

    private static func examine(_ path: String) throws -> Condition {
        let database = try openUnchanged(path)
        defer { try? database.close() }
        return try database.read { database in
            try checkContents(database, path)
            guard try Schema.migrator.hasCompletedMigrations(database) else { return .older }
            _ = try StoredState(database)
            return .whole
        }
    }

    /// Without a log beside it a database is opened as one that nobody changes (SQLite, "URI Filenames", `immutable`): else
    /// SQLite would make an empty log, and an index of it, to read nothing from them. A library that was built without such
    /// names finds no file under that one, and may make them.
    private static func openUnchanged(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.label = "aether.store.examination"
        configuration.readonly = true
        configuration.busyMode = .timeout(busySeconds)
        let hasLog = try Files.size(path + "-wal") ?? 0 > 0
        if !hasLog, path.hasPrefix("/"), let name = path.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed) {
            do {
                return try DatabaseQueue(path: "file://\(name)?immutable=1", configuration: configuration)
            } catch let error as DatabaseError where error.resultCode == .SQLITE_CANTOPEN {}
        }
        return try DatabaseQueue(path: path, configuration: configuration)
    }
}
