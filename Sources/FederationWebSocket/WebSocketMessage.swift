public import NIOCore

/// One whole message of a WebSocket (RFC 6455 §5.6), put together from its fragments.
public enum WebSocketMessage: Hashable, Sendable {
    /// Checked UTF-8.
    case text(String)
    case binary(ByteBuffer)

    /// Bytes of the payload.
    public var byteCount: Int {
        switch self {
        case .text(let text): text.utf8.count
        case .binary(let bytes): bytes.readableBytes
        }
    }
}

/// Which end of a WebSocket this is. It decides who masks (RFC 6455 §5.1) and who closes the TCP connection (§7.1.1).
public enum WebSocketRole: Hashable, Sendable {
    case client
    case server
}

/// How a WebSocket ended, or is ending: fired once through the pipeline as a user event, before `channelInactive`.
public struct WebSocketClosure: Hashable, Sendable {
    public enum Origin: Hashable, Sendable {
        /// This end asked for it.
        case local
        /// The peer sent a Close frame.
        case peer
        /// The peer broke the protocol or a bound, and was told so.
        case failure(WebSocketFailure)
        /// The connection ended without a Close frame.
        case lost
    }

    public let origin: Origin
    /// The code that was sent or received; 1005 when the peer's Close frame had none, 1006 when there was no frame.
    public let code: UInt16
    /// The peer's words, at most 123 bytes; empty for other origins.
    public let reason: String

    public init(origin: Origin, code: UInt16, reason: String = "") {
        self.origin = origin
        self.code = code
        self.reason = reason
    }
}

/// Asks the ``WebSocketHandler`` to close: trigger it as an outbound user event. What was written before is sent first.
public struct WebSocketCloseRequest: Hashable, Sendable {
    public let code: UInt16
    /// At most 123 bytes of UTF-8; longer ones are cut.
    public let reason: String

    public init(code: UInt16, reason: String = "") {
        self.code = code
        self.reason = reason
    }
}
