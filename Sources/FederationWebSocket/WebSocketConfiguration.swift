public import NIOCore

/// The bounds and timers of one WebSocket.
public struct WebSocketConfiguration: Sendable {
    /// Which kinds of messages are taken.
    public enum Kinds: Hashable, Sendable {
        case text
        case binary
        case both
    }

    public var role: WebSocketRole
    public var accepts: Kinds
    /// Bytes of one message, all fragments together; checked at each frame's header, before anything is allocated.
    public var maximumMessageBytes: Int
    /// Frames of one message.
    public var maximumFragments: Int
    /// Pings and pongs that a peer may send in one ``controlWindow``.
    public var controlFramesPerWindow: Int
    public var controlWindow: TimeAmount
    /// Silence after which a ping is sent; nil sends none.
    public var pingInterval: TimeAmount?
    /// Silence after which the connection is given up; nil waits for ever.
    public var idleTimeout: TimeAmount?
    /// How long a Close frame waits for its answer, and a closed connection for the peer to hang up.
    public var closeTimeout: TimeAmount
    /// The close code for each way that a peer can fail.
    public var closeCode: @Sendable (WebSocketFailure) -> UInt16
    /// The close code when the process stops.
    public var goingAwayCode: UInt16

    public init(
        role: WebSocketRole, accepts: Kinds = .both, maximumMessageBytes: Int = 1 << 20, maximumFragments: Int = 1_024,
        controlFramesPerWindow: Int = 512, controlWindow: TimeAmount = .seconds(10), pingInterval: TimeAmount? = nil,
        idleTimeout: TimeAmount? = nil, closeTimeout: TimeAmount = .seconds(5),
        closeCode: @escaping @Sendable (WebSocketFailure) -> UInt16 = { $0.standardCode }, goingAwayCode: UInt16 = 1001
    ) {
        precondition(maximumMessageBytes >= 0 && maximumFragments > 0, "bounds must be positive")
        self.role = role
        self.accepts = accepts
        self.maximumMessageBytes = maximumMessageBytes
        self.maximumFragments = maximumFragments
        self.controlFramesPerWindow = controlFramesPerWindow
        self.controlWindow = controlWindow
        self.pingInterval = pingInterval
        self.idleTimeout = idleTimeout
        self.closeTimeout = closeTimeout
        self.closeCode = closeCode
        self.goingAwayCode = goingAwayCode
    }
}
