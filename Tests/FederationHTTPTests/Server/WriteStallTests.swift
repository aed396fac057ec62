import NIOCore
import NIOEmbedded
import NIOPosix
import NIOSSL
import TestKit
import Testing

@testable import FederationHTTP

@Suite("An answer that nobody takes", .timeLimit(.minutes(patience))) struct WriteStallTests {
    enum Step: Sendable {
        case write(Int)
        /// The socket takes so many bytes.
        case take(Int)
        /// So many seconds pass.
        case wait(Int64)
    }

    /// Bytes that the socket has not taken.
    private final class Backlog {
        var bytes = 0
    }

    /// Would fail if writing counted as progress, if a backlog that stays as large as it is counted as none, or if the time
    /// before a write counted.
    @Test(
        "it ends the connection after the timeout and is counted; each byte that is taken begins the time anew",
        arguments: [
            ([.write(100), .wait(119)], false), ([.write(100), .wait(120)], true),
            ([.write(100), .wait(119), .take(1), .wait(119)], false),
            ([.write(100), .wait(119), .take(1), .wait(151)], true),
            ([.write(10), .wait(60), .write(10), .wait(60)], true),
            ([.write(100)] + Array(repeating: [.wait(110), .take(1)], count: 90).flatMap { $0 }, false),
            ([.write(100)] + Array(repeating: [.wait(60), .take(10), .write(10)], count: 90).flatMap { $0 }, false),
            ([.write(100), .take(100), .wait(3_600), .write(1), .wait(119)], false),
            ([.write(100), .take(100), .wait(3_600), .write(1), .wait(120)], true),
            ([.wait(3_600)], false),
        ] as [([Step], Bool)])
    func stall(steps: [Step], isClosed: Bool) throws {
        let registry = PrometheusRegistry()
        let backlog = Backlog()
        let channel = EmbeddedChannel(
            handler: WriteStallHandler(
                timeout: ListenerLimits().writeStallTimeout, metrics: PortMetrics(factory: registry),
                waiting: { _ in backlog.bytes }))
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        for step in steps {
            switch step {
            case .write(let count):
                try channel.writeOutbound(ByteBuffer(repeating: 1, count: count))
                backlog.bytes += count
            case .take(let count):
                backlog.bytes -= count
            case .wait(let seconds):
                channel.embeddedEventLoop.advanceTime(by: .seconds(seconds))
            }
        }
        let counted = try Samples(registry.text())["aether_http_limits_total{limit=\"write_stall\"}"]
        #expect(channel.isActive == !isClosed && counted == (isClosed ? 1 : nil))
        _ = try channel.finish(acceptAlreadyClosed: true)
    }

    /// What the kernel holds.
    private final class Kernel {
        var acknowledged: UInt64 = 0
        var held = 0
    }

    /// The kernel takes everything at once, as it does the few bytes of an event stream. Would fail if only what the kernel has not
    /// taken counted as waiting, or if its taking counted as progress where it tells what has been acknowledged.
    @Test(
        "one who acknowledges nothing of what the kernel has taken loses the connection, however little is written",
        arguments: [
            ([.write(3), .wait(119)], false), ([.write(3), .wait(120)], true),
            ([.write(3), .take(3), .wait(3_600)], false),
            ([.write(3), .wait(119), .take(1), .wait(119)], false),
            ([.write(3), .wait(119), .take(1), .wait(151)], true),
            (Array(repeating: [.write(3), .wait(10)], count: 12).flatMap { $0 }, true),
            (Array(repeating: [.write(3), .wait(10), .take(3)], count: 90).flatMap { $0 }, false),
            (
                Array(repeating: [.write(3), .take(3), .wait(10)], count: 90).flatMap { $0 }
                    + Array(repeating: [.write(3), .wait(10)], count: 16).flatMap { $0 }, true
            ),
            ([.write(3), .take(3), .wait(3_600), .write(3), .wait(119)], false),
            ([.write(3), .take(3), .wait(3_600), .write(3), .wait(120)], true),
        ] as [([Step], Bool)])
    func vanished(steps: [Step], isClosed: Bool) throws {
        let registry = PrometheusRegistry()
        let kernel = Kernel()
        let channel = EmbeddedChannel(
            handler: WriteStallHandler(
                timeout: ListenerLimits().writeStallTimeout, metrics: PortMetrics(factory: registry),
                waiting: { _ in 0 },
                sent: { _ in
                    WriteStallHandler.Sent(acknowledged: kernel.acknowledged, isHolding: kernel.held > 0)
                }))
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        for step in steps where channel.isActive {
            switch step {
            case .write(let count):
                try channel.writeOutbound(ByteBuffer(repeating: 1, count: count))
                kernel.held += count
            case .take(let count):
                kernel.held -= count
                kernel.acknowledged += UInt64(count)
            case .wait(let seconds):
                channel.embeddedEventLoop.advanceTime(by: .seconds(seconds))
            }
        }
        let counted = try Samples(registry.text())["aether_http_limits_total{limit=\"write_stall\"}"]
        #expect(channel.isActive == !isClosed && counted == (isClosed ? 1 : nil))
        _ = try channel.finish(acceptAlreadyClosed: true)
    }

    #if os(Linux)
        static let progress = [false, true]
    #else
        static let progress = [false]
    #endif

    private func state(_ server: any Channel) async throws -> (buffered: Int, sent: WriteStallHandler.Sent?) {
        try await server.eventLoop.submit {
            let context = try server.pipeline.syncOperations.context(handlerType: WriteStallHandler.self)
            return (WriteStallHandler.buffered(context), WriteStallHandler.sent(context))
        }.get()
    }

    private func look(_ server: any Channel, at now: NIODeadline) async throws {
        try await server.eventLoop.submit {
            try server.pipeline.syncOperations.handler(type: WriteStallHandler.self)
                .look(try server.pipeline.syncOperations.context(handlerType: WriteStallHandler.self), at: now)
        }.get()
    }

    /// A caller who reads only when told, and the server's end of their connection.
    private func connect(
        _ registry: PrometheusRegistry, timeout: TimeAmount, kernelTells: Bool
    ) async throws -> (listener: any Channel, raw: RawConnection, server: any Channel) {
        let (accepted, accept) = AsyncStream<any Channel>.makeStream()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let metrics = PortMetrics(factory: registry)
                    try channel.pipeline.syncOperations.addHandler(
                        kernelTells
                            ? WriteStallHandler(timeout: timeout, metrics: metrics)
                            : WriteStallHandler(timeout: timeout, metrics: metrics, sent: { _ in nil }))
                    accept.yield(channel)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let raw = try await RawConnection(try #require(listener.localAddress?.port))
        try await raw.channel.setOption(.autoRead, value: false).get()
        var servers = accepted.makeAsyncIterator()
        return (listener, raw, try #require(await servers.next()))
    }

    /// The time is the test's; the sockets are real. Would fail if what waits for a real socket were counted wrongly or, where
    /// the kernel says what leaves its own buffer, if that were not seen until a good part of the buffer is empty.
    @Test(
        "a caller who takes a little within each timeout keeps the connection, and loses it by taking no more",
        arguments: progress)
    func slowReader(kernelTells: Bool) async throws {
        let registry = PrometheusRegistry()
        let timeout = TimeAmount.hours(24)
        let (listener, raw, server) = try await connect(registry, timeout: timeout, kernelTells: kernelTells)
        let piece = ByteBuffer(repeating: 1, count: 1 << 18)
        // More than the buffers of both kernels hold.
        for _ in 0..<256 { server.write(piece, promise: nil) }
        server.flush()
        var now = NIODeadline.now()
        for _ in 0..<5 {
            let before = try await state(server)
            var isTaken = false
            while !isTaken, !Task.isCancelled {
                raw.channel.read()
                try? await raw.channel.eventLoop.scheduleTask(in: .milliseconds(2)) {}.futureResult.get()
                let after = try await state(server)
                isTaken =
                    kernelTells
                    ? after.sent?.acknowledged != before.sent?.acknowledged : after.buffered < before.buffered
            }
            now = now + timeout - .seconds(1)
            try await look(server, at: now)
            try #require(server.isActive && isTaken)
        }
        while server.isActive, !Task.isCancelled {
            now = now + timeout
            try await look(server, at: now)
        }
        let counted = try Samples(registry.text())["aether_http_limits_total{limit=\"write_stall\"}"]
        #expect(!server.isActive && counted == 1)
        try await listener.close().get()
        // It may be closed on this side as well by now.
        try? await raw.channel.close().get()
    }

    #if os(Linux)
        /// The time is the test's; the sockets are real, and the other end's kernel soon takes no more. Would fail if the wrong words
        /// of the kernel's answer were read, or if what it holds did not keep the handler looking: nothing ever waits outside it.
        @Test("a caller for whom the kernel holds bytes loses the connection although it has taken all of them")
        func heldByKernel() async throws {
            let registry = PrometheusRegistry()
            let timeout = TimeAmount.hours(24)
            let (listener, raw, server) = try await connect(registry, timeout: timeout, kernelTells: true)
            let piece = ByteBuffer(repeating: 1, count: 4_096)
            var now = NIODeadline.now()
            var looks = 0
            while server.isActive, looks < 1_000, !Task.isCancelled {
                let (buffered, sent) = try await state(server)
                try #require(buffered == 0)
                guard sent?.isHolding == true else {
                    server.writeAndFlush(piece, promise: nil)
                    continue
                }
                now = now + timeout
                looks += 1
                try await look(server, at: now)
            }
            let counted = try Samples(registry.text())["aether_http_limits_total{limit=\"write_stall\"}"]
            #expect(!server.isActive && counted == 1)
            try await listener.close().get()
            // It may be closed on this side as well by now.
            try? await raw.channel.close().get()
        }
    #endif

    /// Would fail without the handler, or if the socket's own backlog were not what it looks at. That the port stops shows that
    /// whoever was writing has been woken as well.
    @Test(
        "a caller who asks for much and soon reads nothing loses the connection, and nobody waits for it any more",
        arguments: [false, true])
    func throughSocket(isTLS: Bool) async throws {
        if isTLS {
            try await TestPEM.withFiles { try await stall(tls: $0, try TestPEM.clientContext()) }
        } else {
            try await stall()
        }
    }

    private func stall(tls: ListenerTLS? = nil, _ context: NIOSSLContext? = nil) async throws {
        var limits = ListenerLimits()
        limits.writeStallTimeout = .milliseconds(200)
        let port = try await TestPort.start(limits: limits, tls: tls)
        let raw = try await RawConnection(port.port, tls: context)
        try await raw.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        try await raw.channel.setOption(.autoRead, value: false).get()
        while !Task.isCancelled, try port.limit("write_stall") == 0 {
            try? await raw.channel.eventLoop.scheduleTask(in: .milliseconds(2)) {}.futureResult.get()
        }
        #expect(try port.limit("write_stall") == 1)
        #expect(try port.limit("idle_time") == 0)
        try await port.stop()
        // It may be closed on this side as well by now.
        try? await raw.channel.close().get()
    }
}
