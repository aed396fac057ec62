import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// An HTTP server on a port of its own that answers as the test says, and remembers what it was asked.
final class ScriptedServer: Sendable {
    enum Answer: Sendable {
        case full(HTTPResponseStatus, [String: String] = [:], body: String = "")
        /// In chunks, without saying how much is to come.
        case chunks(count: Int, bytes: Int)
        /// A head, and then a byte now and again without end.
        case drip(every: TimeAmount)
        /// Nothing, until ``ScriptedServer/breakSilence()``.
        case silence
    }

    private struct BreakSilence {}

    private let script: @Sendable (HTTPRequestHead) -> Answer
    private let heads = Mutex<[HTTPRequestHead]>([])
    private let channel = Mutex<(any Channel)?>(nil)
    /// On which nothing was answered.
    private let silent = Mutex<[any Channel]>([])

    var asked: [HTTPRequestHead] { heads.withLock { $0 } }

    var port: Int { channel.withLock { $0?.localAddress?.port ?? 0 } }

    private init(_ script: @escaping @Sendable (HTTPRequestHead) -> Answer) {
        self.script = script
    }

    static func start(
        host: String = "127.0.0.1", port: Int = 0, tls: NIOSSLContext? = nil,
        _ script: @escaping @Sendable (HTTPRequestHead) -> Answer
    ) async throws -> ScriptedServer {
        let server = ScriptedServer(script)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(server))
                }
            }
            .bind(host: host, port: port).get()
        server.channel.withLock { $0 = channel }
        return server
    }

    func stop() async throws {
        try await channel.withLock { $0 }?.close().get()
    }

    /// Answers with 404 whatever has been asked and was met with silence.
    func breakSilence() {
        let channels = silent.withLock { silent in
            defer { silent = [] }
            return silent
        }
        for channel in channels { channel.pipeline.fireUserInboundEventTriggered(BreakSilence()) }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let server: ScriptedServer
        private var head: HTTPRequestHead?

        init(_ server: ScriptedServer) {
            self.server = server
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): self.head = head
            case .body: break
            case .end:
                guard let head else { return }
                // Known as silent before it is known as asked: whoever has seen it asked can break the silence.
                let answer = server.script(head)
                if case .silence = answer { server.silent.withLock { $0.append(context.channel) } }
                server.heads.withLock { $0.append(head) }
                self.answer(answer, context)
            }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is BreakSilence { answer(.full(.notFound), context) }
            context.fireUserInboundEventTriggered(event)
        }

        private func answer(_ answer: Answer, _ context: ChannelHandlerContext) {
            switch answer {
            case .full(let status, let fields, let body):
                var head = HTTPResponseHead(version: .http1_1, status: status)
                for (name, value) in fields { head.headers.add(name: name, value: value) }
                if fields["Content-Length"] == nil {
                    head.headers.add(name: "Content-Length", value: "\(body.utf8.count)")
                }
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                write(body, context)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            case .chunks(let count, let bytes):
                context.write(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .ok))), promise: nil)
                for _ in 0..<count { write(String(repeating: "x", count: bytes), context) }
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            case .drip(let pause):
                context.writeAndFlush(
                    wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .ok))), promise: nil)
                drip(pause, context)
            case .silence:
                break
            }
        }

        private func write(_ text: String, _ context: ChannelHandlerContext) {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        }

        private func drip(_ pause: TimeAmount, _ context: ChannelHandlerContext) {
            guard context.channel.isActive else { return }
            write("x", context)
            context.flush()
            _ = context.eventLoop.assumeIsolated().scheduleTask(in: pause) { self.drip(pause, context) }
        }
    }
}
