import FederationWebSocket
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import ServiceLifecycle

/// A connection of the server's port: HTTP/1.1, or a WebSocket when its first request asks for one of the routes.
struct UpgradableServerChannel: HTTPChannelHandler {
    typealias Parts = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    /// What a connection turned out to be.
    enum Outcome: Sendable {
        case http(Parts)
        /// Its handlers look after it.
        case webSocket
    }

    /// A connection that has not said yet what it is.
    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let outcome: EventLoopFuture<Outcome>
    }

    let responder: Responder
    let routes: [String: WebSocketRoute]
    let limits: ListenerLimits
    let connections: OpenConnections
    let newcomers: Newcomers
    let metrics: PortMetrics

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            var decoderLimits = NIOHTTPDecoderLimitConfiguration()
            decoderLimits.maxHeaderFieldSize = limits.headerFieldBytes
            decoderLimits.maxHeaderListSize = limits.headerListBytes
            decoderLimits.maxHeaderFieldCount = limits.headerFields
            let encoder = HTTPResponseEncoder()
            let decoder = ByteToMessageHandler(
                HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: decoderLimits))
            let first = FirstRequestHandler(
                routes: routes, timeout: limits.firstRequestTimeout, connections: connections, newcomers: newcomers,
                metrics: metrics)
            let upgrade = NIOTypedHTTPServerUpgradeHandler(
                httpEncoder: encoder, extraHTTPHandlers: [decoder, first],
                upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                    upgraders: [upgrader()],
                    notUpgradingCompletionHandler: { channel in
                        channel.eventLoop.makeCompletedFuture { .http(try configureHTTP(channel, logger)) }
                    }))
            try channel.pipeline.syncOperations.addHandlers([encoder, decoder, first, upgrade])
            return Value(channel: channel, outcome: upgrade.upgradeResultFuture)
        }
    }

    func handle(value: Value, logger: Logger) async {
        let outcome: Outcome
        do {
            outcome = try await quiescing(value.channel) { try await value.outcome.get() }
        } catch {
            // Closed before its first request was whole, or the upgrade failed; NIO leaves the socket open then.
            logger.trace("a connection came to nothing: \(error)")
            value.channel.close(promise: nil)
            return
        }
        switch outcome {
        case .http(let parts):
            await quiescing(value.channel) { await handleHTTP(asyncChannel: parts, logger: logger) }
        case .webSocket:
            try? await quiescing(value.channel) { try await value.channel.closeFuture.get() }
        }
    }

    /// Tells the channel when the server stops, also when it stopped before `body` began. NIO says it once to each
    /// connection, and to one that is accepted or upgraded in that very moment while nobody listens.
    private func quiescing<Value>(_ channel: any Channel, _ body: () async throws -> Value) async rethrows -> Value {
        try await withGracefulShutdownHandler {
            try await body()
        } onGracefulShutdown: {
            channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
    }

    private func upgrader() -> WebSocketServerUpgrader<Outcome> {
        WebSocketServerUpgrader(
            accept: { [routes] head in
                guard let route = routes[FirstRequestHandler.path(head.uri)] else { return nil }
                return route.subprotocol.map { ["Sec-WebSocket-Protocol": $0] } ?? [:]
            },
            upgraded: { [routes] channel, head in
                guard let route = routes[FirstRequestHandler.path(head.uri)] else {
                    return channel.eventLoop.makeFailedFuture(ChannelError.inappropriateOperationForState)
                }
                return route.upgrade(channel, head).map { .webSocket }
            })
    }

    /// What stands above NIO's HTTP handlers in Hummingbird's own HTTP/1.1 channel.
    private func configureHTTP(_ channel: any Channel, _ logger: Logger) throws -> Parts {
        try channel.pipeline.syncOperations.addHandlers(
            [
                WriteStallHandler(timeout: limits.writeStallTimeout, metrics: metrics),
                StopHandler(timeout: limits.stopTimeout),
            ], position: .first)
        try channel.pipeline.syncOperations.addHandlers([
            ExchangeHandler(), IdleHandler(limits, metrics: metrics),
            HTTP1ToHTTPServerCodec(secure: false), HTTPConnectionStateHandler(idleTimeout: nil, logger: logger),
        ])
        return try NIOAsyncChannel(
            wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
    }
}
