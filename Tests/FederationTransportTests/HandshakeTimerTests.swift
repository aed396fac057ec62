import FederationModel
import FederationWebSocket
import MetricsTestKit
import NIOCore
import NIOEmbedded
import Testing

@testable import FederationTransport

/// The timer of a channel's socket, by an event loop's clock that the test moves.
@Suite("The time that a handshake may take") struct HandshakeTimerTests {
    /// An incoming channel: the test says what the peer sends and what the server answers.
    private struct Bench {
        static let limit = Limits.handshakeTimeout.timeAmount

        let channel = EmbeddedChannel()
        let metrics = TestMetrics()
        let handler: PeerChannelHandler

        init() throws {
            let webSocket = WebSocketHandler(WebSocketConfiguration(role: .server, accepts: .binary))
            handler = PeerChannelHandler(
                webSocket, inbox: Inbox<PeerInput>(high: 16) {}, outbox: PeerOutbox(), clock: ManualClock(),
                metrics: TransportMetrics(factory: metrics), handshakeTimeout: Self.limit, handshakeEnded: {},
                ended: { _ in })
            try channel.pipeline.syncOperations.addHandlers([webSocket, handler])
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        /// The server sends its `number`th message and waits for the peer's next.
        func send(_ number: UInt8) {
            handler.continueHandshake(sending: [[number]])
        }

        /// The peer sends a message of one byte, under a mask of zeros.
        func receive() throws {
            try channel.writeInbound(ByteBuffer(bytes: [0x82, 0x81, 0, 0, 0, 0, 9]))
        }

        /// What was sent since the last call.
        func sent() throws -> [UInt8] {
            var wire: [UInt8] = []
            while let buffer = try channel.readOutbound(as: ByteBuffer.self) { wire += Array(buffer.readableBytesView) }
            return wire
        }

        func pass(_ time: TimeAmount) {
            channel.embeddedEventLoop.advanceTime(by: time)
        }

        /// How often the limit was counted.
        var reached: Int64 {
            (try? metrics.expectCounter("aether_peer_limits_total", [("limit", "handshake_time")]).totalValue) ?? 0
        }
    }

    /// Would fail if any message of the handshake stopped the timer or began it anew.
    @Test("it runs from the upgrade on, however many messages have come", arguments: 0...2)
    func runsOut(messages: Int) throws {
        let bench = try Bench()
        bench.send(0)
        for number in 0..<messages {
            bench.pass(.seconds(1))
            try bench.receive()
            bench.send(UInt8(number + 1))
        }
        #expect(try bench.sent() == (0...messages).flatMap { [0x82, 1, UInt8($0)] })
        bench.pass(Bench.limit - .seconds(Int64(messages)) - .nanoseconds(1))
        #expect(try bench.sent() == [] && bench.reached == 0)
        bench.pass(.nanoseconds(1))
        let code = CloseCode.handshakeTimeout.rawValue
        #expect(try bench.sent() == [0x88, 2, UInt8(code >> 8), UInt8(code & 0xFF)])
        #expect(bench.reached == 1)
    }

    /// Would fail if a channel that stands were ended by the timer of its handshake.
    @Test("it ends with the handshake")
    func ends() throws {
        let bench = try Bench()
        bench.send(0)
        try bench.receive()
        bench.handler.establish(sending: [[1]], records: nil)
        #expect(try bench.sent() == [0x82, 1, 0, 0x82, 1, 1])
        bench.pass(Bench.limit * 2)
        #expect(try bench.sent() == [] && bench.reached == 0)
    }
}
