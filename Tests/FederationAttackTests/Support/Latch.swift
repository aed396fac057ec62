import Synchronization

/// A gate that is shut until somebody opens it, or until enough have come to it.
final class Latch: Sendable {
    private struct State {
        var missing: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Mutex<State>

    /// Whether nobody waits any more.
    var isOpen: Bool { state.withLock { $0.missing <= 0 } }

    /// - Parameter count: how many times ``open()`` must be called.
    init(_ count: Int = 1) {
        state = Mutex(State(missing: count))
    }

    func open() {
        let waiting = state.withLock { state in
            state.missing -= 1
            guard state.missing <= 0 else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if state.missing > 0 { state.waiting.append(continuation) }
                return state.missing <= 0
            }
            if isOpen { continuation.resume() }
        }
    }
}
