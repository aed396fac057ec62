import NIOCore
import NIOHTTP1

/// Closes an HTTP connection on which nothing comes, within a request or between two, and one whose request never ends.
/// Whoever waits for an answer is not idle, nor who has yet to take it: that is for ``WriteStallHandler``.
///
/// It takes the place of Hummingbird's own timer, which tells nobody why it closes.
final class IdleHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let limits: ListenerLimits
    private let metrics: PortMetrics
    /// Requests whose responses are not complete, or not yet taken by the socket.
    private var owed = 0
    /// Between a request's head and its end.
    private var isInRequest = false
    private var lastActive = NIODeadline.uptimeNanoseconds(0)
    /// When the present request's body must have come.
    private var bodyDeadline = NIODeadline.distantFuture
    private var bodyBytes = 0
    private var timer: Scheduled<Void>?

    init(_ limits: ListenerLimits, metrics: PortMetrics) {
        self.limits = limits
        self.metrics = metrics
    }

    func handlerAdded(context: ChannelHandlerContext) {
        lastActive = context.eventLoop.now
        schedule(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastActive = context.eventLoop.now
        switch unwrapInboundIn(data) {
        case .head:
            isInRequest = true
            owed += 1
            bodyDeadline = lastActive + limits.bodyTimeout
            bodyBytes = 0
        case .body(let part):
            bodyBytes += part.readableBytes
            // What does not fill a second is kept for the next part.
            bodyDeadline = bodyDeadline + .seconds(Int64(bodyBytes / limits.bodyBytesPerSecond))
            bodyBytes %= limits.bodyBytesPerSecond
        case .end:
            isInRequest = false
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .end = unwrapOutboundIn(data) else { return context.write(data, promise: promise) }
        let taken = context.eventLoop.makePromise(of: Void.self)
        taken.futureResult.assumeIsolated().whenComplete { [eventLoop = context.eventLoop] _ in
            self.owed -= 1
            self.lastActive = eventLoop.now
        }
        taken.futureResult.cascade(to: promise)
        context.write(data, promise: taken)
    }

    private func schedule(_ context: ChannelHandlerContext) {
        let silent = lastActive + limits.idleTimeout
        let next = isInRequest ? min(silent, bodyDeadline) : silent
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: next) { self.look(context) }
    }

    private func look(_ context: ChannelHandlerContext) {
        let now = context.eventLoop.now
        if owed > 0, !isInRequest { lastActive = now }
        let isSilent = now >= lastActive + limits.idleTimeout
        guard isSilent || isInRequest && now >= bodyDeadline else { return schedule(context) }
        metrics.reached(isSilent ? .idleTime : .bodyTime)
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension IdleHandler: Sendable {}
