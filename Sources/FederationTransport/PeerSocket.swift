import FederationCrypto
import FederationModel
import FederationService
import FederationWire
import NIOCore
import Synchronization

/// The way from any thread to the handler of one channel: what the service holds as its ``PeerChannel``.
final class PeerSocket: PeerChannel {
    let outbox: PeerOutbox
    private let eventLoop: any EventLoop
    private let handler: NIOLoopBound<PeerChannelHandler>
    private let metrics: TransportMetrics

    init(_ handler: PeerChannelHandler, outbox: PeerOutbox, on eventLoop: any EventLoop, metrics: TransportMetrics) {
        self.outbox = outbox
        self.eventLoop = eventLoop
        self.handler = NIOLoopBound(handler, eventLoop: eventLoop)
        self.metrics = metrics
    }

    func send(_ frame: FederationFrame) {
        wake(outbox.put(frame))
    }

    func close(_ code: CloseCode) {
        wake(outbox.close(code))
    }

    var queuedFrames: Int { outbox.count }

    private func wake(_ put: PeerOutbox.Put) {
        switch put {
        case .nothing:
            return
        case .overflow:
            metrics.reached(.outboundQueue)
        case .wake:
            break
        }
        onLoop { $0.drain() }
    }

    /// Sends handshake messages, and then takes the next one from the peer.
    func continueHandshake(sending messages: [[UInt8]]) {
        onLoop { $0.continueHandshake(sending: messages) }
    }

    /// Sends the last handshake messages; everything after them is sealed.
    func establish(sending messages: [[UInt8]], records: consuming RecordLayer) {
        let handedOver = HandedOverRecords(records)
        onLoop { $0.establish(sending: messages, records: handedOver.take()) }
    }

    private func onLoop(_ body: @escaping @Sendable (PeerChannelHandler) -> Void) {
        eventLoop.execute { [handler] in body(handler.value) }
    }
}

/// A record layer on its way to the event loop: it cannot be copied, and a closure cannot own it.
private final class HandedOverRecords: Sendable {
    private let records: Mutex<RecordLayer?>

    init(_ records: consuming RecordLayer) {
        self.records = Mutex(records)
    }

    func take() -> RecordLayer? {
        records.withLock { $0.take() }
    }
}
