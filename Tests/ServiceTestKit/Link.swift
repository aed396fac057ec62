import FederationCore
public import FederationModel
public import FederationService
public import FederationWire
import Synchronization
import Testing

/// A channel between two servers of one process: their real handshake, and their frames as bytes. A test sees every frame,
/// and says what becomes of it.
public final class Link: Sendable {
    /// From the first server to the second, and back.
    public let there: Pipe
    public let back: Pipe
    private let ends: Mutex<[(server: FederationServer, channel: ChannelID)]>

    /// Makes both servers trust each other, unless they do, and opens the channel, dialled by `a`.
    public static func connect(_ a: FederationServer, _ b: FederationServer, remote: String = "link") async throws
        -> Link
    {
        let cardA = try #require(await a.card()?.compact)
        let cardB = try #require(await b.card()?.compact)
        _ = try await a.addPeer(cardB)
        _ = try await b.addPeer(cardA)
        return try await open(a, b, remote: remote)
    }

    /// Opens a channel between servers that trust each other.
    ///
    /// - Parameter remote: the address that each sees at the other end.
    public static func open(_ a: FederationServer, _ b: FederationServer, remote: String = "link") async throws -> Link
    {
        let link = Link()
        let sideA = try await a.openChannel(.outgoing, peer: b.id, remote: remote, sink: link.there)
        let sideB = try await b.openChannel(.incoming, peer: nil, remote: remote, sink: link.back)
        var toA = [sideB.hello]
        var toB = [sideA.hello]
        var established = 0
        while !toA.isEmpty || !toB.isEmpty {
            if !toB.isEmpty {
                let step = await b.receiveHandshake(toB.removeFirst(), on: sideB.id)
                established += try reply(step, to: &toA)
            }
            if !toA.isEmpty {
                let step = await a.receiveHandshake(toA.removeFirst(), on: sideA.id)
                established += try reply(step, to: &toB)
            }
        }
        try #require(established == 2, "the handshake did not come to its end")
        link.ends.withLock { $0 = [(a, sideA.id), (b, sideB.id)] }
        link.there.deliver { frame in await b.receive(frame, on: sideB.id) }
        link.back.deliver { frame in await a.receive(frame, on: sideA.id) }
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
    public func close() async {
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
public final class Pipe: PeerChannel {
    /// What becomes of a frame.
    public enum Fate: Sendable {
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
        /// The name of the frame from which on everything is held.
        var barrier: String?
    }

    private let state = Mutex(State())
    private let frames: AsyncStream<FederationFrame>
    private let sender: AsyncStream<FederationFrame>.Continuation

    public init() {
        (frames, sender) = AsyncStream.makeStream()
    }

    /// The frames that the server has sent, by name, and `close` with its code.
    public var sent: [String] { state.withLock { $0.sent } }

    func deliver(_ receive: @escaping @Sendable (FederationFrame) async -> Void) {
        Task { [frames] in
            for await frame in frames { await receive(frame) }
        }
    }

    public func whenClosed(_ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.onClose = body }
    }

    /// Decides about every frame from now on.
    public func decide(_ fate: @escaping @Sendable (FederationFrame) -> Fate) {
        state.withLock { $0.fate = fate }
    }

    /// Holds frames of this name back until ``release()``.
    public func hold(_ name: String) {
        decide { $0.name == name ? .held : .delivered }
    }

    /// Holds the first frame of this name, and everything after it, back until ``release()``: so a connection that stands still.
    public func holdEverything(from name: String) {
        state.withLock { $0.barrier = name }
    }

    /// Delivers what was held, and everything from now on.
    public func release() {
        state.withLock { state in
            state.fate = { _ in .delivered }
            state.barrier = nil
            for frame in state.held { sender.yield(frame) }
            state.held = []
        }
    }

    /// Delivers a frame that nobody sent.
    public func inject(_ frame: FederationFrame) {
        sender.yield(frame)
    }

    public func send(_ frame: FederationFrame) {
        do {
            // What cannot be encoded would close a real channel.
            let decoded = try FrameCodec.decode(try FrameCodec.encode(frame))
            state.withLock { state in
                guard state.closed == nil else { return }
                state.sent.append(frame.name)
                if let barrier = state.barrier, !state.held.isEmpty || barrier == frame.name {
                    state.held.append(decoded)
                    return
                }
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

    public func close(_ code: CloseCode) {
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
    public var name: String {
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
