import FederationModel
import NIOCore

/// How often an address may be called on the word of strangers: a name can be made up for every attempt, the address that
/// it leads to cannot. Nor can the network that a stranger calls from, so that one network leaves something for the others.
struct TargetBudget: Sendable {
    /// Calls to one address in a window, whatever the port, unless the owner says otherwise.
    static let perAddress = 6
    /// Calls to all addresses in a window.
    static let inAll = 120
    /// Of these, calls that one network brings about.
    static let perCaller = inAll / 4
    static let window: TimeAmount = .seconds(60)

    private let perAddress: Int
    private var start = NIODeadline.uptimeNanoseconds(0)
    private var calls: [AddressRange: Int] = [:]
    private var callers: [AddressRange: Int] = [:]
    private var all = 0

    init(perAddress: Int = TargetBudget.perAddress) {
        self.perAddress = perAddress
    }

    /// Whether an address may be called now; if so, it counts.
    ///
    /// - Parameter caller: the network that has brought it about; nil where that is not known.
    mutating func admit(_ address: NetworkAddress, for caller: AddressRange? = nil, at now: NIODeadline) -> Bool {
        if now - start >= Self.window {
            start = now
            calls = [:]
            callers = [:]
            all = 0
        }
        let network = address.network
        guard all < Self.inAll, calls[network, default: 0] < perAddress else { return false }
        if let caller {
            guard callers[caller, default: 0] < Self.perCaller else { return false }
            callers[caller, default: 0] += 1
        }
        all += 1
        calls[network, default: 0] += 1
        return true
    }
}
