import NIOCore

/// Bounds how long one HTTP connection holds up a server that stops. Hummingbird lets requests in progress end, and closes
/// connections without any; a caller who takes an answer slowly would keep the process for as long as they like.
///
/// It stands next to the socket, below TLS, so that nobody is waited for who does not say goodbye either. A stopping server
/// answers no question about its metrics: what is closed here is not counted.
final class StopHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let timeout: TimeAmount
    /// Runs from the moment in which the server stops; it may be told so more than once.
    private var timer: Scheduled<Void>?

    init(timeout: TimeAmount) {
        self.timeout = timeout
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent, timer == nil {
            timer = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }
}

@available(*, unavailable)
extension StopHandler: Sendable {}
