import FederationModel
import FederationWire
import NIOCore
import Synchronization

/// Frames that the service wants sent and the event loop has not sealed yet. Any thread puts, the event loop takes.
final class PeerOutbox: Sendable {
    /// What the putter must do.
    enum Put {
        /// The event loop knows already.
        case nothing
        /// Wake the event loop.
        case wake
        /// The queue is full: the channel is closing as overloaded. Wake the event loop.
        case overflow
    }

    private struct State {
        var frames = CircularBuffer<FederationFrame>()
        var bytes = 0
        var isAwake = false
        /// Set once; nothing is put after it.
        var closing: CloseCode?
    }

    private let state = Mutex(State())
    private let maximumFrames: Int
    private let maximumBytes: Int

    init(maximumFrames: Int = Limits.outboundFrames, maximumBytes: Int = PeerLimits.outboundBytes) {
        self.maximumFrames = maximumFrames
        self.maximumBytes = maximumBytes
    }

    func put(_ frame: FederationFrame) -> Put {
        let size = frame.approximateBytes
        return state.withLock { state in
            guard state.closing == nil else { return .nothing }
            guard state.frames.isEmpty || state.frames.count < maximumFrames && state.bytes + size <= maximumBytes
            else {
                state.closing = .overloaded
                state.frames.removeAll()
                state.bytes = 0
                state.isAwake = true
                return .overflow
            }
            state.frames.append(frame)
            state.bytes += size
            defer { state.isAwake = true }
            return state.isAwake ? .nothing : .wake
        }
    }

    /// Asks for the end of the channel behind what was put; the first code counts.
    func close(_ code: CloseCode) -> Put {
        state.withLock { state in
            guard state.closing == nil else { return .nothing }
            state.closing = code
            defer { state.isAwake = true }
            return state.isAwake ? .nothing : .wake
        }
    }

    /// The event loop has woken up: puts from now on wake it again.
    func awoken() {
        state.withLock { $0.isAwake = false }
    }

    /// At most `count` frames, in order.
    func take(_ count: Int) -> [FederationFrame] {
        state.withLock { state in
            let taken = Array(state.frames.prefix(count))
            state.frames.removeFirst(taken.count)
            for frame in taken { state.bytes -= frame.approximateBytes }
            return taken
        }
    }

    /// Frames that wait.
    var count: Int { state.withLock { $0.frames.count } }

    /// The code to close with, when that was asked for.
    var closing: CloseCode? { state.withLock { $0.closing } }

    /// Forgets everything and takes nothing more.
    func abandon() {
        state.withLock { state in
            state.frames.removeAll()
            state.bytes = 0
            state.closing = state.closing ?? .goingAway
        }
    }
}

extension FederationFrame {
    /// What the frame weighs in a queue, without encoding it: its large parts and something for the rest.
    var approximateBytes: Int {
        let rest = 256
        switch self {
        case .ready, .heartbeat, .acknowledgement, .worldRequest, .worldResponse, .assetRequest, .accept, .reject,
            .abort, .query, .position:
            return rest
        case .assetResponse(let response):
            switch response.answer {
            case .chunk(let bytes): return rest + bytes.count
            case .refused: return rest
            }
        case .offer(let offer): return rest + offer.token.utf8.count + offer.snapshot.count
        case .commit(let commit): return rest + commit.token.utf8.count
        case .admitted(let admitted): return rest + admitted.receipt.utf8.count
        case .verdict(let verdict):
            switch verdict.decision {
            case .committed(let token): return rest + token.utf8.count
            case .undecided, .aborted: return rest
            }
        case .probe, .probeResult: return rest
        case .notice(.card(let compact)), .notice(.revocation(let compact)): return rest + compact.utf8.count
        case .introductions(let introductions):
            return (introductions.statements + introductions.cards).reduce(rest) { $0 + $1.utf8.count }
        case .evidence(let tokens): return tokens.reduce(rest) { $0 + $1.utf8.count }
        case .recall(let players): return rest + players.count * Limits.identifierBytes
        }
    }
}
