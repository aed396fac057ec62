public import NIOCore
public import NIOHTTP1

/// A path of the server's port that opens a WebSocket.
public struct WebSocketRoute: Sendable {
    /// Compared byte for byte with the request's path, the query apart: nothing is decoded, no slash is forgiven.
    public let path: String
    /// Must be among what the client offers, and is confirmed to it; nil takes any client and names none.
    public let subprotocol: String?
    /// Adds the handlers of the WebSocket to an upgraded channel, on its event loop.
    public let upgrade: @Sendable (any Channel, HTTPRequestHead) -> EventLoopFuture<Void>

    public init(
        path: String, subprotocol: String? = nil,
        upgrade: @escaping @Sendable (any Channel, HTTPRequestHead) -> EventLoopFuture<Void>
    ) {
        self.path = path
        self.subprotocol = subprotocol
        self.upgrade = upgrade
    }
}
