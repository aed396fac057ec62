import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import Foundation
import GRDB
import Testing

@testable import FederationSQLite

@Suite("A store of a registry")
struct RegistryStoreTests {
    private static func record(_ index: Int, _ id: String = "a") -> RegistryLogRecord {
        let entry = RegistryLogEntry(
            index.isMultiple(of: 2) ? .registered : .suspended, server: ServerID(unchecked: id), key: Sample.key(7),
            commitment: KeyCommitment(next: Sample.hash(1), recovery: nil), sequence: UInt64(index),
            card: Sample.hash(2), reason: index.isMultiple(of: 2) ? nil : "„spam“ & \"worse\"",
            time: Timestamp(seconds: 1_800_000_000))
        return RegistryLogRecord(index: index, server: entry.server, leaf: entry.leaf)
    }

    private static let records = (0..<30).map { record($0, $0 < 20 ? "a" : "b") }

    private func check(_ store: any FederationStore) async throws {
        let state = try await store.load()
        #expect(state.logHashes == Self.records.flatMap(\.leafHash.bytes))
        #expect(try await store.logRecords(from: 0, limit: 1_000) == Self.records)
        #expect(try await store.logRecords(from: 7, limit: 3) == Array(Self.records[7..<10]))
        #expect(try await store.logRecords(from: 30, limit: 3).isEmpty)
        #expect(try await store.newestLogRecord(of: ServerID(unchecked: "a"), before: 30) == Self.records[19])
        #expect(try await store.newestLogRecord(of: ServerID(unchecked: "a"), before: 5) == Self.records[4])
        #expect(try await store.newestLogRecord(of: ServerID(unchecked: "b"), before: 20) == nil)
        let root = try #require(MerkleTree(leafHashes: state.logHashes)).root
        var tree = MerkleTree()
        for record in Self.records { tree.append(record.leaf) }
        #expect(root == tree.root)
    }

    @Test("keeps its log on disk and in memory, in order, and takes an entry twice")
    func log() async throws {
        let scratch = Scratch()
        let memory = MemoryStore()
        let changes = Self.records.map { StoreChange.registry(.appendLog($0)) }
        try await memory.apply(changes)
        try await memory.apply([changes[29]])
        try await check(memory)
        try await withStore(scratch.data) { store in
            try await store.apply(changes)
            try await store.apply([changes[29]])
            try await check(store)
        }
        try await withStore(scratch.data) { try await check($0) }
    }

    @Test("is refused when its log has a gap, or an entry that is not the one that was hashed")
    func damage() async throws {
        for (sql, part) in [
            ("DELETE FROM registry_log WHERE position = 3", "position"),
            ("UPDATE registry_log SET hash = x'00' WHERE position = 3", "hash"),
        ] {
            let scratch = Scratch()
            try await withStore(scratch.data) { store in
                try await store.apply(Self.records.map { .registry(.appendLog($0)) })
            }
            let shell = try DatabaseQueue(path: scratch.database)
            try await shell.write { try $0.execute(sql: sql) }
            try shell.close()
            let refused = await refusal { _ = try await withStore(scratch.data) { try await $0.load() } }
            #expect(refused?.code == "store.corrupt" && refused?.reason.contains(part) == true, "\(refused as Any)")
        }
        let scratch = Scratch()
        try await withStore(scratch.data) { store in
            try await store.apply(Self.records.map { .registry(.appendLog($0)) })
        }
        let shell = try DatabaseQueue(path: scratch.database)
        try await shell.write { try $0.execute(sql: "UPDATE registry_log SET leaf = '{}' WHERE position = 3") }
        try shell.close()
        try await withStore(scratch.data) { store in
            #expect(await refusal { _ = try await store.logRecords(from: 0, limit: 10) }?.code == "store.corrupt")
        }
    }

    @Test("reads the hashes of a long log in at a start")
    func longLog() async throws {
        let scratch = Scratch()
        // AETHER_LOG_ENTRIES=1000000 measures what PROTOCOL.md's registries of that size would cost.
        let count = ProcessInfo.processInfo.environment["AETHER_LOG_ENTRIES"].flatMap { Int($0) } ?? 2_000
        try await withStore(scratch.data) { _ in }
        let shell = try DatabaseQueue(path: scratch.database)
        try await shell.write { database in
            let leaf = String(repeating: "x", count: 500)
            for position in 0..<count {
                try database.cachedStatement(sql: "INSERT INTO registry_log VALUES (?, ?, ?, ?)").execute(
                    arguments: [position, "s\(position)", leaf, Data(repeating: UInt8(position % 251), count: 32)])
            }
        }
        try shell.close()
        try await withStore(scratch.data) { store in
            let clock = ContinuousClock()
            var state = StoredState()
            let loading = try await clock.measure { state = try await store.load() }
            var tree: MerkleTree?
            let building = clock.measure { tree = MerkleTree(leafHashes: state.logHashes) }
            #expect(tree?.count == count)
            if count > 100_000 { print("\(count) entries: loaded in \(loading), tree in \(building)") }
        }
    }
}
