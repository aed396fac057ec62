import FederationModel
import Foundation
import GRDB

/// A table of the store: its first column is the key.
struct Table: Sendable {
    let name: String
    let columns: [String]
    /// Every column of every row.
    let selectAll: String
    /// Inserts or replaces one row; arguments in the order of the columns.
    let upsert: String
    /// Removes one row by its key.
    let delete: String

    /// - Parameter isOrdered: whether rows are read in the order of the key's bytes, and not as they lie in the file. For each
    ///   row of a large table the order costs a search in the table, as much as reading the row.
    init(_ name: String, _ columns: [String], isOrdered: Bool = true) {
        self.name = name
        self.columns = columns
        let key = columns[0]
        let list = columns.joined(separator: ", ")
        let marks = columns.map { _ in "?" }.joined(separator: ", ")
        let updates = columns.dropFirst().map { "\($0) = excluded.\($0)" }.joined(separator: ", ")
        selectAll = "SELECT \(list) FROM \(name)" + (isOrdered ? " ORDER BY \(key)" : "")
        upsert = "INSERT INTO \(name) (\(list)) VALUES (\(marks)) ON CONFLICT (\(key)) DO UPDATE SET \(updates)"
        delete = "DELETE FROM \(name) WHERE \(key) = ?"
    }
}

/// A value that is one row of a table.
protocol StoredRow {
    static var table: Table { get }
    /// The columns' values, in the table's order.
    var columnValues: [(any DatabaseValueConvertible)?] { get }
    init(from reader: inout RowReader) throws(RowFailure)
}

extension StoredRow {
    func save(_ database: Database) throws {
        try database.cachedStatement(sql: Self.table.upsert).execute(arguments: StatementArguments(columnValues))
    }

    static func delete(_ key: String, _ database: Database) throws {
        try database.cachedStatement(sql: table.delete).execute(arguments: [key])
    }

    /// Every row; in the order of the key's bytes if the table is ordered.
    static func loadAll(_ database: Database) throws -> [Self] {
        var values: [Self] = []
        try loadEach(database) { values.append($0) }
        return values
    }

    /// As ``loadAll(_:)``, one after the other: for rows of which something else is made, so that the two do not stand in
    /// memory together.
    static func loadEach(_ database: Database, _ take: (Self) -> Void) throws {
        let rows = try Row.fetchCursor(database, sql: table.selectAll)
        while let row = try rows.next() {
            var reader = RowReader(table, row)
            take(try Self(from: &reader))
        }
    }
}

/// A row that does not hold what it should.
struct RowFailure: Error, Hashable, CustomStringConvertible {
    let table: String
    let key: String
    let column: String
    let reason: String

    var description: String { "in table \(table), row \(key), column \(column) \(reason)" }
}

/// Takes a row's columns one after the other, in the table's order. SQLite columns can hold anything, so nothing is
/// taken on trust.
struct RowReader {
    private let table: Table
    private let row: Row
    private var position = 0

    init(_ table: Table, _ row: Row) {
        self.table = table
        self.row = row
    }

    mutating func text() throws(RowFailure) -> String {
        guard let text = try optionalText() else { throw failure("is empty") }
        return text
    }

    mutating func optionalText() throws(RowFailure) -> String? {
        switch next().storage {
        case .null: return nil
        case .string(let text): return text
        case .int64, .double, .blob: throw failure("is not text")
        }
    }

    mutating func integer() throws(RowFailure) -> Int64 {
        guard let number = try optionalInteger() else { throw failure("is empty") }
        return number
    }

    mutating func optionalInteger() throws(RowFailure) -> Int64? {
        switch next().storage {
        case .null: return nil
        case .int64(let number): return number
        case .string, .double, .blob: throw failure("is not a whole number")
        }
    }

    /// A whole number from a range that holds everything that is ever written there: those outside would leave the range of
    /// the processor's numbers once they are added up or counted on from.
    mutating func integer(in range: ClosedRange<Int64>) throws(RowFailure) -> Int64 {
        // By itself, so that a failure names the column that was read.
        let number = try integer()
        return try checked(number, in: range)
    }

    /// A count, at most 2^63-1. Others may say up to 2^53-1 (RFC 7493 §2.2), and nobody counts the rest of the way.
    mutating func unsigned(from first: Int64 = 0) throws(RowFailure) -> UInt64 {
        UInt64(try integer(in: first...Int64.max))
    }

    mutating func optionalUnsigned(from first: Int64 = 0) throws(RowFailure) -> UInt64? {
        guard let number = try optionalInteger() else { return nil }
        return UInt64(try checked(number, in: first...Int64.max))
    }

    mutating func epoch() throws(RowFailure) -> Epoch {
        let range = Int64(Epoch.first.number)...Int64(Epoch.last.number)
        return Epoch(UInt64(try integer(in: range)))
    }

    mutating func flag() throws(RowFailure) -> Bool {
        switch try integer() {
        case 0: return false
        case 1: return true
        case let other: throw failure("holds \(other), which is neither 0 nor 1")
        }
    }

    mutating func bytes() throws(RowFailure) -> [UInt8] {
        switch next().storage {
        case .blob(let data): return Array(data)
        case .null: throw failure("is empty")
        case .string, .int64, .double: throw failure("is not a blob")
        }
    }

    mutating func timestamp() throws(RowFailure) -> Timestamp {
        Timestamp(milliseconds: try integer())
    }

    mutating func optionalTimestamp() throws(RowFailure) -> Timestamp? {
        try optionalInteger().map(Timestamp.init(milliseconds:))
    }

    mutating func value<Value: LosslessStringConvertible>() throws(RowFailure) -> Value {
        let text = try text()
        return try parse(text, Value.init)
    }

    mutating func optionalValue<Value: LosslessStringConvertible>() throws(RowFailure) -> Value? {
        guard let text = try optionalText() else { return nil }
        return try parse(text, Value.init)
    }

    /// Values with a separator between, none of which contains it; empty text for none.
    mutating func list<Value: LosslessStringConvertible>(
        separator: Unicode.Scalar
    ) throws(RowFailure) -> [Value] {
        let text = try text()
        guard !text.isEmpty else { return [] }
        // Most lists have one value or none, and nothing to be split.
        guard text.unicodeScalars.contains(separator) else { return [try parse(text, Value.init)] }
        var values: [Value] = []
        for part in text.split(separator: Character(separator)) {
            values.append(try parse(String(part), Value.init))
        }
        return values
    }

    mutating func choice<Value: RawRepresentable<String>>() throws(RowFailure) -> Value {
        let text = try text()
        return try parse(text, Value.init(rawValue:))
    }

    /// A failure of the column that was taken last.
    func failure(_ reason: String) -> RowFailure {
        let key: DatabaseValue = row[0]
        let shown =
            switch key.storage {
            case .string(let text): Self.quoted(text)
            case .int64(let number): String(number)
            case .null, .double, .blob: "without a readable key"
            }
        return RowFailure(table: table.name, key: shown, column: table.columns[max(0, position - 1)], reason: reason)
    }

    private func checked(_ number: Int64, in range: ClosedRange<Int64>) throws(RowFailure) -> Int64 {
        guard range.contains(number) else {
            throw failure("holds \(number), which is not from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private func parse<Value>(_ text: String, _ make: (String) -> Value?) throws(RowFailure) -> Value {
        guard let value = make(text) else {
            throw failure("holds \(Self.quoted(text)), which is no \(Value.self)")
        }
        return value
    }

    private mutating func next() -> DatabaseValue {
        defer { position += 1 }
        let cell: Cell? = row[position]
        return cell?.databaseValue ?? .null
    }

    /// Short, on one line, and without control characters.
    private static func quoted(_ text: String) -> String {
        text.utf8.count <= 80 ? text.debugDescription : String(text.prefix(60)).debugDescription + "…"
    }
}

/// A column's value as SQLite holds it, whatever that is. Read from its place: as an element of the row it would come
/// with the column's name, and as a ``DatabaseValue`` by a conversion, each of which costs as much as the value.
private struct Cell: DatabaseValueConvertible, StatementColumnConvertible {
    let databaseValue: DatabaseValue

    init(sqliteStatement: SQLiteStatement, index: CInt) {
        databaseValue = DatabaseValue(sqliteStatement: sqliteStatement, index: index)
    }

    private init(_ value: DatabaseValue) { databaseValue = value }

    static func fromDatabaseValue(_ value: DatabaseValue) -> Cell? { Cell(value) }
}
