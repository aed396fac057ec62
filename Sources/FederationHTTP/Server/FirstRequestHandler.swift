import FederationWebSocket
import HTTPTypes
import NIOCore
import NIOHTTP1

/// Decides, between the HTTP decoder and NIO's upgrade handler, what becomes a WebSocket.
///
/// NIO's handler loses a request whose upgrade nobody takes (swift-nio #2632) and its decoder reads nothing behind one,
/// so that only an upgrade that will be taken may reach them as such: of every other request the `Upgrade` header is
/// struck and the connection closes behind its response. It also keeps out
/// what is beyond the bounds on connections, bounds the wait for the first request, answers what
/// does not parse before there is anyone else to do it, refuses what does not name its host once, and ends idle newcomers
/// when the process stops.
final class FirstRequestHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case awaitingRequest
        /// Ordinary HTTP from the first request on.
        case passing
        /// What comes belongs to the WebSocket.
        case upgrading
        /// Answered with an error; nothing more is read.
        case refused
    }

    private let routes: [String: WebSocketRoute]
    private let timeout: TimeAmount
    private let connections: OpenConnections
    private let newcomers: Newcomers
    private let metrics: PortMetrics
    /// What the connection is counted under as long as it has not asked for anything.
    private var network: String?
    private var state = State.awaitingRequest
    private var timer: Scheduled<Void>?
    /// The decoder has stopped behind the present request, so that its response must be the last.
    private var isLastResponse = false

    init(
        routes: [String: WebSocketRoute], timeout: TimeAmount, connections: OpenConnections, newcomers: Newcomers,
        metrics: PortMetrics
    ) {
        self.routes = routes
        self.timeout = timeout
        self.connections = connections
        self.newcomers = newcomers
        self.metrics = metrics
    }

    /// The part of `uri` before its query.
    static func path(_ uri: String) -> String {
        String(uri.prefix { $0 != "?" })
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let remote = RemoteAddress(context.remoteAddress)
        if let limit = connections.enter(remote) { return turnAway(limit, context) }
        // This handler goes when the connection becomes a WebSocket; its place is taken until it closes.
        context.channel.closeFuture.whenComplete { [connections] _ in connections.leave(remote) }
        guard let network = newcomers.enter(context.remoteAddress) else { return turnAway(.newcomers, context) }
        self.network = network
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
            self.metrics.reached(.firstRequestTime)
            context.close(promise: nil)
        }
    }

    private func turnAway(_ limit: PortLimit, _ context: ChannelHandlerContext) {
        state = .refused
        metrics.reached(limit)
        // The channel is not registered yet.
        context.eventLoop.assumeIsolated().execute { context.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        endWait()
    }

    /// The connection is no newcomer any more.
    private func endWait() {
        timer?.cancel()
        if let network { newcomers.leave(network) }
        network = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .upgrading:
            // Perhaps bytes that the decoder leaves behind, and no request part any more.
            context.fireChannelRead(data)
        case .refused:
            break
        case .awaitingRequest, .passing:
            guard case .head(let head) = unwrapInboundIn(data) else {
                context.fireChannelRead(data)
                return
            }
            receive(head, context)
        }
    }

    private func receive(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        endWait()
        // RFC 9112 §3.2; NIO's decoder lets it through.
        guard head.version != .http1_1 || head.headers["host"].count == 1 else {
            if case .awaitingRequest = state {
                return refuse(.badRequest, "an HTTP/1.1 request has one Host header", context)
            }
            state = .refused
            return context.fireErrorCaught(HTTPParserError.invalidHeaderToken)
        }
        if case .awaitingRequest = state, let route = routes[Self.path(head.uri)] {
            switch WebSocketRequest(head) {
            case .opening(let offered):
                if let wanted = route.subprotocol, !offered.contains(wanted) {
                    refuse(.badRequest, "Sec-WebSocket-Protocol must offer \(wanted)", context)
                } else {
                    state = .upgrading
                    context.fireChannelRead(wrapInboundOut(.head(head)))
                }
            case .invalid(let reason):
                refuse(.upgradeRequired, reason, context)
            case .none:
                refuse(.upgradeRequired, "this path opens a WebSocket", context)
            }
            return
        }
        state = .passing
        var head = head
        if head.method == .CONNECT || head.headers.contains(name: "upgrade") {
            head.headers.remove(name: "Upgrade")
            head.headers.replaceOrAdd(name: "Connection", value: "close")
            isLastResponse = true
        }
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isLastResponse, case .head(var head) = unwrapOutboundIn(data) else {
            context.write(data, promise: promise)
            return
        }
        head.headers.replaceOrAdd(name: "Connection", value: "close")
        context.write(wrapOutboundOut(.head(head)), promise: promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch state {
        case .awaitingRequest:
            guard let error = error as? HTTPParserError else {
                // Below, TLS tells of its failure before it closes; closing first would make it wait for a goodbye.
                context.eventLoop.assumeIsolated().execute { context.close(promise: nil) }
                return
            }
            if error == .headerOverflow { metrics.reached(.headerSize) }
            refuse(Problem(unreadable: error), context)
        case .passing:
            if case .headerOverflow? = error as? HTTPParserError { metrics.reached(.headerSize) }
            context.fireErrorCaught(error)
        case .upgrading, .refused:
            context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The event comes once: while an upgrade is under way nobody stands behind who would know what to do with it later.
        if case .upgrading = state, event is ChannelShouldQuiesceEvent {
            context.close(promise: nil)
        }
        if case .awaitingRequest = state {
            switch event {
            case is ChannelShouldQuiesceEvent:
                context.close(promise: nil)
            case let event as ChannelEvent where event == .inputClosed:
                context.close(promise: nil)
            default:
                break
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func refuse(_ status: HTTPResponse.Status, _ detail: String, _ context: ChannelHandlerContext) {
        let isUpgrade = status == .upgradeRequired
        refuse(
            Problem(
                status, code: isUpgrade ? "websocket.required" : "request.malformed", detail,
                remedy: isUpgrade ? "connect with a WebSocket client (RFC 6455)" : "send HTTP/1.1 (RFC 9112)"), context)
    }

    /// Answers with problem details (RFC 9457) and closes.
    private func refuse(_ problem: Problem, _ context: ChannelHandlerContext) {
        state = .refused
        endWait()
        let status = HTTPResponseStatus(statusCode: problem.status.code)
        let body = ByteBuffer(bytes: problem.body)
        var head = HTTPResponseHead(version: .http1_1, status: status)
        head.headers = [
            "Content-Type": MediaType.problem, "Content-Length": "\(body.readableBytes)", "Connection": "close",
            "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
        ]
        if status == .upgradeRequired {
            // RFC 6455 §4.2.2 and RFC 9110 §15.5.22.
            head.headers.replaceOrAdd(name: "Connection", value: "close, upgrade")
            head.headers.add(name: "Upgrade", value: "websocket")
            head.headers.add(name: "Sec-WebSocket-Version", value: "13")
        }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
            context.close(promise: nil)
        }
    }
}

@available(*, unavailable)
extension FirstRequestHandler: Sendable {}
