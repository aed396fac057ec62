import FederationCrypto
import FederationModel
import FederationService
import FederationWebSocket
import FederationWire
import NIOCore

/// What a channel's handler gives to its driver.
enum PeerInput: Sendable {
    case handshake([UInt8])
    case frame(FederationFrame)

    /// Bytes of an asset or a snapshot that it brings.
    var payloadBytes: Int {
        switch self {
        case .frame(.assetResponse(let response)):
            if case .chunk(let bytes) = response.answer { bytes.count } else { 0 }
        case .frame(.offer(let offer)): offer.snapshot.count
        case .frame, .handshake: 0
        }
    }
}

/// One federation channel on its event loop, above a ``WebSocketHandler``: handshake messages go to the driver one at a
/// time, records are opened here and their frames queued for it, frames of the service are sealed and sent.
///
/// States: `awaitingHost` (nothing is read) can become `awaitingPeer` and back, until `established`; every state can
/// become `closed`.
final class PeerChannelHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketMessage
    typealias OutboundOut = WebSocketMessage

    private enum State {
        case awaitingHost
        case awaitingPeer
        case established
        case closed
    }

    private let webSocket: WebSocketHandler
    private let metrics: TransportMetrics
    private let clock: any FederationClock
    private let inbox: Inbox<PeerInput>
    private let outbox: PeerOutbox
    private let handshakeTimeout: TimeAmount
    private let ended: (PeerChannelEnd) -> Void
    private let handshakeEnded: () -> Void
    private var state = State.awaitingHost
    private var records: RecordLayer?
    private var context: ChannelHandlerContext?
    private var handshakeTimer: Scheduled<Void>?
    private var wasEstablished = false
    /// Whether frames are being sealed: writing may change the writability, which starts sealing again.
    private var isSealing = false

    /// - Parameters:
    ///   - handshakeEnded: Called once, when the channel is established or closed.
    ///   - ended: Called once, when the channel is closed or closing.
    init(
        _ webSocket: WebSocketHandler, inbox: Inbox<PeerInput>, outbox: PeerOutbox, clock: any FederationClock,
        metrics: TransportMetrics, handshakeTimeout: TimeAmount, handshakeEnded: @escaping () -> Void,
        ended: @escaping (PeerChannelEnd) -> Void
    ) {
        self.webSocket = webSocket
        self.inbox = inbox
        self.outbox = outbox
        self.clock = clock
        self.metrics = metrics
        self.handshakeTimeout = handshakeTimeout
        self.handshakeEnded = handshakeEnded
        self.ended = ended
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        webSocket.pause()
        handshakeTimer = context.eventLoop.assumeIsolated().scheduleTask(in: handshakeTimeout) {
            self.metrics.reached(.handshakeTime)
            self.close(.handshakeTimeout)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(WebSocketClosure(origin: .lost, code: 1006))
        self.context = nil
    }

    // MARK: Handshake

    /// Sends messages in clear and takes the peer's next one.
    func continueHandshake(sending messages: [[UInt8]]) {
        guard case .awaitingHost = state else { return }
        sendInClear(messages)
        state = .awaitingPeer
        webSocket.resume()
    }

    /// Sends the last messages in clear; from now on everything is a record.
    func establish(sending messages: [[UInt8]], records: consuming RecordLayer?) {
        guard case .awaitingHost = state else { return }
        sendInClear(messages)
        self.records = records
        state = .established
        wasEstablished = true
        handshakeTimer?.cancel()
        handshakeEnded()
        webSocket.maximumMessageBytes = Limits.recordBytes
        drain()
        webSocket.resume()
    }

    private func sendInClear(_ messages: [[UInt8]]) {
        guard let context else { return }
        for message in messages {
            context.write(wrapOutboundOut(.binary(ByteBuffer(bytes: message))), promise: nil)
        }
        context.flush()
    }

    // MARK: Receiving

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // The WebSocket takes no text here.
        guard case .binary(let buffer) = unwrapInboundIn(data) else { return }
        switch state {
        case .awaitingPeer:
            state = .awaitingHost
            webSocket.pause()
            _ = inbox.offer(.handshake(Array(buffer.readableBytesView)))
        case .established:
            receive(record: Array(buffer.readableBytesView))
        case .awaitingHost, .closed:
            break
        }
    }

    /// The record is given away: it is opened where it stands.
    private func receive(record: consuming [UInt8]) {
        metrics.recordsIn.increment()
        metrics.bytesIn.increment(by: record.count)
        let frame: FederationFrame
        do throws(RecordLayer.Failure) {
            guard case .frame(let bytes)? = try records?.open(consume record) else { return }
            do throws(FrameFailure) {
                frame = try FrameCodec.decode(bytes)
            } catch {
                if let code = error.closeCode { close(code) }
                return
            }
        } catch {
            close(error.closeCode)
            return
        }
        if inbox.put(.frame(frame)) {
            metrics.reached(.inboundQueue)
            webSocket.pause()
        }
    }

    /// Frames that came together wake the driver once.
    func channelReadComplete(context: ChannelHandlerContext) {
        inbox.wake()
        context.fireChannelReadComplete()
    }

    // MARK: Sending

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { drain() }
        context.fireChannelWritabilityChanged()
    }

    /// Seals and sends what waits, as long as the peer reads; one flush for all of it. Then closes if that was asked
    /// for.
    func drain() {
        outbox.awoken()
        guard let context, !isSealing else { return }
        isSealing = true
        while case .established = state, context.channel.isWritable {
            guard sealBatch(context) else { break }
            context.flush()
        }
        isSealing = false
        if let code = outbox.closing { close(code) }
    }

    /// Writes what waits until the buffers below are full; false when there was nothing.
    private func sealBatch(_ context: ChannelHandlerContext) -> Bool {
        var isAny = false
        while context.channel.isWritable {
            let frames = outbox.take(PeerLimits.sealingRun)
            guard !frames.isEmpty else { break }
            isAny = true
            for frame in frames {
                guard seal(frame, context) else { return true }
            }
        }
        return isAny
    }

    /// Writes a frame as one record, or as two when the key changes; false when the channel had to be closed.
    private func seal(_ frame: FederationFrame, _ context: ChannelHandlerContext) -> Bool {
        do {
            let bytes = try FrameCodec.encode(frame)
            for record in try records?.seal(bytes, at: clock.now().instant) ?? [] {
                metrics.recordsOut.increment()
                metrics.bytesOut.increment(by: record.count)
                context.write(wrapOutboundOut(.binary(ByteBuffer(bytes: record))), promise: nil)
            }
            return true
        } catch {
            // The service makes frames within their bounds; one that is not is our own fault.
            close(.internalError)
            return false
        }
    }

    // MARK: Closing

    func close(_ code: CloseCode) {
        guard let context else { return }
        switch state {
        case .closed: break
        case .awaitingHost, .awaitingPeer, .established:
            context.triggerUserOutboundEvent(WebSocketCloseRequest(code: code.rawValue), promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let closure = event as? WebSocketClosure { end(closure) }
        context.fireUserInboundEventTriggered(event)
    }

    /// The channel is over for the service, though its last bytes may still be on their way.
    private func end(_ closure: WebSocketClosure) {
        switch state {
        case .closed: return
        case .awaitingHost, .awaitingPeer, .established: state = .closed
        }
        handshakeTimer?.cancel()
        if !wasEstablished { handshakeEnded() }
        records = nil
        outbox.abandon()
        ended(PeerChannelEnd(wasEstablished: wasEstablished, closure: closure))
        inbox.finish()
    }
}

@available(*, unavailable)
extension PeerChannelHandler: Sendable {}
