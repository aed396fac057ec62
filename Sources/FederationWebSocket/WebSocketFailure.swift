/// How a peer broke RFC 6455 or one of our bounds. Each is terminal for the connection.
public enum WebSocketFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// A reserved bit, an unknown opcode, a fragmented or long control frame, a continuation out of place, a length
    /// that is not in its shortest form, a Close frame that does not parse.
    case malformed(String)
    /// A client's frame without a mask or a server's with one.
    case wrongMasking
    /// A text message or close reason that is not UTF-8.
    case invalidText
    /// A message larger than ``WebSocketConfiguration/maximumMessageBytes``.
    case oversized
    /// A message in more than ``WebSocketConfiguration/maximumFragments`` pieces.
    case tooManyFragments
    /// More than ``WebSocketConfiguration/controlFramesPerWindow`` pings and pongs in one window.
    case controlFlood
    /// A text message where only binary ones are taken, or the other way round.
    case unacceptableKind
    /// Nothing came for ``WebSocketConfiguration/idleTimeout``.
    case silent

    /// The close code that RFC 6455 §7.4.1 has for it.
    public var standardCode: UInt16 {
        switch self {
        case .malformed, .wrongMasking: 1002
        case .invalidText: 1007
        case .oversized, .tooManyFragments: 1009
        case .controlFlood: 1008
        case .unacceptableKind: 1003
        case .silent: 1001
        }
    }

    public var description: String {
        switch self {
        case .malformed(let what): "malformed frame: \(what)"
        case .wrongMasking: "wrong masking"
        case .invalidText: "text that is not UTF-8"
        case .oversized: "message too large"
        case .tooManyFragments: "message in too many fragments"
        case .controlFlood: "too many control frames"
        case .unacceptableKind: "kind of message not taken here"
        case .silent: "silence"
        }
    }
}
