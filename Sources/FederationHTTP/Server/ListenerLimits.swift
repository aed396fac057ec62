public import NIOCore

/// The bounds of the server's port, before any route is reached.
public struct ListenerLimits: Sendable {
    /// Connections open at one time; further ones wait in the kernel's queue.
    public var connections = 10_000
    /// Connections from one address that have not sent their first request's head yet; further ones are closed.
    public var newcomersPerAddress = 512
    /// Bytes of one header field, name and value.
    public var headerFieldBytes = 16 << 10
    /// Bytes of all header fields of a request.
    public var headerListBytes = 64 << 10
    /// Header fields of a request.
    public var headerFields = 100
    /// From the connection, TLS included, to the end of the first request's head.
    public var firstRequestTimeout = TimeAmount.seconds(10)
    /// Silence within or between requests after which a connection is closed.
    public var idleTimeout = TimeAmount.seconds(60)

    public init() {}
}
