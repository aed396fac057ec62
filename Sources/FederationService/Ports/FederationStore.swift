public import FederationCore
public import FederationModel

/// The port to durable storage.
public protocol FederationStore: Sendable {
    /// Everything the store holds.
    func load() async throws -> StoredState

    /// Applies all changes in one transaction, in order, and returns once they are durable. When it throws, none of them
    /// is visible. Applying the same changes again is harmless, so a caller that does not know whether they were applied
    /// repeats the call.
    func apply(_ changes: [StoreChange]) async throws

    /// Up to `limit` entries of this server's registry log, from the one at `first` on, in order.
    func logRecords(from first: Int, limit: Int) async throws -> [RegistryLogRecord]

    /// The newest entry about a server among the first `size` of this server's registry log.
    func newestLogRecord(of server: ServerID, before size: Int) async throws -> RegistryLogRecord?
}
