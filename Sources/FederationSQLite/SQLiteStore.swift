public import FederationCore
public import FederationModel
public import FederationService
import Foundation
import GRDB

/// The embedded store: one SQLite database, `federation.sqlite3`, in the data directory.
///
/// It runs in WAL mode with `synchronous=FULL`: what ``apply(_:)`` has returned for survives the loss of power. Calls
/// that arrive while a transaction is being written share the next one, each under its own savepoint, so that the disk is
/// waited for once per group and not once per call.
public actor SQLiteStore: FederationStore {
    /// Calls that share one transaction at most. It bounds how long the first of them waits for the last.
    private static let groupLimit = 256
    /// How long a lock that another process holds is waited for, in seconds.
    static let busySeconds = 5.0
    static let fileName = "federation.sqlite3"

    private struct Waiting {
        let changes: [StoreChange]
        let continuation: CheckedContinuation<Void, any Error>
    }

    /// Kept while the store is open: it holds the lock.
    private var directory: DataDirectory?
    private let path: String
    private let database: DatabaseQueue
    private var waiting: [Waiting] = []
    private var committer: Task<Void, Never>?
    private var isClosed = false

    /// Opens the store of `directory`, made or migrated as needed, after checking it for damage.
    ///
    /// - Throws: `store.newer`, `store.corrupt`, `store.foreign`, `store.denied`, `store.full`, `store.failed`.
    public static func open(in directory: DataDirectory) async throws -> SQLiteStore {
        let path = directory.file(fileName)
        let database = try await BlockingQueue(label: "aether.store.open").run {
            do {
                return try openDatabase(path, in: directory.path)
            } catch {
                throw StorageRefusal.database(error, at: path)
            }
        }
        return SQLiteStore(directory: directory, path: path, database: database)
    }

    private init(directory: DataDirectory, path: String, database: DatabaseQueue) {
        self.directory = directory
        self.path = path
        self.database = database
    }

    public func load() async throws -> StoredState {
        guard !isClosed else { throw StorageRefusal.closed(path) }
        do {
            return try await database.read { try StoredState($0) }
        } catch let error as CancellationError {
            throw error
        } catch {
            throw StorageRefusal.database(error, at: path)
        }
    }

    /// Once called, the changes are applied even when the calling task is cancelled.
    public func apply(_ changes: [StoreChange]) async throws {
        guard !isClosed else { throw StorageRefusal.closed(path) }
        guard !changes.isEmpty else { return }
        try await withCheckedThrowingContinuation { continuation in
            waiting.append(Waiting(changes: changes, continuation: continuation))
            if committer == nil {
                // A task of its own: GRDB rolls back when the task that writes is cancelled.
                committer = Task { await commitWaiting() }
            }
        }
    }

    public func logRecords(from first: Int, limit: Int) async throws -> [RegistryLogRecord] {
        try await read { try RegistryLogRecord.load(from: first, limit: limit, $0) }
    }

    public func newestLogRecord(of server: ServerID, before size: Int) async throws -> RegistryLogRecord? {
        try await read { try RegistryLogRecord.newest(of: server, before: size, $0) }
    }

    private func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        guard !isClosed else { throw StorageRefusal.closed(path) }
        do {
            return try await database.read(body)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw StorageRefusal.database(error, at: path)
        }
    }

    /// Refuses what comes after, waits for what is being written, moves the log into the database and closes it.
    public func close() async throws {
        guard !isClosed else { return }
        isClosed = true
        await committer?.value
        do {
            try database.close()
        } catch {
            throw StorageRefusal.database(error, at: path)
        }
        directory = nil
    }

    private func commitWaiting() async {
        while !waiting.isEmpty {
            let group = Array(waiting.prefix(Self.groupLimit))
            waiting.removeFirst(group.count)
            let changes = group.map(\.changes)
            do {
                let results = try await database.write { try Self.apply(changes, to: $0) }
                for (entry, result) in zip(group, results) {
                    entry.continuation.resume(with: result.mapError { StorageRefusal.database($0, at: path) })
                }
            } catch {
                let refusal = StorageRefusal.database(error, at: path)
                for entry in group { entry.continuation.resume(throwing: refusal) }
            }
        }
        committer = nil
    }

    /// Applies each list under a savepoint of its own. What SQLite refuses because of the values themselves rolls back
    /// only that list; anything else (a full disk, damage) throws and with it the whole transaction rolls back.
    private static func apply(_ lists: [[StoreChange]], to database: Database) throws -> [Result<Void, any Error>] {
        try lists.map { changes in
            do {
                try database.inSavepoint {
                    for change in changes { try change.apply(to: database) }
                    return .commit
                }
                return .success(())
            } catch let error as DatabaseError where isAboutValues(error) && database.isInsideTransaction {
                return .failure(error)
            }
        }
    }

    private static func isAboutValues(_ error: DatabaseError) -> Bool {
        switch error.resultCode {
        case .SQLITE_CONSTRAINT, .SQLITE_MISMATCH, .SQLITE_TOOBIG: true
        default: false
        }
    }
}

// MARK: - Opening

extension SQLiteStore {
    static func openDatabase(_ path: String, in directory: String) throws -> DatabaseQueue {
        try makeFile(path, in: directory)
        var configuration = Configuration()
        configuration.label = "aether.store"
        configuration.journalMode = .wal
        configuration.busyMode = .timeout(busySeconds)
        let database = try DatabaseQueue(path: path, configuration: configuration)
        try database.writeWithoutTransaction { database in
            // GRDB sets NORMAL when it opens a WAL database, after its own hook for configuration has run.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            try check(database, path)
        }
        try Schema.migrator.migrate(database)
        return database
    }

    /// SQLite gives its log files the mode of the database file, so that mode is set before SQLite sees the file.
    private static func makeFile(_ path: String, in directory: String) throws {
        if try Files.size(path) == nil {
            Foundation.close(try Files.create(path))
            try Files.synchroniseDirectory(directory)
        } else if chmod(path, 0o600) != 0 {
            throw StorageRefusal.system(path, errno)
        }
    }

    private static func check(_ database: Database, _ path: String) throws {
        guard try Int64.fetchOne(database, sql: "PRAGMA synchronous") == 2 else {
            throw StorageRefusal.failed(path, "SQLite does not accept synchronous=FULL")
        }
        guard try String.fetchOne(database, sql: "PRAGMA journal_mode") == "wal" else {
            throw StorageRefusal.failed(path, "SQLite does not accept WAL mode on this file system")
        }
        try checkContents(database, path)
    }

    /// What is looked at before anything is read, also where nothing is to be written.
    static func checkContents(_ database: Database, _ path: String) throws {
        let application = try Int64.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        guard try application == Schema.applicationID || application == 0 && isUnbegun(database) else {
            throw StorageRefusal.foreign(path)
        }
        guard try !Schema.migrator.hasBeenSuperseded(database) else { throw StorageRefusal.newer(path) }
        let verdict = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "no answer to quick_check"
        guard verdict == "ok" else { throw StorageRefusal.corrupt(path, verdict) }
    }

    /// Whether nothing is in it but what a first start leaves that was broken off before its first migration: the empty
    /// table of migrations, which has a transaction of its own, and the index of its key.
    private static func isUnbegun(_ database: Database) throws -> Bool {
        let names = try String.fetchAll(database, sql: "SELECT name FROM sqlite_master ORDER BY rowid")
        guard !names.isEmpty else { return true }
        guard names == ["grdb_migrations", "sqlite_autoindex_grdb_migrations_1"] else { return false }
        return try Int64.fetchOne(database, sql: "SELECT count(*) FROM grdb_migrations") == 0
    }
}
