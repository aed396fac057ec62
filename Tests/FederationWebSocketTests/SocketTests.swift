import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import TestKit
import Testing

@testable import FederationWebSocket

/// A server on a port of its own that upgrades `/echo`; for tests only.
struct EchoServer {
    let channel: any Channel
    var port: Int { channel.localAddress?.port ?? 0 }

    /// - Parameter greeting: Sent at once, so that it may share a packet with the answer to the upgrade.
    static func start(subprotocol: String? = nil, greeting: String? = nil) async throws -> EchoServer {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try configure(channel, subprotocol, greeting) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return EchoServer(channel: channel)
    }

    private static func configure(_ channel: any Channel, _ subprotocol: String?, _ greeting: String?) throws {
        let upgrader = WebSocketServerUpgrader<Void>(
            accept: { head in
                guard head.uri == "/echo" else { return nil }
                return subprotocol.map { ["Sec-WebSocket-Protocol": $0] } ?? [:]
            },
            upgraded: { channel, _ in
                WebSocketConnection.attach(to: channel, .init(role: .server)).map { connection in
                    Task { try await echo(connection, greeting) }
                }
            })
        _ = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
            configuration: .init(
                upgradeConfiguration: .init(
                    upgraders: [upgrader],
                    notUpgradingCompletionHandler: { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.addHandler(NotFound())
                        }
                    })))
    }

    private static func echo(_ connection: WebSocketConnection, _ greeting: String?) async throws {
        if let greeting { try await connection.send(greeting) }
        for await message in connection.messages {
            if message == .text("close, please") { await connection.close(code: 4001, reason: "as you wish") }
            try await connection.send(message)
        }
    }
}

private final class NotFound: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = unwrapInboundIn(data) else { return }
        context.write(wrapOutboundOut(.head(.init(version: .http1_1, status: .notFound))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}

@Suite(.timeLimit(.minutes(patience))) struct SocketTests {
    let dialer = WebSocketDialer(
        group: MultiThreadedEventLoopGroup.singleton, connectTimeout: .seconds(5 * Int64(patience)),
        upgradeTimeout: .milliseconds(300 * Int64(patience)))

    private func connect(
        _ port: Int, path: String = "/echo", subprotocol: String? = nil
    ) async throws(WebSocketDialer.Failure) -> WebSocketConnection {
        try await dialer.connect(to: .init(host: "127.0.0.1", port: port, path: path, subprotocol: subprotocol)) {
            WebSocketConnection.attach(to: $0, .init(role: .client, maximumMessageBytes: 4 << 20))
        }
    }

    @Test("messages of many sizes come back as they went", arguments: [0, 1, 125, 126, 65_535, 65_536, 1 << 20])
    func echo(count: Int) async throws {
        let server = try await EchoServer.start()
        let client = try await connect(server.port)
        let payload = ByteBuffer(bytes: (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 13) })
        try await client.send(.binary(payload))
        #expect(await client.messages.next() == .binary(payload))
        await client.close()
        #expect(client.closure == WebSocketClosure(origin: .local, code: 1000))
        try await server.channel.close().get()
    }

    @Test("what the server says first is not lost behind its answer to the upgrade", arguments: 0..<20)
    func greeting(round: Int) async throws {
        let server = try await EchoServer.start(subprotocol: "echo.1", greeting: "welcome \(round)")
        let client = try await connect(server.port, subprotocol: "echo.1")
        #expect(await client.messages.next() == .text("welcome \(round)"))
        await client.close()
        try await server.channel.close().get()
    }

    @Test("the peer's close arrives with its code and words")
    func peerClose() async throws {
        let server = try await EchoServer.start()
        let client = try await connect(server.port)
        try await client.send("close, please")
        #expect(await client.messages.next() == nil)
        #expect(client.closure == WebSocketClosure(origin: .peer, code: 4001, reason: "as you wish"))
        try await server.channel.close().get()
    }

    @Test("far more than all buffers hold flows through, whole")
    func volume() async throws {
        let server = try await EchoServer.start()
        let client = try await connect(server.port)
        let payload = ByteBuffer(repeating: 1, count: 1 << 20)
        let sent = Mutex(0)
        let writer = Task {
            for _ in 0..<64 {
                try await client.send(.binary(payload))
                sent.withLock { $0 += 1 }
            }
        }
        var received = 0
        while received < 64, let message = await client.messages.next() {
            #expect(message.byteCount == 1 << 20)
            received += 1
        }
        try await writer.value
        #expect(received == 64 && sent.withLock { $0 } == 64)
        await client.close()
        try await server.channel.close().get()
    }

    @Test("another answer than a WebSocket is named")
    func refused() async throws {
        let server = try await EchoServer.start()
        await #expect(throws: WebSocketDialer.Failure.refused(status: 404)) {
            _ = try await connect(server.port, path: "/elsewhere")
        }
        try await server.channel.close().get()
    }

    @Test("a server that does not speak our subprotocol is left")
    func subprotocol() async throws {
        let server = try await EchoServer.start(subprotocol: "other.1")
        await #expect(throws: WebSocketDialer.Failure.notOurProtocol) {
            _ = try await connect(server.port, subprotocol: "echo.1")
        }
        try await server.channel.close().get()
    }

    /// Takes a free port of 127.0.0.1.
    private static func takePort(for descriptor: Int32) throws -> Int {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        try #require(isBound)
        return Int(UInt16(bigEndian: address.sin_port))
    }

    @Test("a port that nobody listens on is unreachable, and says so in one line")
    func unreachable() async throws {
        // A port that is taken and on which nobody listens: one that is free may be somebody else's by now.
        #if os(Linux)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        defer { close(descriptor) }
        let port = try Self.takePort(for: descriptor)
        do {
            _ = try await connect(port)
            Issue.record("a closed port was reached")
        } catch {
            guard case .unreachable(let reason) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(reason.contains("refused") && !reason.contains("\n"), "\(reason)")
        }
    }

    @Test("a server that says nothing is given up")
    func mute() async throws {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        await #expect(throws: WebSocketDialer.Failure.timedOut) {
            _ = try await connect(server.localAddress?.port ?? 0)
        }
        try await server.close().get()
    }

    @Test("an opening request is taken only when it is complete", arguments: openings)
    func opening(_ opening: Opening) {
        var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/echo")
        head.headers = [
            "Host": "x", "Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "a, b",
        ]
        opening.change(&head)
        #expect(WebSocketRequest(head) == opening.expected)
    }
}

struct Opening: Sendable, CustomTestStringConvertible {
    let what: String
    let change: @Sendable (inout HTTPRequestHead) -> Void
    let expected: WebSocketRequest
    var testDescription: String { what }
}

private let openings = [
    Opening(what: "complete", change: { _ in }, expected: .opening(subprotocols: ["a", "b"])),
    Opening(what: "no upgrade", change: { $0.headers.remove(name: "Upgrade") }, expected: .none),
    Opening(what: "h2c", change: { $0.headers.replaceOrAdd(name: "Upgrade", value: "h2c") }, expected: .none),
    Opening(
        what: "POST", change: { $0.method = .POST }, expected: .invalid("a WebSocket opens with GET over HTTP/1.1")),
    Opening(
        what: "no Connection", change: { $0.headers.replaceOrAdd(name: "Connection", value: "keep-alive") },
        expected: .invalid("the Connection header must name Upgrade")),
    Opening(
        what: "a body", change: { $0.headers.add(name: "Content-Length", value: "3") },
        expected: .invalid("an opening request has no body")),
    Opening(
        what: "version 8", change: { $0.headers.replaceOrAdd(name: "Sec-WebSocket-Version", value: "8") },
        expected: .invalid("Sec-WebSocket-Version must be 13")),
    Opening(
        what: "two keys", change: { $0.headers.add(name: "Sec-WebSocket-Key", value: "AAAAAAAAAAAAAAAAAAAAAA==") },
        expected: .invalid("Sec-WebSocket-Key must be 16 bytes in base64")),
    Opening(
        what: "a short key", change: { $0.headers.replaceOrAdd(name: "Sec-WebSocket-Key", value: "AAAA") },
        expected: .invalid("Sec-WebSocket-Key must be 16 bytes in base64")),
]
