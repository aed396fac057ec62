import FederationModel
import NIOCore
import Synchronization

/// Bounds the unfinished incoming handshakes, all together and from one address (``NetworkAddress/network``), before any of
/// them costs a signature.
final class HandshakeGate: Sendable {
    private struct Open {
        var total = 0
        /// Under nil what has no address.
        var byNetwork: [AddressRange?: Int] = [:]
    }

    private let open = Mutex(Open())
    private let total: Int
    private let perAddress: Int

    init(total: Int = PeerLimits.openIncomingHandshakes, perAddress: Int = PeerLimits.openHandshakesPerAddress) {
        self.total = total
        self.perAddress = perAddress
    }

    /// Whether a handshake from `address` may begin. Each that may must be ended with ``leave(_:)``.
    func enter(_ address: SocketAddress?) -> Bool {
        let network = Self.network(of: address)
        return open.withLock { open in
            let here = open.byNetwork[network, default: 0]
            guard open.total < total, here < perAddress else { return false }
            open.total += 1
            open.byNetwork[network] = here + 1
            return true
        }
    }

    func leave(_ address: SocketAddress?) {
        let network = Self.network(of: address)
        open.withLock { open in
            guard let here = open.byNetwork[network] else { return }
            open.total -= 1
            open.byNetwork[network] = here > 1 ? here - 1 : nil
        }
    }

    private static func network(of address: SocketAddress?) -> AddressRange? {
        address?.ipAddress.flatMap { NetworkAddress($0) }?.network
    }
}
