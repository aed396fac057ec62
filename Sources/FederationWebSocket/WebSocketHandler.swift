public import NIOCore

/// A WebSocket on an event loop: bytes below, whole messages above (RFC 6455).
///
/// Inbound it delivers ``WebSocketMessage``, fires ``WebSocketClosure`` once and answers pings; outbound it takes
/// ``WebSocketMessage`` and ``WebSocketCloseRequest``. Written messages leave at the next flush, in one buffer. Whoever
/// sits above slows the peer down with ``pause()`` and ``resume()``, and sees writability unchanged.
///
/// States: `open` can become `awaitingAnswer` (we sent Close), which becomes `awaitingEnd` (nothing more is sent or
/// delivered; what comes is dropped until the peer hangs up or time is up), which becomes `closed`.
public final class WebSocketHandler: ChannelDuplexHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = WebSocketMessage
    public typealias OutboundIn = WebSocketMessage
    public typealias OutboundOut = ByteBuffer

    private enum State {
        case open
        case awaitingAnswer
        case awaitingEnd
        case closed
    }

    private let configuration: WebSocketConfiguration
    private var reader: WebSocketReader
    private var writer: WebSocketWriter
    private var state = State.open
    private var promises: [EventLoopPromise<Void>] = []
    /// The newest ping that could not be answered yet because the peer does not read; older ones are dropped (§5.5.3).
    private var unansweredPing: ByteBuffer?
    private var controlFrames = 0
    private var controlWindowEnd = NIODeadline.uptimeNanoseconds(0)
    private var context: ChannelHandlerContext?
    /// Whether messages are held back, and whether the channel has asked to read meanwhile.
    private var isPaused = false
    private var owesRead = false
    /// Whether the channel reads; silence counts only then.
    private var isReading = true
    private var lastReceived = NIODeadline.uptimeNanoseconds(0)
    private var keepAliveTimer: Scheduled<Void>?
    private var closeTimer: Scheduled<Void>?

    public init(_ configuration: WebSocketConfiguration) {
        self.configuration = configuration
        reader = WebSocketReader(configuration)
        writer = WebSocketWriter(role: configuration.role)
    }

    /// Bytes of one message; takes effect with the next message. Only on the event loop.
    public var maximumMessageBytes: Int {
        get { reader.maximumMessageBytes }
        set { reader.maximumMessageBytes = newValue }
    }

    /// Holds back messages from now on: the next one is not even looked at. Only on the event loop.
    public func pause() {
        switch state {
        case .open: isPaused = true
        case .awaitingAnswer, .awaitingEnd, .closed: break
        }
    }

    /// Delivers what was held back and reads on. Only on the event loop.
    public func resume() {
        guard isPaused, let context else { return }
        isPaused = false
        readMessages(context)
        context.fireChannelReadComplete()
        readIfOwed(context)
    }

    public func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        // A WebSocket has no use for half a connection (§7.1.4), and over TLS the goodbye would wait for the other
        // half.
        try? context.channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: false)
        lastReceived = context.eventLoop.now
        scheduleKeepAlive(context)
    }

    public func handlerRemoved(context: ChannelHandlerContext) {
        end(context)
        self.context = nil
    }

    // MARK: Receiving

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .awaitingEnd, .closed:
            return
        case .open, .awaitingAnswer:
            break
        }
        lastReceived = context.eventLoop.now
        reader.feed(unwrapInboundIn(data))
        readMessages(context)
    }

    private func readMessages(_ context: ChannelHandlerContext) {
        do throws(WebSocketFailure) {
            while !isPaused, let event = try reader.next() {
                try receive(event, context)
                switch state {
                case .open, .awaitingAnswer: continue
                case .awaitingEnd, .closed: return
                }
            }
        } catch {
            fail(error, context)
        }
    }

    public func read(context: ChannelHandlerContext) {
        if isPaused {
            owesRead = true
        } else {
            isReading = true
            context.read()
        }
    }

    private func readIfOwed(_ context: ChannelHandlerContext) {
        if writeBatch(context) { context.flush() }
        guard owesRead, !isPaused else { return }
        owesRead = false
        read(context: context)
    }

    public func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        if writeBatch(context) { context.flush() }
        context.fireChannelReadComplete()
    }

    private func receive(_ event: WebSocketReader.Event, _ context: ChannelHandlerContext) throws(WebSocketFailure) {
        switch event {
        case .message(let message):
            if case .open = state { context.fireChannelRead(wrapInboundOut(message)) }
        case .ping(let payload):
            try countControlFrame(context)
            guard case .open = state else { return }
            if context.channel.isWritable {
                writeFrame(.pong, payload, context)
            } else {
                unansweredPing = payload
            }
        case .pong:
            try countControlFrame(context)
        case .close(let code, let reason):
            receiveClose(code, reason, context)
        }
    }

    private func countControlFrame(_ context: ChannelHandlerContext) throws(WebSocketFailure) {
        if lastReceived >= controlWindowEnd {
            controlWindowEnd = lastReceived + configuration.controlWindow
            controlFrames = 0
        }
        controlFrames += 1
        guard controlFrames <= configuration.controlFramesPerWindow else { throw .controlFlood }
    }

    /// §5.5.1: answer with the same code unless we closed first; then the server hangs up and the client waits for it.
    private func receiveClose(_ code: UInt16, _ reason: String, _ context: ChannelHandlerContext) {
        let wasOpen: Bool
        if case .open = state { wasOpen = true } else { wasOpen = false }
        state = .awaitingEnd
        guard wasOpen else {
            if configuration.role == .server { context.close(promise: nil) }
            return
        }
        startCloseTimer(context)
        sendClose(code == 1005 ? nil : code, "", context) {
            if self.configuration.role == .server { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(WebSocketClosure(origin: .peer, code: code, reason: reason))
    }

    // MARK: Sending

    public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .open = state else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        if let promise { promises.append(promise) }
        switch unwrapOutboundIn(data) {
        case .binary(let bytes): writeFrame(.binary, bytes, context)
        case .text(let text): writeFrame(.text, ByteBuffer(string: text), context)
        }
    }

    public func flush(context: ChannelHandlerContext) {
        writeBatch(context)
        context.flush()
    }

    public func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, let payload = unansweredPing {
            unansweredPing = nil
            if case .open = state {
                writeFrame(.pong, payload, context)
                flush(context: context)
            }
        }
        context.fireChannelWritabilityChanged()
    }

    private func writeFrame(_ opcode: WebSocketOpcode, _ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        let ready = writer.write(opcode, payload)
        if let buffer = ready.first { context.write(wrapOutboundOut(buffer), promise: nil) }
        if let buffer = ready.second { context.write(wrapOutboundOut(buffer), promise: nil) }
    }

    /// Passes the batch down with everything that waits for it; whether there was any.
    @discardableResult
    private func writeBatch(_ context: ChannelHandlerContext) -> Bool {
        let batch = writer.takeBatch()
        guard batch != nil || !promises.isEmpty else { return false }
        var written: EventLoopPromise<Void>?
        if !promises.isEmpty {
            let waiting = promises
            promises = []
            let promise = context.eventLoop.makePromise(of: Void.self)
            for each in waiting { promise.futureResult.cascade(to: each) }
            written = promise
        }
        context.write(wrapOutboundOut(batch ?? ByteBuffer()), promise: written)
        return true
    }

    // MARK: Closing

    public func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        guard let request = event as? WebSocketCloseRequest else {
            context.triggerUserOutboundEvent(event, promise: promise)
            return
        }
        close(request.code, request.reason, context)
        promise?.succeed(())
    }

    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent:
            close(configuration.goingAwayCode, "", context)
            context.fireUserInboundEventTriggered(event)
        case let event as ChannelEvent where event == .inputClosed:
            end(context)
            context.close(promise: nil)
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    public func channelInactive(context: ChannelHandlerContext) {
        end(context)
        context.fireChannelInactive()
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(context)
        // A TLS handler below tells of its failure before it closes; closing first would make it wait for a goodbye.
        context.eventLoop.assumeIsolated().execute { context.close(promise: nil) }
    }

    /// Starts the closing handshake; nothing when one is under way.
    private func close(_ code: UInt16, _ reason: String, _ context: ChannelHandlerContext) {
        guard case .open = state else { return }
        state = .awaitingAnswer
        startCloseTimer(context)
        sendClose(code, reason, context) {}
        context.fireUserInboundEventTriggered(WebSocketClosure(origin: .local, code: code))
        // Nothing is delivered any more, but the answer must still be found.
        resume()
    }

    /// Tells the peer what it did. The connection is not cut at once, because a reset could overtake the Close frame: a
    /// server ends its own half and drops what still comes until the peer ends the other.
    private func fail(_ failure: WebSocketFailure, _ context: ChannelHandlerContext) {
        switch state {
        case .open:
            let code = configuration.closeCode(failure)
            state = .awaitingEnd
            startCloseTimer(context)
            sendClose(code, "", context) {
                if self.configuration.role == .server { context.close(mode: .output, promise: nil) }
            }
            context.fireUserInboundEventTriggered(WebSocketClosure(origin: .failure(failure), code: code))
        case .awaitingAnswer:
            state = .awaitingEnd
            context.close(promise: nil)
        case .awaitingEnd, .closed:
            break
        }
    }

    /// Sends a Close frame behind everything that was written; `sent` runs when it has left.
    private func sendClose(
        _ code: UInt16?, _ reason: String, _ context: ChannelHandlerContext, sent: @escaping () -> Void
    ) {
        var payload = ByteBuffer()
        if let code {
            payload.writeInteger(code)
            payload.writeString(Self.cut(reason, to: WebSocketFrameHeader.maximumControlBytes - 2))
        }
        unansweredPing = nil
        writeFrame(.close, payload, context)
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenSuccess { sent() }
        promises.append(promise)
        flush(context: context)
    }

    /// The longest prefix of `text` of at most `limit` bytes that ends with a whole character.
    private static func cut(_ text: String, to limit: Int) -> String {
        var text = text
        while text.utf8.count > limit { text.removeLast() }
        return text
    }

    /// After this nothing is sent, delivered or timed. Says that the connection was lost unless another end was
    /// announced.
    private func end(_ context: ChannelHandlerContext) {
        keepAliveTimer?.cancel()
        closeTimer?.cancel()
        keepAliveTimer = nil
        closeTimer = nil
        let waiting = promises
        promises = []
        for promise in waiting { promise.fail(ChannelError.ioOnClosedChannel) }
        switch state {
        case .open:
            state = .closed
            context.fireUserInboundEventTriggered(WebSocketClosure(origin: .lost, code: 1006))
        case .awaitingAnswer, .awaitingEnd, .closed:
            state = .closed
        }
    }

    // MARK: Timers

    private func startCloseTimer(_ context: ChannelHandlerContext) {
        closeTimer?.cancel()
        closeTimer = context.eventLoop.assumeIsolated().scheduleTask(in: configuration.closeTimeout) {
            context.close(promise: nil)
        }
    }

    private func scheduleKeepAlive(_ context: ChannelHandlerContext) {
        guard let interval = [configuration.pingInterval, configuration.idleTimeout].compactMap({ $0 }).min() else {
            return
        }
        keepAliveTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: lastReceived + interval) {
            self.keepAlive(context)
        }
    }

    private func keepAlive(_ context: ChannelHandlerContext) {
        guard case .open = state else { return }
        let now = context.eventLoop.now
        if !isReading { lastReceived = now }
        let silence = now - lastReceived
        if let limit = configuration.idleTimeout, silence >= limit {
            fail(.silent, context)
            return
        }
        if let interval = configuration.pingInterval, silence >= interval {
            writeFrame(.ping, ByteBuffer(), context)
            flush(context: context)
        }
        var next = NIODeadline.distantFuture
        if let limit = configuration.idleTimeout { next = min(next, lastReceived + limit) }
        if let interval = configuration.pingInterval {
            next = min(next, silence >= interval ? now + interval : lastReceived + interval)
        }
        keepAliveTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: next) { self.keepAlive(context) }
    }
}

@available(*, unavailable)
extension WebSocketHandler: Sendable {}
