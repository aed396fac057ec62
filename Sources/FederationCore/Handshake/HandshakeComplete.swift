public import FederationModel
public import FederationWire

/// Ready, the last message of the handshake each way: the first sealed record, in which a server says once more who
/// it is. The status that older texts give it, `connected`, is what its arrival means.
public struct HandshakeComplete: Hashable, Sendable {
    public let server: ServerID

    public init(server: ServerID) {
        self.server = server
    }

    /// nil for any other frame.
    public init?(_ frame: FederationFrame) {
        guard case .ready(let ready) = frame else { return nil }
        server = ready.server
    }

    public var frame: FederationFrame { .ready(FederationFrame.Ready(server: server)) }
}
