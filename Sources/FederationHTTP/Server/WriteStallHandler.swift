import NIOCore

/// Closes a connection whose other end takes nothing of what is written to it. A caller who takes its answer slowly keeps the
/// connection: each byte that leaves begins the time anew. Where the kernel tells, a byte has left when the other end has
/// acknowledged it, so that one who has vanished is seen however little is written to them.
///
/// It stands next to the socket, below TLS, so that it counts what really is to leave.
final class WriteStallHandler: ChannelOutboundHandler {
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    /// What the kernel says of the bytes that it has taken.
    struct Sent: Hashable {
        /// How many the other end has acknowledged.
        var acknowledged: UInt64
        /// Whether the kernel holds others.
        var isHolding: Bool
    }

    private let timeout: TimeAmount
    private let metrics: PortMetrics
    private let waiting: (ChannelHandlerContext) -> Int
    private let sent: (ChannelHandlerContext) -> Sent?
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
    ///   - sent: nil where the kernel does not tell.
    init(
        timeout: TimeAmount, metrics: PortMetrics,
        waiting: @escaping (ChannelHandlerContext) -> Int = WriteStallHandler.buffered,
        sent: @escaping (ChannelHandlerContext) -> Sent? = WriteStallHandler.sent
    ) {
        self.timeout = timeout
        self.metrics = metrics
        self.waiting = waiting
        self.sent = sent
    }

    static func buffered(_ context: ChannelHandlerContext) -> Int {
        (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// The socket takes more only when a good part of the kernel's buffer has emptied, which may be megabytes, and takes
    /// hundreds of kilobytes for somebody who is gone; Linux says what leaves that buffer as well.
    static func sent(_ context: ChannelHandlerContext) -> Sent? {
        #if os(Linux)
            guard let options = context.channel as? any SocketOptionProvider else { return nil }
            // Words of the kernel's `struct tcp_info`: 6 is `tcpi_unacked`, 30 and 31 are `tcpi_bytes_acked`, 36 is
            // `tcpi_notsent_bytes`, 39 is `tcpi_data_segs_out`. The C library's has only the first 26.
            let info: EventLoopFuture<SIMD64<UInt32>> = options.unsafeGetSocketOption(level: .tcp, name: .tcp_info)
            var words = SIMD64<UInt32>()
            // On the channel's own loop it is there at once.
            info.assumeIsolated().whenSuccess { words = $0 }
            // Both are 0 where a kernel before 4.6 does not fill them (NIO zeroes them first), or when nothing was sent.
            guard words[36] > 0 || words[39] > 0 else { return nil }
            return Sent(
                acknowledged: UInt64(words[31]) << 32 | UInt64(words[30]), isHolding: words[6] > 0 || words[36] > 0)
        #else
            return nil
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
        let sent = sent(context)
        // What the kernel takes for somebody who is gone is no progress.
        if sent.map({ $0.acknowledged != arrived }) ?? (written - rest > taken) { lastTaken = now }
        taken = written - rest
        arrived = sent?.acknowledged ?? arrived
        guard rest > 0 || sent?.isHolding == true else { return }
        guard now >= lastTaken + timeout else { return schedule(context, now) }
        metrics.reached(.writeStall)
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension WriteStallHandler: Sendable {}
