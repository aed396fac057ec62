public import FederationCore

/// The port to durable storage.
public protocol FederationStore: Sendable {
    /// Everything the store holds.
    func load() async throws -> StoredState

    /// Applies all changes in one transaction, in order, and returns once they are durable. When it throws, none of them
    /// is visible. Applying the same changes again is harmless, so a caller that does not know whether they were applied
    /// repeats the call.
    func apply(_ changes: [StoreChange]) async throws
}
