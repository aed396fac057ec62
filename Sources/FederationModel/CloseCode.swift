/// Why a channel was closed: the WebSocket close code of the private range (RFC 6455 §7.4.2) and what it means. The
/// codes are listed in PROTOCOL.md.
public enum CloseCode: UInt16, Hashable, Sendable, Codable, CaseIterable {
    /// The server is stopping.
    case goingAway = 1001
    /// A message that the protocol does not allow here, or that does not parse.
    case protocolError = 4000
    /// No protocol version in common.
    case incompatibleVersion = 4001
    /// No cipher suite in common that both operators allow.
    case noCommonSuite = 4002
    /// The peer's id is not known here, or not allowed.
    case untrustedPeer = 4003
    /// The peer is another one than the one meant.
    case wrongPeer = 4004
    /// The peer's key is not the one bound to its id.
    case wrongKey = 4005
    /// A signature does not verify.
    case invalidSignature = 4006
    /// A value that is one's own came back.
    case reflected = 4007
    /// The handshake took too long.
    case handshakeTimeout = 4008
    /// The peer's clock is too far off.
    case clockSkew = 4009
    /// A record did not open.
    case badRecord = 4010
    /// A message is larger than its bound.
    case oversized = 4011
    /// A queue is full.
    case overloaded = 4012
    /// Another channel with the same peer was kept.
    case duplicateChannel = 4013
    /// The operator suspended or removed the peer.
    case suspended = 4014
    /// Trust has expired; a new handshake renews it.
    case trustExpired = 4015
    /// The peer fell silent.
    case silent = 4016
    /// Our own fault.
    case internalError = 4017
}
