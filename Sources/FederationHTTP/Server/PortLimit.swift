import FederationWebSocket
import Metrics

/// A bound of the server's port that was reached; `limit` of `aether_http_limits_total`.
enum PortLimit: String, CaseIterable, Sendable {
    /// ``ListenerLimits/connections``.
    case connections
    /// ``ListenerLimits/connectionsPerAddress``.
    case connectionsPerAddress = "connections_per_address"
    /// ``ListenerLimits/newcomersPerAddress``.
    case newcomers
    /// ``ListenerLimits/firstRequestTimeout``.
    case firstRequestTime = "first_request_time"
    /// ``ListenerLimits/idleTimeout``.
    case idleTime = "idle_time"
    /// ``ListenerLimits/bodyTimeout``.
    case bodyTime = "body_time"
    /// ``ListenerLimits/writeStallTimeout``.
    case writeStall = "write_stall"
    /// The bounds of a request's head.
    case headerSize = "header_size"
    /// ``ClientSocket/openingTimeout``.
    case clientOpeningTime = "client_opening_time"
    /// Bytes of one message on `/client`.
    case clientMessageSize = "client_message_size"
    /// Frames of one message on `/client`.
    case clientFragments = "client_fragments"
    /// Pings and pongs on `/client`.
    case clientControlFrames = "client_control_frames"
    /// A client that answers no ping.
    case clientSilence = "client_silence"
    /// ``ClientSocket/sendTimeout``.
    case clientSlowReader = "client_slow_reader"

    /// The bound that a client broke with its frames, when it was one.
    init?(client failure: WebSocketFailure) {
        switch failure {
        case .oversized: self = .clientMessageSize
        case .tooManyFragments: self = .clientFragments
        case .controlFlood: self = .clientControlFrames
        case .silent: self = .clientSilence
        case .malformed, .wrongMasking, .invalidText, .unacceptableKind: return nil
        }
    }
}

/// Counts the bounds of the port that were reached.
struct PortMetrics: Sendable {
    private let factory: any MetricsFactory

    init(factory: any MetricsFactory) {
        self.factory = factory
    }

    func reached(_ limit: PortLimit) {
        Counter(label: "aether_http_limits_total", dimensions: [("limit", limit.rawValue)], factory: factory)
            .increment()
    }
}
