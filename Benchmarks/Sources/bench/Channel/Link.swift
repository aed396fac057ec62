import FederationModel
import FederationWire
import Synchronization

/// Two ends of something that carries frames. What the near end sends arrives at the far end; a heartbeat is answered.
protocol Link: Sendable {
    func send(_ frame: FederationFrame)

    /// Frames that have arrived at the far end, and answers that have come back to the near one.
    var arrived: Arrivals { get }
    var answered: Arrivals { get }

    func close() async throws
}

extension Link {
    /// Sends `count` times, with at most `window` on the way, until all are there.
    func stream(_ frame: FederationFrame, count: Int, window: Int) async {
        let base = arrived.count
        var sent = 0
        while sent < count {
            let burst = min(max(1, window / 2), count - sent)
            for _ in 0..<burst { send(frame) }
            sent += burst
            await arrived.reach(base + sent - min(sent, window / 2))
        }
        await arrived.reach(base + count)
    }

    /// There and back, one after the other.
    func roundTrips(_ count: Int) async {
        let base = answered.count
        for number in 1...count {
            send(.heartbeat(.init(sequence: UInt64(number), sentAt: Timestamp(seconds: 1))))
            await answered.reach(base + number)
        }
    }
}

/// A count that one task can wait for.
final class Arrivals: Sendable {
    private struct State {
        var count = 0
        var threshold = Int.max
        var waiting: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.count } }

    func add() {
        let waiting = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.count += 1
            guard state.count >= state.threshold else { return nil }
            state.threshold = .max
            return state.waiting.take()
        }
        waiting?.resume()
    }

    func reach(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                guard state.count < count else { return true }
                state.threshold = count
                state.waiting = continuation
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}
