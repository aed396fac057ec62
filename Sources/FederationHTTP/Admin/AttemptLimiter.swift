import FederationModel

/// Counts failed attempts per address in windows of a minute, for a bounded number of addresses.
struct AttemptLimiter: Sendable {
    /// Failures that one address may have in one window.
    static let allowed = 10
    static let window: Duration = .seconds(60)
    /// Addresses that are remembered; the one whose window began first makes room.
    static let addresses = 4_096

    private struct Window {
        let start: Instant
        var failures: Int
    }

    private var windows: [String: Window] = [:]

    /// The seconds that an address has to wait; nil when it need not.
    func wait(for address: String, at now: Instant) -> Int? {
        guard let window = windows[address], window.failures >= Self.allowed else { return nil }
        let end = window.start + Self.window
        guard now < end else { return nil }
        return max(1, Int((end - now).components.seconds) + 1)
    }

    mutating func recordFailure(of address: String, at now: Instant) {
        if let window = windows[address], now < window.start + Self.window {
            windows[address]?.failures += 1
            return
        }
        if windows[address] == nil, windows.count >= Self.addresses,
            let oldest = windows.min(by: { ($0.value.start, $0.key) < ($1.value.start, $1.key) })
        {
            windows[oldest.key] = nil
        }
        windows[address] = Window(start: now, failures: 1)
    }
}
