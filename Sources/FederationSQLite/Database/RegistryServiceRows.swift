import FederationCore
import FederationCrypto
import FederationModel
import Foundation
import GRDB

/// This server's registry log. The hash stands beside the entry, so that a start need not hash a million of them.
extension RegistryLogRecord: StoredRow {
    static let table = Table("registry_log", ["position", "server", "leaf", "hash"])

    var columnValues: [(any DatabaseValueConvertible)?] {
        [index, server.rawValue, String(decoding: leaf, as: UTF8.self), Data(leafHash.bytes)]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        let index = try reader.integer()
        let server: ServerID = try reader.value()
        let leaf = Array(try reader.text().utf8)
        self.init(index: Int(index), server: server, leaf: leaf)
        guard try reader.bytes() == leafHash.bytes else { throw reader.failure("is not the hash of its entry") }
    }

    /// The hashes of all entries, one after the other; the entries must be counted from 0 without a gap.
    static func loadHashes(_ database: Database) throws -> [UInt8] {
        // Read without the conversions of the other tables: there may be a million.
        var hashes: [UInt8] = []
        let rows = try Row.fetchCursor(
            database, sql: "SELECT position, hash FROM registry_log INDEXED BY registry_log_hashes ORDER BY position")
        var count = 0
        while let row = try rows.next() {
            guard row[0] as Int? == count else {
                throw RowFailure(
                    table: table.name, key: "\(count)", column: "position", reason: "is missing")
            }
            let isWhole = try row.withUnsafeData(atIndex: 1) { data in
                guard let data, data.count == 32 else { return false }
                hashes.append(contentsOf: data)
                return true
            }
            guard isWhole else {
                throw RowFailure(table: table.name, key: "\(count)", column: "hash", reason: "does not hold 32 bytes")
            }
            count += 1
        }
        return hashes
    }

    /// Up to `limit` entries from `first` on.
    static func load(from first: Int, limit: Int, _ database: Database) throws -> [RegistryLogRecord] {
        try load(
            database, "WHERE position >= ? ORDER BY position LIMIT ?", [first, limit])
    }

    /// The newest entry about a server among the first `size`.
    static func newest(of server: ServerID, before size: Int, _ database: Database) throws -> RegistryLogRecord? {
        try load(
            database, "WHERE server = ? AND position < ? ORDER BY position DESC LIMIT 1", [server.rawValue, size]
        ).first
    }

    private static func load(
        _ database: Database, _ condition: String, _ arguments: StatementArguments
    ) throws -> [RegistryLogRecord] {
        let columns = table.columns.joined(separator: ", ")
        let statement = try database.cachedStatement(sql: "SELECT \(columns) FROM \(table.name) \(condition)")
        let rows = try Row.fetchCursor(statement, arguments: arguments)
        var records: [RegistryLogRecord] = []
        while let row = try rows.next() {
            var reader = RowReader(table, row)
            records.append(try RegistryLogRecord(from: &reader))
        }
        return records
    }
}

extension RegistryListing: StoredRow {
    static let table = Table("listings", ["id", "server", "registry"])

    /// No server id has a space in it.
    private var key: String { "\(server) \(registry)" }

    var columnValues: [(any DatabaseValueConvertible)?] { [key, server.rawValue, registry] }

    init(from reader: inout RowReader) throws(RowFailure) {
        _ = try reader.text()
        self.init(server: try reader.value(), registry: try reader.text())
    }

    func remove(_ database: Database) throws { try Self.delete(key, database) }
}

extension KnownRegistry: StoredRow {
    static let table = Table(
        "registries",
        ["address", "registry", "head", "size", "hashes", "fault", "fault_evidence", "fault_seen_at"])

    /// What a signed head can say (RFC 7493 §2.2).
    private static let largestSize: Int64 = (1 << 53) - 1

    var columnValues: [(any DatabaseValueConvertible)?] {
        [
            address, registry.rawValue, head, frontier.count,
            frontier.hashes.map(\.description).joined(separator: " "), fault?.code,
            fault?.evidence.joined(separator: " ") ?? "", fault?.seenAt.milliseconds,
        ]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        let address = try reader.text()
        let registry: ServerID = try reader.value()
        let head = try reader.text()
        let size = Int(try reader.integer(in: 0...Self.largestSize))
        guard let frontier = MerkleFrontier(count: size, hashes: try reader.list(separator: " ")) else {
            throw reader.failure("does not go with the size")
        }
        let code = try reader.optionalText()
        // Each was verified as compact JWS before it was kept, and none of these has a space in it.
        let evidence: [String] = try reader.list(separator: " ")
        let seenAt = try reader.optionalTimestamp()
        guard (code == nil) == (seenAt == nil) else { throw reader.failure("does not go with the fault") }
        var fault: RegistryFault?
        if let code, let seenAt { fault = RegistryFault(code: code, evidence: evidence, seenAt: seenAt) }
        self.init(address: address, registry: registry, head: head, frontier: frontier, fault: fault)
    }
}

/// How many ids a registry has brought here.
struct BroughtRow: StoredRow {
    let registry: ServerID
    let count: Int

    static let table = Table("brought", ["registry", "count"])

    var columnValues: [(any DatabaseValueConvertible)?] { [registry.rawValue, count] }

    init(registry: ServerID, count: Int) {
        self.registry = registry
        self.count = count
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        registry = try reader.value()
        // The sum over all registries fits, too.
        count = Int(try reader.integer(in: 0...Int64(Int32.max)))
    }
}
