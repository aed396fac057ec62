import FederationModel
import FederationWebSocket

/// How a channel ended, for whoever dialled it.
struct PeerChannelEnd: Hashable, Sendable {
    /// Whether its handshake was completed.
    let wasEstablished: Bool
    let closure: WebSocketClosure

    /// The close code, when it is one of ours.
    var code: CloseCode? { CloseCode(rawValue: closure.code) }

    /// One line for a person.
    var reason: String {
        let what = code.map { "\($0) (\($0.rawValue))" } ?? "code \(closure.code)"
        switch closure.origin {
        case .lost: return "the connection was lost"
        case .local: return "closed here: \(what)"
        case .peer: return "closed by the peer: \(what)"
        case .failure(let failure): return "closed here: \(what), \(failure)"
        }
    }
}

extension WebSocketFailure {
    /// What `/federation` tells a peer that broke the WebSocket protocol or a bound.
    var closeCode: CloseCode {
        switch self {
        case .malformed, .wrongMasking, .invalidText, .unacceptableKind: .protocolError
        case .oversized, .tooManyFragments: .oversized
        case .controlFlood: .overloaded
        case .silent: .silent
        }
    }
}
