import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import FederationTransport
import FederationWebSocket
import FederationWire
import Synchronization

/// A server behind its transport, with a record of what the transport asked of it: what an attack cost.
final class WatchedHost: PeerChannelHost {
    enum Event: Hashable, Sendable {
        case opened(ChannelID, ChannelDirection)
        case established(ChannelID)
        /// The server refused during the handshake.
        case failed(ChannelID, CloseCode)
        case frame(ChannelID, FederationFrame)
        case closed(ChannelID)
    }

    private struct State {
        var sinks: [ChannelID: any PeerChannel] = [:]
        var signatures = 0
        var incoming: Set<ChannelID> = []
        var outgoing: Set<ChannelID> = []
        var answered: Set<ChannelID> = []
    }

    /// What happened, in order. One task reads.
    let events = Inbox<Event>(high: 1 << 20) {}
    private let server: FederationServer
    private let state = Mutex(State())

    init(_ server: FederationServer) {
        self.server = server
    }

    /// Signatures made for those who came in.
    var signatures: Int { state.withLock { $0.signatures } }

    /// Incoming channels for which key pairs were made.
    var opened: Int { state.withLock { $0.incoming.count } }

    func sink(_ id: ChannelID) -> (any PeerChannel)? {
        state.withLock { $0.sinks[id] }
    }

    /// The newest channel of this direction whose socket is open.
    func channel(to direction: ChannelDirection) -> ChannelID? {
        state.withLock { state in
            (direction == .incoming ? state.incoming : state.outgoing).filter { state.sinks[$0] != nil }.max()
        }
    }

    /// Waits for an event and passes over others; nil when none comes any more.
    func next<Result>(_ match: (Event) -> Result?) async -> Result? {
        while let event = await events.next() {
            if let result = match(event) { return result }
        }
        return nil
    }

    func established() async -> ChannelID? {
        await next { if case .established(let id) = $0 { id } else { nil } }
    }

    func closed(_ id: ChannelID) async {
        _ = await next { $0 == .closed(id) ? () : nil }
    }

    // MARK: PeerChannelHost

    func openChannel(
        _ direction: ChannelDirection, peer: ServerID?, remote: String, sink: any PeerChannel
    ) async throws(ChannelFailure) -> OpenedChannel {
        let opened = try await server.openChannel(direction, peer: peer, remote: remote, sink: sink)
        state.withLock { state in
            state.sinks[opened.id] = sink
            if direction == .incoming {
                state.incoming.insert(opened.id)
            } else {
                state.outgoing.insert(opened.id)
            }
        }
        _ = events.offer(.opened(opened.id, direction))
        return opened
    }

    func receiveHandshake(_ message: [UInt8], on id: ChannelID) async -> FederationNode.ChannelStep {
        let step = await server.receiveHandshake(message, on: id)
        switch step {
        case .send:
            // The answer to a Hello is a Signature; the answer to that is sealed.
            state.withLock { state in
                if state.incoming.contains(id), state.answered.insert(id).inserted { state.signatures += 1 }
            }
        case .established:
            _ = events.offer(.established(id))
        case .close(let code):
            _ = events.offer(.failed(id, code))
        }
        return step
    }

    func takeRecords(for id: ChannelID) async -> sending RecordLayer? {
        await server.takeRecords(for: id)
    }

    func receive(_ frame: FederationFrame, on id: ChannelID) async {
        await receive([frame], on: id)
    }

    func receive(_ frames: [FederationFrame], on id: ChannelID) async {
        await server.receive(frames, on: id)
        // Told when they are handled: whoever sees one knows that those before it have been, also if they came at once.
        for frame in frames { _ = events.offer(.frame(id, frame)) }
    }

    func channelClosed(_ id: ChannelID) async {
        await server.channelClosed(id)
        state.withLock { $0.sinks[id] = nil }
        _ = events.offer(.closed(id))
    }
}
