public import NIOCore
public import NIOHTTP1
import NIOWebSocket

/// The server's half of the opening handshake: NIO's, except that the frames after it are left to ``WebSocketHandler``.
public struct WebSocketServerUpgrader<UpgradeResult: Sendable>: NIOTypedHTTPServerProtocolUpgrader {
    public let supportedProtocol = "websocket"
    /// NIO would look for them in `Connection`, where RFC 6455 does not want them.
    public let requiredUpgradeHeaders: [String] = []

    private let handshake: NIOTypedWebSocketServerUpgrader<UpgradeResult>
    private let upgraded: @Sendable (any Channel, HTTPRequestHead) -> EventLoopFuture<UpgradeResult>

    /// - Parameters:
    ///   - accept: Further headers of the answer, such as the chosen subprotocol; nil refuses.
    ///   - upgraded: Adds the handlers of the WebSocket. Bytes that came early wait until its future is done.
    public init(
        accept: @escaping @Sendable (HTTPRequestHead) -> HTTPHeaders?,
        upgraded: @escaping @Sendable (any Channel, HTTPRequestHead) -> EventLoopFuture<UpgradeResult>
    ) {
        handshake = NIOTypedWebSocketServerUpgrader(
            shouldUpgrade: { channel, head in channel.eventLoop.makeSucceededFuture(accept(head)) },
            upgradePipelineHandler: upgraded)
        self.upgraded = upgraded
    }

    public func buildUpgradeResponse(
        channel: any Channel, upgradeRequest: HTTPRequestHead, initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        handshake.buildUpgradeResponse(
            channel: channel, upgradeRequest: upgradeRequest, initialResponseHeaders: initialResponseHeaders)
    }

    public func upgrade(channel: any Channel, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<UpgradeResult> {
        upgraded(channel, upgradeRequest)
    }
}

/// The client's half of the opening handshake. The answer must carry the right key, the subprotocol that was asked for
/// and no extension (RFC 6455 §4.1).
struct WebSocketClientUpgrader<UpgradeResult: Sendable>: NIOTypedHTTPClientProtocolUpgrader {
    let supportedProtocol = "websocket"
    let requiredUpgradeHeaders: [String] = []

    private let handshake: NIOTypedWebSocketClientUpgrader<UpgradeResult>
    private let subprotocol: String?
    private let upgraded: @Sendable (any Channel) -> EventLoopFuture<UpgradeResult>

    init(subprotocol: String?, upgraded: @escaping @Sendable (any Channel) -> EventLoopFuture<UpgradeResult>) {
        handshake = NIOTypedWebSocketClientUpgrader(upgradePipelineHandler: { channel, _ in upgraded(channel) })
        self.subprotocol = subprotocol
        self.upgraded = upgraded
    }

    func addCustom(upgradeRequestHeaders: inout HTTPHeaders) {
        handshake.addCustom(upgradeRequestHeaders: &upgradeRequestHeaders)
        if let subprotocol { upgradeRequestHeaders.add(name: "Sec-WebSocket-Protocol", value: subprotocol) }
    }

    func shouldAllowUpgrade(upgradeResponse: HTTPResponseHead) -> Bool {
        handshake.shouldAllowUpgrade(upgradeResponse: upgradeResponse)
            && upgradeResponse.headers["sec-websocket-protocol"] == [subprotocol].compactMap { $0 }
            && !upgradeResponse.headers.contains(name: "sec-websocket-extensions")
    }

    func upgrade(channel: any Channel, upgradeResponse: HTTPResponseHead) -> EventLoopFuture<UpgradeResult> {
        upgraded(channel)
    }
}
