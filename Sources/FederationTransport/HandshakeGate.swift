import FederationModel
import NIOCore
import Synchronization

/// Bounds the incoming handshakes before any of them costs a signature: those that are unfinished, all together and from one
/// address (``NetworkAddress/network``), and those that one address begins (``HandshakeRate``).
final class HandshakeGate: Sendable {
    private struct Open {
        var total = 0
        /// Under nil what has no address.
        var byNetwork: [AddressRange?: Int] = [:]
        var rate = HandshakeRate()
    }

    private let open = Mutex(Open())
    private let total: Int
    private let perAddress: Int
    private let countsLoopback: Bool

    /// - Parameter countsLoopback: whether what this machine's own addresses begin is counted as well.
    init(
        total: Int = PeerLimits.openIncomingHandshakes, perAddress: Int = PeerLimits.openHandshakesPerAddress,
        countsLoopback: Bool = false
    ) {
        self.total = total
        self.perAddress = perAddress
        self.countsLoopback = countsLoopback
    }

    /// The bound that keeps a handshake from `address` from beginning; nil when it may begin, and then it must be ended with
    /// ``leave(_:)``.
    func enter(_ address: SocketAddress?, at now: Instant) -> TransportMetrics.Limit? {
        let ip = Self.ip(of: address)
        let network = ip?.network
        return open.withLock { open in
            let here = open.byNetwork[network, default: 0]
            guard open.total < total, here < perAddress else { return .handshakes }
            if let ip, let network, countsLoopback || !ip.isLoopback, !open.rate.admit(network, at: now) {
                return .handshakeRate
            }
            open.total += 1
            open.byNetwork[network] = here + 1
            return nil
        }
    }

    func leave(_ address: SocketAddress?) {
        let network = Self.ip(of: address)?.network
        open.withLock { open in
            guard let here = open.byNetwork[network] else { return }
            open.total -= 1
            open.byNetwork[network] = here > 1 ? here - 1 : nil
        }
    }

    private static func ip(of address: SocketAddress?) -> NetworkAddress? {
        address?.ipAddress.flatMap { NetworkAddress($0) }
    }
}
