public import FederationModel
public import FederationService
import Synchronization

/// Clocks that stand still until a test moves them.
public final class ManualClock: FederationClock {
    private struct State {
        var elapsed: Duration = .zero
        var sleepers: [UInt64: (deadline: Instant, continuation: CheckedContinuation<Void, any Error>)] = [:]
        var watchers: [(deadline: Instant, continuation: CheckedContinuation<Void, Never>)] = []
        var next: UInt64 = 0
    }

    private let state = Mutex(State())
    private let lead: Duration

    /// - Parameter lead: by how much the wall clock is ahead of others'; negative for behind.
    public init(ahead lead: Duration = .zero) {
        self.lead = lead
    }

    /// 2026-01-02T03:04:05.678Z.
    public static let start = Timestamp(milliseconds: 1_767_323_045_678)

    public func now() -> Now {
        state.withLock { now(after: $0.elapsed) }
    }

    private func now(after elapsed: Duration) -> Now {
        Now(instant: Instant(nanoseconds: 0) + elapsed, timestamp: Self.start + lead + elapsed)
    }

    public func sleep(until deadline: Instant) async throws {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let seen = state.withLock { state -> [CheckedContinuation<Void, Never>]? in
                    guard !Task.isCancelled, now(after: state.elapsed).instant < deadline else { return nil }
                    state.sleepers[id] = (deadline, continuation)
                    let seen = state.watchers.filter { $0.deadline == deadline }.map(\.continuation)
                    state.watchers.removeAll { $0.deadline == deadline }
                    return seen
                }
                if let seen {
                    for watcher in seen { watcher.resume() }
                } else if Task.isCancelled {
                    continuation.resume(throwing: CancellationError())
                } else {
                    continuation.resume()
                }
            }
        } onCancel: {
            let sleeper = state.withLock { $0.sleepers.removeValue(forKey: id) }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Moves both clocks, and wakes who has slept long enough.
    public func advance(by duration: Duration) {
        let woken = state.withLock { state in
            state.elapsed += duration
            let now = now(after: state.elapsed).instant
            let due = state.sleepers.filter { $0.value.deadline <= now }
            for id in due.keys { state.sleepers[id] = nil }
            return due.values.sorted { $0.deadline < $1.deadline }.map(\.continuation)
        }
        for sleeper in woken { sleeper.resume() }
    }

    /// Returns once somebody sleeps until `duration` from now.
    public func sleeper(for duration: Duration) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                let deadline = now(after: state.elapsed).instant + duration
                if state.sleepers.values.contains(where: { $0.deadline == deadline }) { return true }
                state.watchers.append((deadline, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}
