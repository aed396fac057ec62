import FederationModel
import Synchronization

/// The channels whose drivers run, so that stopping can wait for all of them.
final class RunningChannels: Sendable {
    private struct State {
        var sockets: [UInt64: PeerSocket] = [:]
        var next: UInt64 = 0
        var isStopping = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    var isStopping: Bool { state.withLock { $0.isStopping } }

    /// Runs `body`, which must end when its socket does; it is told whether the transport still takes channels.
    func run(
        _ socket: PeerSocket, _ body: @Sendable (_ mayRun: Bool) async -> PeerChannelEnd
    ) async -> PeerChannelEnd {
        let (number, mayRun) = enter(socket)
        let end = await body(mayRun)
        leave(number)
        return end
    }

    /// The same in a task of its own.
    func start(_ socket: PeerSocket, _ body: @escaping @Sendable (_ mayRun: Bool) async -> PeerChannelEnd) {
        let (number, mayRun) = enter(socket)
        Task {
            _ = await body(mayRun)
            leave(number)
        }
    }

    /// Closes every channel, lets no other begin, and waits until all have ended.
    func stop() async {
        let sockets = state.withLock { state in
            state.isStopping = true
            return state.sockets.sorted { $0.key < $1.key }.map(\.value)
        }
        for socket in sockets { socket.close(.goingAway) }
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if !state.sockets.isEmpty { state.waiting.append(continuation) }
                return state.sockets.isEmpty
            }
            if isDone { continuation.resume() }
        }
    }

    private func enter(_ socket: PeerSocket) -> (number: UInt64, mayRun: Bool) {
        state.withLock { state in
            state.next += 1
            state.sockets[state.next] = socket
            return (state.next, !state.isStopping)
        }
    }

    private func leave(_ number: UInt64) {
        let waiting = state.withLock { state in
            state.sockets[number] = nil
            guard state.sockets.isEmpty else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}
