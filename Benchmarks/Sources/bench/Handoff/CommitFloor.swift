import FederationSQLite
import Foundation
import GRDB

/// The floor of a durable crossing: the rows of its steps, written by bare SQLite into the same tables on the same disk,
/// with full sync, and nothing around them.
final class CommitFloor {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// One value of a row: the same in every crossing, or with the crossing's own ids in it.
    private enum Value {
        enum Piece {
            case text(String)
            case player
            case handoff
        }

        case fixed(DatabaseValue)
        case pieces([Piece])

        func value(player: String, handoff: String) -> DatabaseValue {
            switch self {
            case .fixed(let value): return value
            case .pieces(let pieces):
                var text = ""
                for piece in pieces {
                    switch piece {
                    case .text(let piece): text += piece
                    case .player: text += player
                    case .handoff: text += handoff
                    }
                }
                return text.databaseValue
            }
        }
    }

    /// One row as the store writes it.
    private struct Upsert {
        let sql: String
        let values: [Value]
    }

    private static let file = "federation.sqlite3"

    private let database: DatabaseQueue
    private let steps: [[Upsert]]
    private var crossings = 0

    /// - Parameters:
    ///   - folder: where the database is made.
    ///   - samples: folders of databases, each with the rows of one step of the same crossing, in order.
    init(in folder: String, samples: [String]) async throws {
        // The tables are the store's.
        let store = try await SQLiteStore.open(in: try DataDirectory(at: folder))
        try await store.close()
        steps = try Self.steps(samples)
        database = try Self.open("\(folder)/\(Self.file)")
    }

    func close() throws { try database.close() }

    private static func open(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.journalMode = .wal
        let database = try DatabaseQueue(path: path, configuration: configuration)
        try database.writeWithoutTransaction { database in
            // After opening: GRDB sets NORMAL when it opens a WAL database.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode")
            let level = try Int.fetchOne(database, sql: "PRAGMA synchronous")
            guard mode == "wal", level == 2 else {
                throw Failure(description: "SQLite does not accept WAL with synchronous=FULL at \(path)")
            }
        }
        return database
    }

    /// Writes so many crossings' rows. The same step of `grouped` crossings shares a transaction.
    ///
    /// - Returns: the nanoseconds that the steps of each group took.
    func write(_ count: Int, grouped: Int) throws -> [Int64] {
        let clock = ContinuousClock()
        var taken: [Int64] = []
        var left = count
        while left > 0 {
            let start = clock.now
            let group = min(grouped, left)
            let first = crossings
            for step in steps {
                try database.write { database in
                    for number in first..<(first + group) { try Self.write(step, number, database) }
                }
            }
            crossings += group
            left -= group
            taken.append((clock.now - start).clampedNanoseconds)
        }
        return taken
    }

    private static func write(_ step: [Upsert], _ number: Int, _ database: Database) throws {
        let digits = String(number, radix: 16)
        let handoff = String(repeating: "0", count: max(0, 32 - digits.utf8.count)) + digits
        let player = "player-\(1_000_000 + number)@alpha"
        for upsert in step {
            let values = upsert.values.map { $0.value(player: player, handoff: handoff) }
            try database.cachedStatement(sql: upsert.sql).execute(arguments: StatementArguments(values))
        }
    }

    // MARK: Samples

    private static func steps(_ samples: [String]) throws -> [[Upsert]] {
        try samples.map { folder in
            let database = try DatabaseQueue(path: "\(folder)/\(file)")
            defer { try? database.close() }
            let upserts = try database.read { try Self.upserts($0) }
            guard !upserts.isEmpty else { throw Failure(description: "\(folder) holds no rows") }
            return upserts
        }
    }

    private static func upserts(_ database: Database) throws -> [Upsert] {
        guard
            let crossing = try GRDB.Row.fetchOne(database, sql: "SELECT id, player FROM handoffs"),
            let handoff = String.fromDatabaseValue(crossing["id"]),
            let player = String.fromDatabaseValue(crossing["player"])
        else { throw Failure(description: "a step of a crossing without its handoff") }
        let tables = try String.fetchAll(
            database,
            sql: "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'grdb_migrations' ORDER BY name")
        var upserts: [Upsert] = []
        for table in tables where !table.hasPrefix("sqlite_") {
            for row in try GRDB.Row.fetchAll(database, sql: "SELECT * FROM \(table)") {
                upserts.append(
                    Upsert(
                        sql: Self.sql(table, Array(row.columnNames)),
                        values: row.databaseValues.map { Self.value($0, handoff: handoff, player: player) }))
            }
        }
        return upserts
    }

    /// As the store inserts or replaces a row.
    private static func sql(_ table: String, _ columns: [String]) -> String {
        let list = columns.joined(separator: ", ")
        let marks = columns.map { _ in "?" }.joined(separator: ", ")
        let updates = columns.dropFirst().map { "\($0) = excluded.\($0)" }.joined(separator: ", ")
        return "INSERT INTO \(table) (\(list)) VALUES (\(marks)) ON CONFLICT (\(columns[0])) DO UPDATE SET \(updates)"
    }

    private static func value(_ value: DatabaseValue, handoff: String, player: String) -> Value {
        guard let text = String.fromDatabaseValue(value), case .string = value.storage,
            text.contains(handoff) || text.contains(player)
        else { return .fixed(value) }
        var pieces: [Value.Piece] = []
        for (place, part) in text.components(separatedBy: handoff).enumerated() {
            if place > 0 { pieces.append(.handoff) }
            for (place, part) in part.components(separatedBy: player).enumerated() {
                if place > 0 { pieces.append(.player) }
                if !part.isEmpty { pieces.append(.text(part)) }
            }
        }
        return .pieces(pieces)
    }
}
