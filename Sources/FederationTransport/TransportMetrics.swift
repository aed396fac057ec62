import FederationModel
import FederationWebSocket
import Metrics

/// What the transport counts.
struct TransportMetrics: Sendable {
    /// A bound that was reached; `limit` of `aether_peer_limits_total`.
    enum Limit: String, CaseIterable {
        /// ``PeerLimits/openIncomingHandshakes`` and ``PeerLimits/openHandshakesPerAddress``.
        case handshakes
        /// ``PeerLimits/handshakesPerAddress``.
        case handshakeRate = "handshake_rate"
        case outboundQueue = "outbound_queue"
        case inboundQueue = "inbound_queue"
        case handshakeTime = "handshake_time"
        case messageSize = "message_size"
        case fragments
        case controlFrames = "control_frames"
        case silence

        /// The bound that a peer broke with its frames, when it was one.
        init?(_ failure: WebSocketFailure) {
            switch failure {
            case .oversized: self = .messageSize
            case .tooManyFragments: self = .fragments
            case .controlFlood: self = .controlFrames
            case .silent: self = .silence
            case .malformed, .wrongMasking, .invalidText, .unacceptableKind: return nil
            }
        }
    }

    private let factory: any MetricsFactory
    let recordsIn: Counter
    let recordsOut: Counter
    let bytesIn: Counter
    let bytesOut: Counter

    init(factory: any MetricsFactory) {
        self.factory = factory
        func counter(_ label: String, _ direction: String) -> Counter {
            Counter(label: label, dimensions: [("direction", direction)], factory: factory)
        }
        recordsIn = counter("aether_peer_records_total", "in")
        recordsOut = counter("aether_peer_records_total", "out")
        bytesIn = counter("aether_peer_bytes_total", "in")
        bytesOut = counter("aether_peer_bytes_total", "out")
    }

    func reached(_ limit: Limit) {
        Counter(label: "aether_peer_limits_total", dimensions: [("limit", limit.rawValue)], factory: factory)
            .increment()
    }

    func closed(_ end: PeerChannelEnd) {
        if case .failure(let failure) = end.closure.origin, let limit = Limit(failure) { reached(limit) }
        let by =
            switch end.closure.origin {
            case .local, .failure: "us"
            case .peer: "peer"
            case .lost: "nobody"
            }
        // A peer may send any of some thousand codes; only known ones may become a label.
        let code = end.code.map { "\($0)" } ?? (end.closure.code == 1006 ? "lost" : "other")
        Counter(label: "aether_peer_closes_total", dimensions: [("by", by), ("code", code)], factory: factory)
            .increment()
    }

    func dialFailed() {
        Counter(label: "aether_peer_dial_failures_total", factory: factory).increment()
    }
}
