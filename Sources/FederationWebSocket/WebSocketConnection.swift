public import NIOCore
import Synchronization

/// A WebSocket for code that awaits: messages as a sequence, and `send`. For connections where convenience matters more
/// than the last microsecond; the federation channel uses ``WebSocketHandler`` itself.
public final class WebSocketConnection: Sendable {
    /// Received messages in order; ends when the connection does. One task reads. While ``waitingMessages`` wait, or as many as
    /// it was made for, the socket is not read, so that a peer cannot fill the memory.
    public let messages: Inbox<WebSocketMessage>
    private let channel: any Channel
    private let end: Mutex<WebSocketClosure?>

    /// Messages that may wait before reading pauses; the one that comes next is still taken. The default.
    public static let waitingMessages = 64

    private init(_ channel: any Channel, waiting: Int) {
        self.channel = channel
        end = Mutex(nil)
        messages = Inbox(high: waiting) {
            channel.eventLoop.execute {
                try? channel.pipeline.syncOperations.handler(type: WebSocketHandler.self).resume()
            }
        }
    }

    /// Puts the handlers of a WebSocket on an upgraded channel.
    ///
    /// - Parameter waiting: messages that may wait before reading pauses.
    public static func attach(
        to channel: any Channel, _ configuration: WebSocketConfiguration, waiting: Int = waitingMessages
    ) -> EventLoopFuture<WebSocketConnection> {
        channel.eventLoop.submit {
            let connection = WebSocketConnection(channel, waiting: waiting)
            let webSocket = WebSocketHandler(configuration)
            try channel.pipeline.syncOperations.addHandlers([webSocket, InboxHandler(connection, webSocket)])
            return connection
        }
    }

    /// Sends a message and waits until the socket has taken it.
    ///
    /// - Throws: When the connection is closing or closed.
    public func send(_ message: WebSocketMessage) async throws {
        try await channel.writeAndFlush(message).get()
    }

    /// Sends a text message and waits until the socket has taken it.
    public func send(_ text: String) async throws {
        try await send(.text(text))
    }

    /// Closes with a code and waits until the connection is gone.
    public func close(code: UInt16 = 1000, reason: String = "") async {
        channel.triggerUserOutboundEvent(WebSocketCloseRequest(code: code, reason: reason), promise: nil)
        try? await channel.closeFuture.get()
    }

    /// How the connection ended; nil while it is open.
    public var closure: WebSocketClosure? { end.withLock { $0 } }

    /// The address of the other end, as `host:port`.
    public var remoteAddress: SocketAddress? { channel.remoteAddress }

    fileprivate func ended(_ closure: WebSocketClosure) {
        end.withLock { if $0 == nil { $0 = closure } }
        messages.finish()
    }
}

/// Moves messages from the pipeline to the inbox.
private final class InboxHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketMessage

    private let connection: WebSocketConnection
    private let webSocket: WebSocketHandler

    init(_ connection: WebSocketConnection, _ webSocket: WebSocketHandler) {
        self.connection = connection
        self.webSocket = webSocket
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        connection.ended(WebSocketClosure(origin: .lost, code: 1006))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if connection.messages.offer(unwrapInboundIn(data)) { webSocket.pause() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let closure = event as? WebSocketClosure { connection.ended(closure) }
        context.fireUserInboundEventTriggered(event)
    }
}
