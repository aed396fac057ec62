import FederationModel
import Synchronization

/// Bounds the unfinished incoming handshakes, all together and from one address, before any of them costs a signature.
final class HandshakeGate: Sendable {
    private struct Open {
        var total = 0
        var byAddress: [String: Int] = [:]
    }

    private let open = Mutex(Open())
    private let total: Int
    private let perAddress: Int

    init(total: Int = PeerLimits.openIncomingHandshakes, perAddress: Int = PeerLimits.openHandshakesPerAddress) {
        self.total = total
        self.perAddress = perAddress
    }

    /// Whether a handshake from `address` may begin. Each that may must be ended with ``leave(_:)``.
    func enter(_ address: String) -> Bool {
        open.withLock { open in
            let here = open.byAddress[address, default: 0]
            guard open.total < total, here < perAddress else { return false }
            open.total += 1
            open.byAddress[address] = here + 1
            return true
        }
    }

    func leave(_ address: String) {
        open.withLock { open in
            guard let here = open.byAddress[address] else { return }
            open.total -= 1
            open.byAddress[address] = here > 1 ? here - 1 : nil
        }
    }
}
