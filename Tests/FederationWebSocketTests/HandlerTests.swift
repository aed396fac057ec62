import NIOCore
import NIOEmbedded
import Testing

@testable import FederationWebSocket

/// A handler on a channel without a socket, whose clock only moves when told to.
struct Bench {
    let channel = EmbeddedChannel()
    let closures = ClosureRecorder()

    init(_ configuration: WebSocketConfiguration) throws {
        try channel.pipeline.syncOperations.addHandlers([WebSocketHandler(configuration), closures])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    func receive(_ bytes: [UInt8]) throws {
        try channel.writeInbound(ByteBuffer(bytes: bytes))
    }

    /// Frames sent since the last call, as the peer reads them.
    func sent() throws -> [WebSocketReader.Event] {
        var wire: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { wire += Array(buffer.readableBytesView) }
        let role: WebSocketRole = wire.count > 1 && wire[1] & 0x80 != 0 ? .server : .client
        return try events(wire, .init(role: role))
    }
}

final class ClosureRecorder: ChannelInboundHandler {
    typealias InboundIn = WebSocketMessage
    var closures: [WebSocketClosure] = []

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let closure = event as? WebSocketClosure { closures.append(closure) }
        context.fireUserInboundEventTriggered(event)
    }
}

@Suite struct HandlerTests {
    @Test("a ping is answered with its payload, in order with messages")
    func ping() throws {
        let bench = try Bench(.init(role: .server))
        try bench.receive(masked(0x89, [1, 2, 3]) + masked(0x82, [9]) + masked(0x89, []))
        #expect(try bench.channel.readInbound(as: WebSocketMessage.self) == .binary(ByteBuffer(bytes: [9])))
        // The reader reports pongs without their payload, so the wire itself is compared.
        var wire: [UInt8] = []
        while let buffer = try bench.channel.readOutbound(as: ByteBuffer.self) {
            wire += Array(buffer.readableBytesView)
        }
        #expect(wire == [0x8A, 3, 1, 2, 3, 0x8A, 0])
    }

    @Test("while a peer does not read, only its last ping is kept")
    func pingsUnread() throws {
        let bench = try Bench(.init(role: .server))
        bench.channel.isWritable = false
        for index in 0..<100 { try bench.receive(masked(0x89, [UInt8(index)])) }
        #expect(try bench.sent() == [])
        bench.channel.isWritable = true
        bench.channel.pipeline.fireChannelWritabilityChanged()
        let buffer = try bench.channel.readOutbound(as: ByteBuffer.self)
        #expect(buffer == ByteBuffer(bytes: [0x8A, 1, 99]))
        #expect(try bench.channel.readOutbound(as: ByteBuffer.self) == nil)
    }

    @Test("a flood of pings ends the connection, a slow trickle does not")
    func pingFlood() throws {
        let limits = WebSocketConfiguration(role: .server, controlFramesPerWindow: 3, controlWindow: .seconds(10))
        let bench = try Bench(limits)
        for _ in 0..<5 {
            for _ in 0..<3 { try bench.receive(masked(0x8A, [])) }
            bench.channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        }
        #expect(bench.closures.closures == [])
        for _ in 0..<4 { try bench.receive(masked(0x89, [])) }
        #expect(bench.closures.closures == [WebSocketClosure(origin: .failure(.controlFlood), code: 1008)])
        #expect(try bench.sent().last == .close(code: 1008, reason: ""))
    }

    @Test("the peer's close is answered with its code, and the server hangs up", arguments: [UInt16?.none, 1000, 4003])
    func peerCloses(code: UInt16?) throws {
        let bench = try Bench(.init(role: .server))
        try bench.receive(masked(0x88, code.map { [UInt8($0 >> 8), UInt8($0 & 255)] } ?? []) + masked(0x82, [1]))
        #expect(try bench.sent() == [.close(code: code ?? 1005, reason: "")])
        #expect(bench.closures.closures == [WebSocketClosure(origin: .peer, code: code ?? 1005)])
        #expect(try bench.channel.readInbound(as: WebSocketMessage.self) == nil)
        #expect(!bench.channel.isActive)
    }

    @Test("a client answers the close and waits for the server to hang up, but not for ever")
    func clientWaits() throws {
        let bench = try Bench(.init(role: .client, closeTimeout: .seconds(5)))
        try bench.receive([0x88, 2, 0x03, 0xE8])
        #expect(try bench.sent() == [.close(code: 1000, reason: "")])
        #expect(bench.channel.isActive)
        bench.channel.embeddedEventLoop.advanceTime(by: .seconds(5))
        #expect(!bench.channel.isActive)
        #expect(bench.closures.closures == [WebSocketClosure(origin: .peer, code: 1000)])
    }

    @Test("a close of our own comes behind what was written, and waits for the answer")
    func weClose() throws {
        let bench = try Bench(.init(role: .server, closeTimeout: .seconds(5)))
        bench.channel.write(WebSocketMessage.binary(ByteBuffer(bytes: [1])), promise: nil)
        bench.channel.triggerUserOutboundEvent(WebSocketCloseRequest(code: 4012, reason: "queue full"), promise: nil)
        #expect(
            try bench.sent() == [.message(.binary(ByteBuffer(bytes: [1]))), .close(code: 4012, reason: "queue full")])
        #expect(bench.closures.closures == [WebSocketClosure(origin: .local, code: 4012)])
        try bench.receive(masked(0x82, [7]))
        #expect(try bench.channel.readInbound(as: WebSocketMessage.self) == nil)
        #expect(bench.channel.isActive)
        try bench.receive(masked(0x88, [0x0F, 0xAC]))
        #expect(!bench.channel.isActive)
    }

    @Test("a close that is not answered ends with the timer")
    func closeTimeout() throws {
        let bench = try Bench(.init(role: .server, closeTimeout: .seconds(5)))
        bench.channel.triggerUserOutboundEvent(WebSocketCloseRequest(code: 1000), promise: nil)
        bench.channel.embeddedEventLoop.advanceTime(by: .milliseconds(4_999))
        #expect(bench.channel.isActive)
        bench.channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!bench.channel.isActive)
    }

    @Test("nothing can be written after a close")
    func writeAfterClose() throws {
        let bench = try Bench(.init(role: .server))
        bench.channel.triggerUserOutboundEvent(WebSocketCloseRequest(code: 1000), promise: nil)
        #expect(throws: ChannelError.ioOnClosedChannel) {
            try bench.channel.writeAndFlush(WebSocketMessage.text("late")).wait()
        }
    }

    @Test("a fault is told with its code, and what still comes is dropped")
    func fault() throws {
        let bench = try Bench(.init(role: .server, closeCode: { _ in 4000 }))
        try bench.receive(masked(0x82, [1]) + masked(0x83, []))
        try bench.receive(masked(0x82, [2]))
        #expect(try bench.sent() == [.close(code: 4000, reason: "")])
        #expect(try bench.channel.readInbound(as: WebSocketMessage.self) == .binary(ByteBuffer(bytes: [1])))
        #expect(try bench.channel.readInbound(as: WebSocketMessage.self) == nil)
        #expect(
            bench.closures.closures == [WebSocketClosure(origin: .failure(.malformed("reserved opcode")), code: 4000)])
    }

    @Test("a stopping process says goodbye")
    func quiesce() throws {
        let bench = try Bench(.init(role: .server))
        bench.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        #expect(try bench.sent() == [.close(code: 1001, reason: "")])
    }

    @Test("half a connection is none")
    func halfClosed() throws {
        let bench = try Bench(.init(role: .server))
        bench.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(bench.closures.closures == [WebSocketClosure(origin: .lost, code: 1006)])
        #expect(!bench.channel.isActive)
    }

    @Test("silence is met with a ping and then with the end; a sound puts both off")
    func silence() throws {
        let bench = try Bench(.init(role: .client, pingInterval: .seconds(10), idleTimeout: .seconds(25)))
        bench.channel.read()
        bench.channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(try bench.sent().map { if case .ping = $0 { true } else { false } } == [true])
        try bench.receive([0x8A, 0])
        bench.channel.read()
        bench.channel.embeddedEventLoop.advanceTime(by: .seconds(24))
        #expect(bench.closures.closures == [])
        bench.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(bench.closures.closures == [WebSocketClosure(origin: .failure(.silent), code: 1001)])
    }

    @Test("many messages leave in one buffer at the flush")
    func batch() throws {
        let bench = try Bench(.init(role: .server))
        for index in 0..<100 {
            bench.channel.write(WebSocketMessage.binary(ByteBuffer(bytes: [UInt8(index)])), promise: nil)
        }
        #expect(try bench.channel.readOutbound(as: ByteBuffer.self) == nil)
        bench.channel.flush()
        #expect(try bench.channel.readOutbound(as: ByteBuffer.self)?.readableBytes == 300)
        #expect(try bench.channel.readOutbound(as: ByteBuffer.self) == nil)
    }

    @Test("a paused channel delivers nothing more, not even what is here, and reads nothing")
    func pause() throws {
        let channel = EmbeddedChannel()
        let webSocket = WebSocketHandler(.init(role: .server, maximumMessageBytes: 10))
        let pauser = Pauser(webSocket)
        let reads = ReadCounter()
        try channel.pipeline.syncOperations.addHandlers([reads, webSocket, pauser])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try channel.writeInbound(
            ByteBuffer(bytes: masked(0x82, [1]) + masked(0x82, [2]) + masked(0x82, Array(repeating: 3, count: 20))))
        channel.read()
        #expect(pauser.received == [.binary(ByteBuffer(bytes: [1]))] && reads.count == 0)
        webSocket.resume()
        #expect(pauser.received.count == 2 && reads.count == 0)
        // The bound in force when a message is looked at is the one that counts.
        webSocket.maximumMessageBytes = 20
        webSocket.resume()
        #expect(pauser.received.last == .binary(ByteBuffer(repeating: 3, count: 20)) && reads.count == 0)
        webSocket.resume()
        #expect(pauser.received.count == 3 && reads.count == 1)
    }

    @Test("a close of our own finds the answer behind what was held back")
    func closeWhilePaused() throws {
        let channel = EmbeddedChannel()
        let webSocket = WebSocketHandler(.init(role: .server))
        let pauser = Pauser(webSocket)
        try channel.pipeline.syncOperations.addHandlers([webSocket, pauser])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try channel.writeInbound(ByteBuffer(bytes: masked(0x82, [1]) + masked(0x82, [2]) + masked(0x88, [0x03, 0xE8])))
        channel.triggerUserOutboundEvent(WebSocketCloseRequest(code: 1000), promise: nil)
        #expect(pauser.received == [.binary(ByteBuffer(bytes: [1]))])
        #expect(!channel.isActive)
    }

    @Test("a long close reason is cut at a character")
    func longReason() throws {
        let bench = try Bench(.init(role: .server))
        let request = WebSocketCloseRequest(code: 1000, reason: String(repeating: "ü", count: 100))
        bench.channel.triggerUserOutboundEvent(request, promise: nil)
        #expect(try bench.sent() == [.close(code: 1000, reason: String(repeating: "ü", count: 61))])
    }
}

/// Pauses after every message.
final class Pauser: ChannelInboundHandler {
    typealias InboundIn = WebSocketMessage
    private let webSocket: WebSocketHandler
    var received: [WebSocketMessage] = []

    init(_ webSocket: WebSocketHandler) {
        self.webSocket = webSocket
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.append(unwrapInboundIn(data))
        webSocket.pause()
    }
}

final class ReadCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    var count = 0

    func read(context: ChannelHandlerContext) {
        count += 1
        context.read()
    }
}
