import Metrics
import Synchronization

/// The connections that have not said yet what they want, counted by address: a few that stay silent must not keep
/// everyone else out.
final class Newcomers: Sendable {
    /// A bound that was reached; `limit` of `aether_http_limits_total`.
    enum Limit: String {
        /// ``ListenerLimits/newcomersPerAddress``.
        case newcomers
        /// ``ListenerLimits/firstRequestTimeout``.
        case firstRequestTime = "first_request_time"
        /// The bounds of a request's head.
        case headerSize = "header_size"
    }

    private let byAddress = Mutex<[String: Int]>([:])
    private let perAddress: Int
    private let metrics: any MetricsFactory

    init(perAddress: Int, metrics: any MetricsFactory) {
        self.perAddress = perAddress
        self.metrics = metrics
    }

    /// Whether one more may wait. Each that may must be ended with ``leave(_:)``.
    func enter(_ address: String) -> Bool {
        let mayEnter = byAddress.withLock { byAddress in
            let here = byAddress[address, default: 0]
            guard here < perAddress else { return false }
            byAddress[address] = here + 1
            return true
        }
        if !mayEnter { reached(.newcomers) }
        return mayEnter
    }

    func leave(_ address: String) {
        byAddress.withLock { byAddress in
            guard let here = byAddress[address] else { return }
            byAddress[address] = here > 1 ? here - 1 : nil
        }
    }

    func reached(_ limit: Limit) {
        Counter(label: "aether_http_limits_total", dimensions: [("limit", limit.rawValue)], factory: metrics)
            .increment()
    }
}
