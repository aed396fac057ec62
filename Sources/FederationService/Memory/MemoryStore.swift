public import FederationCore
public import FederationModel

/// A store that forgets everything when the process ends: for tests, and for servers that are meant to leave nothing.
///
/// It can be told to fail, and to hold changes back, so that a test can look at a server between its decision and the
/// moment at which the decision is durable.
public actor MemoryStore: FederationStore {
    /// How an apply fails when it was told to.
    public enum Fault: Hashable, Sendable {
        /// Nothing was applied.
        case refused
        /// Everything was applied, and the answer was lost: the caller cannot know.
        case unanswered
    }

    private var tables: StoreTables
    private var faults: [Fault] = []
    private var isHeld = false
    private var held: [CheckedContinuation<Void, Never>] = []
    private var heldWaiters: [CheckedContinuation<Void, Never>] = []

    /// Transactions applied so far.
    public private(set) var transactions = 0

    public init(_ state: StoredState = StoredState()) {
        tables = StoreTables(state)
    }

    public func load() async throws -> StoredState {
        tables.state
    }

    public func apply(_ changes: [StoreChange]) async throws {
        if isHeld {
            await withCheckedContinuation { continuation in
                held.append(continuation)
                resume(&heldWaiters)
            }
        }
        let fault = faults.isEmpty ? nil : faults.removeFirst()
        if fault != .refused {
            for change in changes { tables.apply(change) }
            transactions += 1
        }
        if fault != nil {
            throw Refusal(
                .unavailable, code: "store.failed", reason: "the store was told to fail",
                remedy: "try again: it fails as often as it was told to")
        }
    }

    public func logRecords(from first: Int, limit: Int) async throws -> [RegistryLogRecord] {
        Array(tables.log.lazy.filter { $0.index >= first }.prefix(limit))
    }

    public func newestLogRecord(of server: ServerID, before size: Int) async throws -> RegistryLogRecord? {
        tables.log.last { $0.server == server && $0.index < size }
    }

    /// Makes the next `count` calls of ``apply(_:)`` fail.
    public func failNext(_ count: Int, _ fault: Fault = .refused) {
        faults += Array(repeating: fault, count: count)
    }

    /// From now on ``apply(_:)`` waits for ``release(holdingOn:)``.
    public func hold() {
        isHeld = true
    }

    /// Whether a call of ``apply(_:)`` is waiting for ``release(holdingOn:)``.
    public var isWaitedFor: Bool { !held.isEmpty }

    /// Returns once a call of ``apply(_:)`` is waiting for ``release(holdingOn:)``.
    public func waitUntilHeld() async {
        guard held.isEmpty else { return }
        await withCheckedContinuation { heldWaiters.append($0) }
    }

    /// Lets the calls that wait go on, in the order in which they came.
    ///
    /// - Parameter holdsOn: whether further calls wait again.
    public func release(holdingOn holdsOn: Bool = false) {
        isHeld = holdsOn
        resume(&held)
    }

    private func resume(_ continuations: inout [CheckedContinuation<Void, Never>]) {
        let waiting = continuations
        continuations = []
        for continuation in waiting { continuation.resume() }
    }
}
