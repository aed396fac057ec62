import FederationCore
import FederationModel
import FederationService
import FederationWire
import Synchronization
import Testing

/// A channel between two servers of one process: their real handshake, and their frames as bytes. A test sees every frame,
/// and says what becomes of it.
final class Link: Sendable {
    /// From the first server to the second, and back.
    let there: Pipe
    let back: Pipe
    private let ends: Mutex<[(server: FederationServer, channel: ChannelID)]>

    /// Makes both servers trust each other, unless they do, and opens the channel, dialled by `a`.
    static func connect(_ a: TestServer, _ b: TestServer) async throws -> Link {
        let cardA = try #require(await a.server.card()?.compact)
        let cardB = try #require(await b.server.card()?.compact)
        _ = try await a.server.addPeer(cardB)
        _ = try await b.server.addPeer(cardA)
        return try await open(a, b)
    }

    /// Opens a channel between servers that trust each other.
    static func open(_ a: TestServer, _ b: TestServer) async throws -> Link {
        let link = Link()
        let sideA = try await a.server.openChannel(.outgoing, peer: b.id, remote: "link", sink: link.there)
        let sideB = try await b.server.openChannel(.incoming, peer: nil, remote: "link", sink: link.back)
        var toA = [sideB.hello]
        var toB = [sideA.hello]
        var established = 0
        while !toA.isEmpty || !toB.isEmpty {
            if !toB.isEmpty {
                let step = await b.server.receiveHandshake(toB.removeFirst(), on: sideB.id)
                established += try reply(step, to: &toA)
            }
            if !toA.isEmpty {
                let step = await a.server.receiveHandshake(toA.removeFirst(), on: sideA.id)
                established += try reply(step, to: &toB)
            }
        }
        try #require(established == 2, "the handshake did not come to its end")
        link.ends.withLock { $0 = [(a.server, sideA.id), (b.server, sideB.id)] }
        link.there.deliver { frame in await b.server.receive(frame, on: sideB.id) }
        link.back.deliver { frame in await a.server.receive(frame, on: sideA.id) }
        for pipe in [link.there, link.back] {
            pipe.whenClosed { [weak link] in
                Task { await link?.close() }
            }
        }
        return link
    }

    private init() {
        there = Pipe()
        back = Pipe()
        ends = Mutex([])
    }

    /// The connection is gone: both servers are told.
    func close() async {
        let ends = self.ends.withLock { ends in
            defer { ends = [] }
            return ends
        }
        there.finish()
        back.finish()
        for end in ends { await end.server.channelClosed(end.channel) }
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

/// One direction of a link.
final class Pipe: PeerChannel {
    /// What becomes of a frame.
    enum Fate: Sendable {
        case delivered
        case held
        case lost
        case replaced(FederationFrame)
    }

    private struct State {
        var fate: @Sendable (FederationFrame) -> Fate = { _ in .delivered }
        var held: [FederationFrame] = []
        var sent: [String] = []
        var closed: CloseCode?
        var onClose: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())
    private let frames: AsyncStream<FederationFrame>
    private let sender: AsyncStream<FederationFrame>.Continuation

    init() {
        (frames, sender) = AsyncStream.makeStream()
    }

    /// The frames that the server has sent, by name, and `close` with its code.
    var sent: [String] { state.withLock { $0.sent } }

    func deliver(_ receive: @escaping @Sendable (FederationFrame) async -> Void) {
        Task { [frames] in
            for await frame in frames { await receive(frame) }
        }
    }

    func whenClosed(_ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.onClose = body }
    }

    /// Decides about every frame from now on.
    func decide(_ fate: @escaping @Sendable (FederationFrame) -> Fate) {
        state.withLock { $0.fate = fate }
    }

    /// Holds frames of this name back until ``release()``.
    func hold(_ name: String) {
        decide { $0.name == name ? .held : .delivered }
    }

    /// Delivers what was held, and everything from now on.
    func release() {
        state.withLock { state in
            state.fate = { _ in .delivered }
            for frame in state.held { sender.yield(frame) }
            state.held = []
        }
    }

    /// Delivers a frame that nobody sent.
    func inject(_ frame: FederationFrame) {
        sender.yield(frame)
    }

    func send(_ frame: FederationFrame) {
        do {
            // What cannot be encoded would close a real channel.
            let decoded = try FrameCodec.decode(try FrameCodec.encode(frame))
            state.withLock { state in
                guard state.closed == nil else { return }
                state.sent.append(frame.name)
                switch state.fate(frame) {
                case .delivered: sender.yield(decoded)
                case .held: state.held.append(decoded)
                case .lost: break
                case .replaced(let other): sender.yield(other)
                }
            }
        } catch {
            Issue.record("\(frame.name) is not within its bounds: \(error)")
        }
    }

    func close(_ code: CloseCode) {
        let onClose = state.withLock { state -> (@Sendable () -> Void)? in
            guard state.closed == nil else { return nil }
            state.closed = code
            state.sent.append("close \(code)")
            return state.onClose
        }
        onClose?()
    }

    func finish() {
        sender.finish()
    }
}

extension FederationFrame {
    /// The case's name.
    var name: String {
        switch self {
        case .ready: "ready"
        case .heartbeat: "heartbeat"
        case .acknowledgement: "acknowledgement"
        case .worldRequest: "worldRequest"
        case .worldResponse: "worldResponse"
        case .assetRequest: "assetRequest"
        case .assetResponse: "assetResponse"
        case .offer: "offer"
        case .accept: "accept"
        case .reject: "reject"
        case .commit: "commit"
        case .admitted: "admitted"
        case .abort: "abort"
        case .query: "query"
        case .verdict: "verdict"
        case .position: "position"
        case .evidence: "evidence"
        case .recall: "recall"
        case .notice: "notice"
        case .introductions: "introductions"
        case .probe: "probe"
        case .probeResult: "probe result"
        }
    }
}
