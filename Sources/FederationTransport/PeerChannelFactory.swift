import FederationModel
import FederationService
import FederationWebSocket
import NIOCore

/// Puts the handlers of the federation channel on upgraded sockets, and keeps the list of those that are open.
final class PeerChannelFactory: Sendable {
    private let host: any PeerChannelHost
    private let clock: any FederationClock
    private let metrics: TransportMetrics
    private let gate: HandshakeGate
    private let handshakeTimeout: TimeAmount
    private let idleTimeout: TimeAmount

    init(
        host: any PeerChannelHost, clock: any FederationClock, metrics: TransportMetrics, gate: HandshakeGate,
        handshakeTimeout: Duration, idleTimeout: Duration
    ) {
        self.host = host
        self.clock = clock
        self.metrics = metrics
        self.gate = gate
        self.handshakeTimeout = handshakeTimeout.timeAmount
        self.idleTimeout = idleTimeout.timeAmount
    }

    /// An incoming socket. `isRefused` when its address has too many handshakes open, or has begun too many: the driver must
    /// then refuse it.
    func accept(_ channel: any Channel) -> EventLoopFuture<(driver: PeerChannelDriver, isRefused: Bool)> {
        // Kept, because a channel that has closed does not know it any more.
        let address = channel.remoteAddress
        let limit = gate.enter(address, at: clock.now().instant)
        if let limit { metrics.reached(limit) }
        let mayEnter = limit == nil
        let attached = attach(channel, .incoming, peer: nil, role: .server) { [gate] in
            if mayEnter { gate.leave(address) }
        }
        attached.whenFailure { [gate] _ in
            if mayEnter { gate.leave(address) }
        }
        return attached.map { ($0, !mayEnter) }
    }

    /// A socket that was dialled.
    func adopt(_ channel: any Channel, peer: ServerID) -> EventLoopFuture<PeerChannelDriver> {
        attach(channel, .outgoing, peer: peer, role: .client) {}
    }

    private func attach(
        _ channel: any Channel, _ direction: ChannelDirection, peer: ServerID?, role: WebSocketRole,
        handshakeEnded: @escaping @Sendable () -> Void
    ) -> EventLoopFuture<PeerChannelDriver> {
        let remote = channel.remoteAddress.map(Self.describe) ?? "local"
        return channel.eventLoop.submit { [self] in
            let webSocket = WebSocketHandler(configuration(role))
            let bound = NIOLoopBound(webSocket, eventLoop: channel.eventLoop)
            let inbox = Inbox<PeerInput>(high: Limits.inboundFrames) {
                channel.eventLoop.execute { bound.value.resume() }
            }
            let outbox = PeerOutbox()
            let end = PeerChannelEndBox()
            let handler = PeerChannelHandler(
                webSocket, inbox: inbox, outbox: outbox, clock: clock, metrics: metrics,
                handshakeTimeout: handshakeTimeout, handshakeEnded: handshakeEnded
            ) { [metrics] value in
                end.set(value)
                metrics.closed(value)
            }
            try channel.syncOptions?.setOption(
                .writeBufferWaterMark, value: .init(low: PeerLimits.writeMarks.low, high: PeerLimits.writeMarks.high))
            try channel.pipeline.syncOperations.addHandlers([webSocket, handler])
            let socket = PeerSocket(handler, outbox: outbox, on: channel.eventLoop, metrics: metrics)
            return PeerChannelDriver(
                host: host, socket: socket, inbox: inbox, end: end, direction: direction, peer: peer, remote: remote)
        }
    }

    private func configuration(_ role: WebSocketRole) -> WebSocketConfiguration {
        WebSocketConfiguration(
            role: role, accepts: .binary, maximumMessageBytes: Limits.handshakeMessageBytes,
            idleTimeout: idleTimeout, closeCode: { $0.closeCode.rawValue },
            goingAwayCode: CloseCode.goingAway.rawValue)
    }

    private static func describe(_ address: SocketAddress) -> String {
        guard let ip = address.ipAddress, let port = address.port else { return "local" }
        return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
    }
}
