import NIOCore
import Synchronization

/// The connections that have not said yet what they want, counted by address: a few that stay silent must not keep
/// everyone else out.
final class Newcomers: Sendable {
    private let byNetwork = Mutex<[String: Int]>([:])
    private let perAddress: Int

    init(perAddress: Int) {
        self.perAddress = perAddress
    }

    /// What one more connection from `address` is counted under, and must be ended under with ``leave(_:)``; nil when it may
    /// not wait.
    func enter(_ address: SocketAddress?) -> String? {
        let network = RemoteAddress(address).network
        return byNetwork.withLock { byNetwork in
            let here = byNetwork[network, default: 0]
            guard here < perAddress else { return nil }
            byNetwork[network] = here + 1
            return network
        }
    }

    func leave(_ network: String) {
        byNetwork.withLock { byNetwork in
            guard let here = byNetwork[network] else { return }
            byNetwork[network] = here > 1 ? here - 1 : nil
        }
    }
}
