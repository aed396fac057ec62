import FederationCore
import FederationModel
import FederationSQLite
import FederationService

/// A store that also remembers which changes each durable step of a crossing consists of.
actor RecordingStore: FederationStore {
    private let store: SQLiteStore
    private var steps: [[StoreChange]] = []

    init(_ store: SQLiteStore) { self.store = store }

    func load() async throws -> StoredState { try await store.load() }

    func apply(_ changes: [StoreChange]) async throws {
        try await store.apply(changes)
        let isStep = changes.contains { change in
            if case .putHandoff = change { true } else { false }
        }
        if isStep { steps.append(changes) }
    }

    func logRecords(from first: Int, limit: Int) async throws -> [RegistryLogRecord] {
        try await store.logRecords(from: first, limit: limit)
    }

    func newestLogRecord(of server: ServerID, before size: Int) async throws -> RegistryLogRecord? {
        try await store.newestLogRecord(of: server, before: size)
    }

    /// Forgets what was before.
    func begin() { steps = [] }

    /// Writes each step since then into a database of its own, which holds nothing else: the rows as the store makes them.
    ///
    /// - Returns: how many steps there were.
    func write(to folder: String) async throws -> Int {
        for (number, changes) in steps.enumerated() {
            let step = try await SQLiteStore.open(in: try DataDirectory(at: "\(folder)/\(number)"))
            try await step.apply(changes)
            try await step.close()
        }
        return steps.count
    }
}
