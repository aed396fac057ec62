import FederationModel
import FederationService
import Synchronization

/// A clock that stands still until it is told to move, and that knows who sleeps by it.
final class ManualClock: FederationClock {
    private struct Sleeper {
        let deadline: Instant
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var instant = Instant(nanoseconds: 0)
        var sleepers: [UInt64: Sleeper] = [:]
        var watchers: [CheckedContinuation<Void, Never>] = []
        var next: UInt64 = 0
    }

    private let state = Mutex(State())

    func now() -> Now {
        Now(instant: state.withLock { $0.instant }, timestamp: Timestamp(seconds: 1_700_000_000))
    }

    func sleep(until deadline: Instant) async throws {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let watchers = state.withLock { state -> [CheckedContinuation<Void, Never>] in
                    guard !Task.isCancelled, state.instant < deadline else {
                        continuation.resume()
                        return []
                    }
                    state.sleepers[number] = Sleeper(deadline: deadline, continuation: continuation)
                    defer { state.watchers = [] }
                    return state.watchers
                }
                for watcher in watchers { watcher.resume() }
            }
        } onCancel: {
            state.withLock { $0.sleepers.removeValue(forKey: number) }?.continuation.resume(
                throwing: CancellationError())
        }
    }

    /// Moves the clock and wakes whoever is due.
    func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.instant = state.instant + duration
            let due = state.sleepers.filter { $0.value.deadline <= state.instant }
            for number in due.keys { state.sleepers[number] = nil }
            return due.values
        }
        for sleeper in due { sleeper.continuation.resume() }
    }

    /// Waits until somebody sleeps.
    func somebodySleeps() async {
        await withCheckedContinuation { continuation in
            let isAsleep = state.withLock { state in
                if state.sleepers.isEmpty { state.watchers.append(continuation) }
                return !state.sleepers.isEmpty
            }
            if isAsleep { continuation.resume() }
        }
    }
}
