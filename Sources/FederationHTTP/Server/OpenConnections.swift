import Synchronization

/// The open connections of the port, counted for their whole life and whatever they have become: all together, and those of
/// one address (``RemoteAddress/network``), which must not take every place.
final class OpenConnections: Sendable {
    private struct Open {
        var total = 0
        var byNetwork: [String: Int] = [:]
    }

    private let open = Mutex(Open())
    private let total: Int
    private let perAddress: Int
    private let countsLoopback: Bool

    init(_ limits: ListenerLimits) {
        total = limits.connections
        perAddress = limits.connectionsPerAddress
        countsLoopback = limits.countsLoopback
    }

    /// The bound that keeps one more connection from `address` out; nil when it may stay, and then it must be ended with
    /// ``leave(_:)``.
    func enter(_ address: RemoteAddress) -> PortLimit? {
        open.withLock { open in
            guard open.total < total else { return .connections }
            if isCounted(address) {
                let here = open.byNetwork[address.network, default: 0]
                guard here < perAddress else { return .connectionsPerAddress }
                open.byNetwork[address.network] = here + 1
            }
            open.total += 1
            return nil
        }
    }

    func leave(_ address: RemoteAddress) {
        open.withLock { open in
            open.total -= 1
            guard isCounted(address), let here = open.byNetwork[address.network] else { return }
            open.byNetwork[address.network] = here > 1 ? here - 1 : nil
        }
    }

    private func isCounted(_ address: RemoteAddress) -> Bool { countsLoopback || !address.isLoopback }
}
