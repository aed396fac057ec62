import FederationModel
import FederationWebSocket
import HummingbirdCore
import NIOCore
import NIOPosix
import NIOSSL
import TestKit
import Testing

@testable import FederationHTTP

@Suite(.timeLimit(.minutes(patience))) struct UpgradableServerTests {
    /// Sends back what it gets.
    private func echo(_ path: String = "/federation", subprotocol: String? = "echo.1") -> WebSocketRoute {
        WebSocketRoute(path: path, subprotocol: subprotocol) { channel, _ in
            WebSocketConnection.attach(to: channel, .init(role: .server)).map { connection in
                Task { for await message in connection.messages { try await connection.send(message) } }
            }
        }
    }

    private func connect(
        _ port: TestPort, path: String = "/federation", subprotocol: String? = "echo.1",
        secure: (@Sendable (any Channel) throws -> Void)? = nil
    ) async throws(WebSocketDialer.Failure) -> WebSocketConnection {
        try await WebSocketDialer(group: MultiThreadedEventLoopGroup.singleton, secure: secure)
            .connect(to: .init(host: "127.0.0.1", port: port.port, path: path, subprotocol: subprotocol)) {
                WebSocketConnection.attach(to: $0, .init(role: .client))
            }
    }

    private func opening(_ path: String, _ change: (inout [String]) -> Void = { _ in }) -> String {
        var lines = [
            "GET \(path) HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: echo.1",
        ]
        change(&lines)
        return (lines + ["", ""]).joined(separator: "\r\n")
    }

    @Test("HTTP and WebSockets share the port")
    func both() async throws {
        let port = try await TestPort.start([echo(), echo("/client", subprotocol: nil)])
        let federation = try await connect(port)
        let client = try await connect(port, path: "/client?ticket=1", subprotocol: nil)
        try await federation.send("one")
        try await client.send("two")
        #expect(await federation.messages.next() == .text("one"))
        #expect(await client.messages.next() == .text("two"))
        let raw = try await RawConnection(port.port)
        for _ in 0..<2 {
            try await raw.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(await raw.read(until: "hello").hasPrefix("HTTP/1.1 200 OK\r\n"))
        }
        try await raw.send(
            "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(await raw.read(until: "hello").contains("\r\n\r\n5HTTP/1.1 200 OK\r\n"))
        await client.close()
        await federation.close()
        try await port.stop()
    }

    @Test(
        "only the very path opens the WebSocket",
        arguments: [
            "/federation/", "//federation", "/Federation", "/%66ederation", "/client/../federation", "/federation%20",
            "/federation;x", "/federatio", "http://x/federation", "/",
        ])
    func otherPaths(path: String) async throws {
        let port = try await TestPort.start([echo()])
        let raw = try await RawConnection(port.port)
        try await raw.send(opening(path))
        let answer = await raw.readAll()
        #expect(answer.hasPrefix("HTTP/1.1 404 ") && answer.lowercased().contains("connection: close"), "\(answer)")
        try await port.stop()
    }

    @Test(
        "an upgrade that nobody takes is answered as if it had not been asked for, and the connection closes",
        arguments: [
            (
                "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
                "hello"
            ),
            ("GET /hello HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n", "hello"),
            (
                "POST /length HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
                "3"
            ),
        ])
    func otherUpgrades(request: String, body: String) async throws {
        let port = try await TestPort.start([echo()])
        let raw = try await RawConnection(port.port)
        try await raw.send(request)
        let answer = await raw.readAll()
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.hasSuffix("\r\n\r\n\(body)"), "\(answer)")
        #expect(answer.lowercased().contains("connection: close"))
        try await port.stop()
    }

    @Test(
        "what is wrong with an opening request is said",
        arguments: [
            ("Upgrade: websocket", nil, "426", "this path opens a WebSocket"),
            ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", "426", "Sec-WebSocket-Version must be 13"),
            (
                "Sec-WebSocket-Protocol: echo.1", "Sec-WebSocket-Protocol: echo.2", "400",
                "Sec-WebSocket-Protocol must offer echo.1"
            ),
            ("Connection: Upgrade", "Connection: keep-alive", "426", "the Connection header must name Upgrade"),
            ("Host: x", "Host: x\r\nContent-Length: 1", "426", "an opening request has no body"),
            ("Host: x", nil, "400", "one Host header"), ("Host: x", "Host: x\r\nHost: x", "400", "one Host header"),
        ] as [(String, String?, String, String)])
    func badOpening(line: String, replacement: String?, status: String, reason: String) async throws {
        let port = try await TestPort.start([echo()])
        let raw = try await RawConnection(port.port)
        try await raw.send(opening("/federation") { $0 = $0.compactMap { $0 == line ? replacement : $0 } })
        let answer = await raw.readAll()
        #expect(answer.hasPrefix("HTTP/1.1 \(status) ") && answer.contains(reason), "\(answer)")
        #expect(status != "426" || answer.contains("Sec-WebSocket-Version: 13"))
        try await port.stop()
    }

    @Test(
        "what is not HTTP is refused",
        arguments: [
            ("\u{16}\u{3}\u{1}\r\n\r\n", "400"), ("GET /hello HTTP/9.9\r\n\r\n", "400"),
            ("GET /hello HTTP/1.1\r\nX: " + String(repeating: "a", count: 20_000) + "\r\n\r\n", "431"),
            ("GET /hello HTTP/1.1\r\n" + String(repeating: "X: a\r\n", count: 101) + "\r\n", "431"),
        ])
    func notHTTP(bytes: String, status: String) async throws {
        let port = try await TestPort.start([echo()])
        let raw = try await RawConnection(port.port)
        try await raw.send(bytes)
        #expect(await raw.readAll().hasPrefix("HTTP/1.1 \(status) "))
        try await port.stop()
    }

    @Test(
        "a connection that does not get to its first request is closed", arguments: ["", "GET /hello HTTP/1.1\r\nHost"])
    func noRequest(bytes: String) async throws {
        var limits = ListenerLimits()
        limits.firstRequestTimeout = .milliseconds(50)
        let port = try await TestPort.start([echo()], limits: limits)
        let raw = try await RawConnection(port.port)
        // On a busy machine the time may be up before the bytes are sent.
        try? await raw.send(bytes)
        #expect(await raw.readAll() == "")
        try await port.stop()
    }

    @Test("an upgrade that fails behind the answer closes the connection")
    func failingUpgrade() async throws {
        struct Unwilling: Error {}
        let route = WebSocketRoute(path: "/federation") { channel, _ in channel.eventLoop.makeFailedFuture(Unwilling())
        }
        let port = try await TestPort.start([route])
        let raw = try await RawConnection(port.port)
        try await raw.send(opening("/federation"))
        #expect(await raw.readAll().hasPrefix("HTTP/1.1 101 "))
        try await port.stop()
    }

    @Test("stopping says goodbye to WebSockets, drops who has not spoken, and ends")
    func shutdown() async throws {
        let port = try await TestPort.start([echo()])
        let client = try await connect(port)
        let mute = try await RawConnection(port.port)
        // Accepted in order: once this one is answered, the mute one is known to the server.
        let raw = try await RawConnection(port.port)
        try await raw.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = await raw.read(until: "hello")
        try await port.stop()
        #expect(await client.messages.next() == nil)
        #expect(client.closure == WebSocketClosure(origin: .peer, code: 1001))
        #expect(await mute.readAll() == "")
    }

    /// Would fail without the bound: Hummingbird waits for every request in progress, and this one would take hours.
    @Test(
        "stopping ends beside a caller who takes an answer, or sends a body, a little at a time",
        arguments: [true, false])
    func slowCallers(reads: Bool) async throws {
        var limits = ListenerLimits()
        limits.stopTimeout = .milliseconds(200)
        let port = try await TestPort.start(limits: limits)
        let raw = try await RawConnection(port.port)
        try await raw.channel.setOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 256)).get()
        try await raw.channel.setOption(.maxMessagesPerRead, value: 1).get()
        if reads {
            try await raw.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(await raw.read(until: "\r\n").hasPrefix("HTTP/1.1 200 "))
            try await raw.channel.setOption(.autoRead, value: false).get()
        } else {
            try await raw.send(
                "POST /length HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100000000\r\n\r\n")
            #expect(await raw.read(until: "\r\n").hasPrefix("HTTP/1.1 100 "))
        }
        async let slow: Void = {
            while raw.channel.isActive, !Task.isCancelled {
                if reads { raw.channel.read() } else { try? await raw.send("1") }
                try? await raw.channel.eventLoop.scheduleTask(in: .milliseconds(2)) {}.futureResult.get()
            }
        }()
        try await port.stop()
        // It may be closed on this side as well by now.
        try? await raw.channel.close().get()
        await slow
    }

    /// Would fail if a request in progress were cut off at once.
    @Test("a request that is in progress when the server stops is answered to its end, and its connection closes")
    func lastAnswer() async throws {
        var limits = ListenerLimits()
        limits.stopTimeout = .hours(1)
        let port = try await TestPort.start(limits: limits)
        let mute = try await RawConnection(port.port)
        // Accepted in order: once this one is answered, the mute one is known to the server.
        let raw = try await RawConnection(port.port)
        try await raw.send("POST /length HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        #expect(await raw.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 100 "))
        async let stopping: Void = port.stop()
        // The server stops: who has not asked for anything is dropped.
        #expect(await mute.readAll() == "")
        try await raw.send("12345")
        let answer = await raw.readAll()
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.hasSuffix("\r\n\r\n5"), "\(answer)")
        try await stopping
    }

    @Test("with a certificate the port speaks TLS only")
    func tls() async throws {
        try await TestPEM.withFiles { files in
            let port = try await TestPort.start([echo()], tls: files)
            let context = try TestPEM.clientContext()
            let client = try await connect(port) { channel in
                try channel.pipeline.syncOperations.addHandler(
                    NIOSSLClientHandler(context: context, serverHostname: "localhost"))
            }
            try await client.send("over TLS")
            #expect(await client.messages.next() == .text("over TLS"))
            await client.close()
            await #expect(throws: WebSocketDialer.Failure.self) { _ = try await connect(port) }
            try await port.stop()
        }
    }

    @Test("a file without a certificate or key is named")
    func unreadableTLS() throws {
        #expect {
            _ = try HTTPServerBuilder.upgradable(
                routes: [], tls: ListenerTLS(certificateChainFile: "/nowhere.pem", privateKeyFile: "/nowhere.key"))
        } throws: { error in
            (error as? Refusal)?.code == "tls.unreadable" && "\(error)".contains("/nowhere.pem")
        }
    }
}
