import FederationModel
import NIOCore

/// How often an address may be called on the word of strangers: a name can be made up for every attempt, the address that
/// it leads to cannot.
struct TargetBudget: Sendable {
    /// Calls to one address in a window, whatever the port.
    static let perAddress = 6
    /// Calls to all addresses in a window.
    static let inAll = 120
    static let window: TimeAmount = .seconds(60)

    private var start = NIODeadline.uptimeNanoseconds(0)
    private var calls: [AddressRange: Int] = [:]
    private var all = 0

    /// Whether an address may be called now; if so, it counts.
    mutating func admit(_ address: NetworkAddress, at now: NIODeadline) -> Bool {
        if now - start >= Self.window {
            start = now
            calls = [:]
            all = 0
        }
        let network = address.network
        guard all < Self.inAll, calls[network, default: 0] < Self.perAddress else { return false }
        all += 1
        calls[network, default: 0] += 1
        return true
    }
}
