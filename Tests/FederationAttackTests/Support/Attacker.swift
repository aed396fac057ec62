import FederationTransport
import FederationWebSocket
import Foundation
import NIOCore
import NIOPosix
import Synchronization
import TestKit

/// A TCP connection that says what it likes, from an address of its own in 127.0.0.0/8.
final class Attacker: Sendable {
    /// What the server sent.
    enum Received: Hashable, Sendable {
        /// The status of an HTTP answer.
        case status(Int)
        case message([UInt8])
        /// A Close frame's code.
        case close(UInt16)
    }

    let channel: any Channel
    /// What came, in order; ends with the connection.
    let received: Inbox<Received>

    private init(_ channel: any Channel, _ received: Inbox<Received>) {
        self.channel = channel
        self.received = received
    }

    static func connect(_ port: Int, from address: String) async throws -> Attacker {
        let received = Inbox<Received>(high: 1 << 20) {}
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(to: try SocketAddress(ipAddress: address, port: 0))
            .connectTimeout(.minutes(Int64(patience)))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Listening(received))
                }
            }
        return Attacker(try await bootstrap.connect(host: "127.0.0.1", port: port).get(), received)
    }

    /// Connects and asks for a WebSocket, without waiting for the answer.
    static func upgrade(_ port: Int, from address: String) async throws -> Attacker {
        let attacker = try await connect(port, from: address)
        await attacker.send(Array(opening.utf8))
        return attacker
    }

    static let opening = [
        "GET \(PeerRoute.path) HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: \(PeerRoute.subprotocol)", "", "",
    ].joined(separator: "\r\n")

    /// A client's frame with a mask of zeros, which is as good as any.
    ///
    /// - Parameter length: what the header says; the payload's when nil.
    static func frame(_ first: UInt8, _ payload: [UInt8] = [], length: UInt64? = nil) -> [UInt8] {
        let length = length ?? UInt64(payload.count)
        var bytes = [first]
        switch length {
        case ...125:
            bytes.append(0x80 | UInt8(length))
        case ...0xFFFF:
            bytes += [0x80 | 126, UInt8(length >> 8), UInt8(length & 0xFF)]
        default:
            bytes.append(0x80 | 127)
            for shift in stride(from: UInt64(56), through: 0, by: -8) { bytes.append(UInt8(length >> shift & 0xFF)) }
        }
        return bytes + [0, 0, 0, 0] + payload
    }

    /// A whole binary message.
    static func message(_ payload: [UInt8]) -> [UInt8] { frame(0x82, payload) }

    /// Sends and waits until the socket has it; whether it took it.
    @discardableResult
    func send(_ bytes: [UInt8]) async -> Bool {
        do {
            try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
            return true
        } catch {
            return false
        }
    }

    /// Sends one byte in each `pause` until all are sent or the connection ends.
    func trickle(_ bytes: [UInt8], every pause: TimeAmount) {
        let rest = Mutex(bytes[...])
        let channel = channel
        let task = channel.eventLoop.scheduleRepeatedTask(initialDelay: pause, delay: pause) { task in
            guard let byte = rest.withLock({ $0.popFirst() }) else { return task.cancel() }
            channel.writeAndFlush(ByteBuffer(bytes: [byte]), promise: nil)
        }
        channel.closeFuture.whenComplete { _ in task.cancel() }
    }

    /// Reads nothing any more. The kernel's receive buffer must be of its usual size: with one of a few KiB it drops what
    /// lies beyond the window together with the acknowledgements it carries, and then nothing leaves either.
    func stopReading() async throws {
        try await channel.setOption(.autoRead, value: false).get()
    }

    /// The next message of the server's.
    func message() async -> [UInt8]? {
        while let received = await received.next() {
            if case .message(let bytes) = received { return bytes }
        }
        return nil
    }

    /// The code with which the server closes; nil when it hangs up without a word.
    func closeCode() async -> UInt16? {
        while let received = await received.next() {
            if case .close(let code) = received { return code }
        }
        return nil
    }

    func hangUp() async {
        try? await channel.close().get()
    }
}

/// Reads a server's answer: an HTTP head and frames without masks.
private final class Listening: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let received: Inbox<Attacker.Received>
    private var buffer = ByteBuffer()
    private var isUpgraded = false

    init(_ received: Inbox<Attacker.Received>) {
        self.received = received
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        buffer.writeImmutableBuffer(unwrapInboundIn(data))
        if !isUpgraded {
            let text = String(buffer: buffer)
            guard let end = text.range(of: "\r\n\r\n") else { return }
            let head = text[..<end.upperBound]
            buffer.moveReaderIndex(forwardBy: head.utf8.count)
            isUpgraded = true
            let status = head.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            _ = received.offer(.status(status))
        }
        while let frame = nextFrame() { _ = received.offer(frame) }
        buffer.discardReadBytes()
    }

    private func nextFrame() -> Attacker.Received? {
        let start = buffer.readerIndex
        guard let first: UInt8 = buffer.getInteger(at: start), let short: UInt8 = buffer.getInteger(at: start + 1)
        else { return nil }
        var size = 2
        var length = Int(short & 0x7F)
        if length == 126 {
            guard let long: UInt16 = buffer.getInteger(at: start + 2) else { return nil }
            (length, size) = (Int(long), 4)
        } else if length == 127 {
            guard let long: UInt64 = buffer.getInteger(at: start + 2) else { return nil }
            (length, size) = (Int(long), 10)
        }
        guard buffer.readableBytes >= size + length else { return nil }
        buffer.moveReaderIndex(forwardBy: size)
        let payload = buffer.readBytes(length: length) ?? []
        guard first & 0x0F == 0x08 else { return .message(payload) }
        return .close(payload.count >= 2 ? UInt16(payload[0]) << 8 | UInt16(payload[1]) : 1005)
    }

    func channelInactive(context: ChannelHandlerContext) {
        received.finish()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
