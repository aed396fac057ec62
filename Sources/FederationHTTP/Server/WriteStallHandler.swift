import NIOCore

/// Closes a connection whose other end takes nothing of what is written to it. A caller who takes its answer slowly keeps the
/// connection: each byte that leaves begins the time anew.
///
/// It stands next to the socket, below TLS, so that it counts what really is to leave.
final class WriteStallHandler: ChannelOutboundHandler {
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private let timeout: TimeAmount
    private let metrics: PortMetrics
    private let waiting: (ChannelHandlerContext) -> Int
    private let acknowledged: (ChannelHandlerContext) -> UInt64
    /// Bytes that were written, and how many of them the socket had taken when it was last looked at.
    private var written = 0
    private var taken = 0
    /// Bytes that the other end had acknowledged then.
    private var arrived: UInt64 = 0
    private var lastTaken = NIODeadline.uptimeNanoseconds(0)
    /// Runs while anything waits.
    private var timer: Scheduled<Void>?

    /// - Parameters:
    ///   - waiting: bytes that were written and that the socket has not taken.
    ///   - acknowledged: bytes of this connection that the other end has acknowledged; 0 where that cannot be known.
    init(
        timeout: TimeAmount, metrics: PortMetrics,
        waiting: @escaping (ChannelHandlerContext) -> Int = WriteStallHandler.buffered,
        acknowledged: @escaping (ChannelHandlerContext) -> UInt64 = WriteStallHandler.acknowledged
    ) {
        self.timeout = timeout
        self.metrics = metrics
        self.waiting = waiting
        self.acknowledged = acknowledged
    }

    static func buffered(_ context: ChannelHandlerContext) -> Int {
        (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// The socket takes more only when a good part of the kernel's buffer has emptied, which may be megabytes; Linux says what
    /// leaves that buffer as well.
    static func acknowledged(_ context: ChannelHandlerContext) -> UInt64 {
        #if os(Linux)
            guard let options = context.channel as? any SocketOptionProvider else { return 0 }
            // `tcpi_bytes_acked`, at 120 in the kernel's `struct tcp_info`; the C library's has only the 104 bytes before. NIO
            // zeroes what an older kernel does not fill.
            let info: EventLoopFuture<SIMD16<UInt64>> = options.unsafeGetSocketOption(level: .tcp, name: .tcp_info)
            var bytes: UInt64 = 0
            // On the channel's own loop it is there at once.
            info.assumeIsolated().whenSuccess { bytes = $0[15] }
            return bytes
        #else
            return 0
        #endif
    }

    func handlerAdded(context: ChannelHandlerContext) {
        written = waiting(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        written += unwrapOutboundIn(data).readableBytes
        if timer == nil {
            lastTaken = context.eventLoop.now
            schedule(context, lastTaken)
        }
        context.write(data, promise: promise)
    }

    /// Looks a few times within the timeout: what was taken in between counts from the look that sees it.
    private func schedule(_ context: ChannelHandlerContext, _ now: NIODeadline) {
        let next = min(now + .nanoseconds(timeout.nanoseconds / 4), lastTaken + timeout)
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: next) {
            self.look(context, at: context.eventLoop.now)
        }
    }

    func look(_ context: ChannelHandlerContext, at now: NIODeadline) {
        timer?.cancel()
        timer = nil
        let rest = waiting(context)
        let acknowledged = acknowledged(context)
        if written - rest > taken || acknowledged > arrived { lastTaken = now }
        taken = written - rest
        arrived = acknowledged
        guard rest > 0 else { return }
        guard now >= lastTaken + timeout else { return schedule(context, now) }
        metrics.reached(.writeStall)
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension WriteStallHandler: Sendable {}
