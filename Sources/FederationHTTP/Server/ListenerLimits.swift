public import NIOCore

/// The bounds of the server's port, before any route is reached.
public struct ListenerLimits: Sendable {
    /// Connections open at one time; further ones are closed.
    public var connections = 10_000
    /// Connections open at one time from one address, whatever they have become; further ones are closed.
    public var connectionsPerAddress = 1_024
    /// Whether ``connectionsPerAddress`` is for this machine's own connections as well: a proxy there speaks for everybody.
    public var countsLoopback = false
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
    /// How long the body of a request may take, besides a second for each ``bodyBytesPerSecond`` that have come.
    public var bodyTimeout = TimeAmount.minutes(5)
    /// Bytes of a body for which it may take a second longer.
    public var bodyBytesPerSecond = 1 << 10
    /// How long an answer may wait for a caller who takes nothing of it.
    public var writeStallTimeout = TimeAmount.minutes(2)
    /// How long a request that is in progress when the server stops may still take, until its caller has the whole answer.
    public var stopTimeout = TimeAmount.seconds(5)

    /// Connections that are accepted beyond ``connections``, only to be closed and counted; more of them wait in the kernel.
    static let turnedAwayAtOnce = 32

    public init() {}

    /// Lowers ``connections`` so that an eighth of the process's file descriptors, and 64 at least, are left to what is not
    /// accepted here: dials, fetches, files and the database. The part of one address stays what it was.
    ///
    /// - Parameter descriptors: how many the process may have open.
    public mutating func fit(descriptors: Int) {
        let most = max(1, descriptors - max(64, descriptors / 8))
        guard most < connections else { return }
        connectionsPerAddress = max(1, Int(Double(connectionsPerAddress) * Double(most) / Double(connections)))
        connections = most
    }
}
