import NIOCore
import NIOHTTP1

/// Closes an HTTP connection on which nothing comes, within a request or between two. Whoever waits for an answer is not idle.
///
/// It takes the place of Hummingbird's own timer, which tells nobody why it closes.
final class IdleHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let timeout: TimeAmount
    private let metrics: PortMetrics
    /// Requests whose responses are not complete.
    private var owed = 0
    /// Between a request's head and its end.
    private var isInRequest = false
    private var lastActive = NIODeadline.uptimeNanoseconds(0)
    private var timer: Scheduled<Void>?

    init(timeout: TimeAmount, metrics: PortMetrics) {
        self.timeout = timeout
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
        case .body:
            break
        case .end:
            isInRequest = false
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) {
            owed -= 1
            lastActive = context.eventLoop.now
        }
        context.write(data, promise: promise)
    }

    private func schedule(_ context: ChannelHandlerContext) {
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: lastActive + timeout) { self.look(context) }
    }

    private func look(_ context: ChannelHandlerContext) {
        let now = context.eventLoop.now
        if owed > 0, !isInRequest { lastActive = now }
        guard now >= lastActive + timeout else { return schedule(context) }
        metrics.reached(.idleTime)
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension IdleHandler: Sendable {}
