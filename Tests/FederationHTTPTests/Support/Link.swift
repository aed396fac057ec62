import FederationCore
import FederationModel
import FederationService
import FederationWire
import Synchronization
import Testing

/// A channel between two servers of one process: their handshake and their frames, without sockets and records.
///
/// Frames from the first to the second can be held back, which is how a commit arrives late.
final class Link: Sendable {
    private let there: Pipe
    private let back: Pipe

    /// Makes both servers trust each other and opens the channel, dialled by `a`.
    static func connect(_ a: TestServer, _ b: TestServer) async throws -> Link {
        let cardA = try #require(await a.server.card()?.compact)
        let cardB = try #require(await b.server.card()?.compact)
        _ = try await a.server.addPeer(cardB)
        _ = try await b.server.addPeer(cardA)
        let link = Link()
        let sideA = try await a.server.openChannel(.outgoing, peer: b.id, remote: "link", sink: link.there)
        let sideB = try await b.server.openChannel(.incoming, peer: nil, remote: "link", sink: link.back)
        var toA = [sideB.hello]
        var toB = [sideA.hello]
        var established = 0
        while !toA.isEmpty || !toB.isEmpty {
            for message in take(&toB) {
                established += try reply(await b.server.receiveHandshake(message, on: sideB.id), to: &toA)
            }
            for message in take(&toA) {
                established += try reply(await a.server.receiveHandshake(message, on: sideA.id), to: &toB)
            }
        }
        try #require(established == 2, "the handshake did not come to its end")
        link.there.deliver { frame in await b.server.receive(frame, on: sideB.id) }
        link.back.deliver { frame in await a.server.receive(frame, on: sideA.id) }
        return link
    }

    private init() {
        there = Pipe()
        back = Pipe()
    }

    /// Holds frames to the second server back from the first one on that is meant.
    func hold(from isMeant: @escaping @Sendable (FederationFrame) -> Bool) { there.hold(from: isMeant) }

    /// Lets them go on.
    func release() { there.release() }

    private static func take(_ messages: inout [[UInt8]]) -> [[UInt8]] {
        defer { messages = [] }
        return messages
    }

    private static func reply(_ step: FederationNode.ChannelStep, to messages: inout [[UInt8]]) throws -> Int {
        switch step {
        case .send(let more):
            messages += more
            return 0
        case .established(let more):
            messages += more
            return 1
        case .close(let code):
            Issue.record("the handshake was closed: \(code)")
            throw CancellationError()
        }
    }
}

/// One direction.
private final class Pipe: PeerChannel {
    private struct State {
        var isMeant: (@Sendable (FederationFrame) -> Bool)?
        var held: [FederationFrame] = []
    }

    private let state = Mutex(State())
    private let frames: AsyncStream<FederationFrame>
    private let sender: AsyncStream<FederationFrame>.Continuation

    init() {
        (frames, sender) = AsyncStream.makeStream()
    }

    func deliver(_ receive: @escaping @Sendable (FederationFrame) async -> Void) {
        Task { [frames] in
            for await frame in frames { await receive(frame) }
        }
    }

    func send(_ frame: FederationFrame) {
        state.withLock { state in
            if state.held.isEmpty, state.isMeant?(frame) != true {
                sender.yield(frame)
            } else {
                state.held.append(frame)
            }
        }
    }

    func close(_ code: CloseCode) {
        sender.finish()
    }

    func hold(from isMeant: @escaping @Sendable (FederationFrame) -> Bool) {
        state.withLock { $0.isMeant = isMeant }
    }

    func release() {
        state.withLock { state in
            state.isMeant = nil
            for frame in state.held { sender.yield(frame) }
            state.held = []
        }
    }
}
