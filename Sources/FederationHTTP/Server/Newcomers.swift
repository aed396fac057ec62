import Metrics
import NIOCore
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

    private let byNetwork = Mutex<[String: Int]>([:])
    private let perAddress: Int
    private let metrics: any MetricsFactory

    init(perAddress: Int, metrics: any MetricsFactory = MetricsSystem.factory) {
        self.perAddress = perAddress
        self.metrics = metrics
    }

    /// What one more connection from `address` is counted under, and must be ended under with ``leave(_:)``; nil when it may
    /// not wait.
    func enter(_ address: SocketAddress?) -> String? {
        let network = RemoteAddress(address).network
        let mayEnter = byNetwork.withLock { byNetwork in
            let here = byNetwork[network, default: 0]
            guard here < perAddress else { return false }
            byNetwork[network] = here + 1
            return true
        }
        if !mayEnter { reached(.newcomers) }
        return mayEnter ? network : nil
    }

    func leave(_ network: String) {
        byNetwork.withLock { byNetwork in
            guard let here = byNetwork[network] else { return }
            byNetwork[network] = here > 1 ? here - 1 : nil
        }
    }

    func reached(_ limit: Limit) {
        Counter(label: "aether_http_limits_total", dimensions: [("limit", limit.rawValue)], factory: metrics)
            .increment()
    }
}
