import FederationModel
import Synchronization

/// How often strangers may use the registry, and ask: by address, so that one cannot keep out the others, and all together, so
/// that many cannot wear the server out.
final class RegistryGate: Sendable {
    /// What is counted apart.
    enum Act: Hashable, Sendable, CaseIterable {
        /// Registering, heartbeats, leaving.
        case write
        /// Listings and the log.
        case read
        /// Inquiries, which may cost a signature check each.
        case inquire
    }

    private let buckets: Mutex<Buckets>

    init() {
        buckets = Mutex(Buckets())
    }

    /// The seconds to wait; nil when the act may go on, which is then counted.
    func wait(for act: Act, from network: String, at now: Instant) -> Int? {
        buckets.withLock { $0.wait(for: act, from: network, at: now) }
    }

    /// Token buckets: so many at once, and so many a second afterwards.
    struct Rate: Hashable, Sendable {
        let burst: Double
        let perSecond: Double
    }

    static func rate(of act: Act, isGlobal: Bool) -> Rate {
        switch (act, isGlobal) {
        case (.write, false): Rate(burst: 60, perSecond: 1)
        case (.write, true): Rate(burst: 1_000, perSecond: 200)
        case (.read, false): Rate(burst: 300, perSecond: 20)
        case (.read, true): Rate(burst: 5_000, perSecond: 1_000)
        case (.inquire, false): Rate(burst: 60, perSecond: 1)
        case (.inquire, true): Rate(burst: 500, perSecond: 50)
        }
    }

    /// Addresses that are counted; when there are more, those that have waited longest are counted afresh.
    static let addresses = 8_192
}

private struct Buckets: Sendable {
    private struct Key: Hashable {
        let act: RegistryGate.Act
        /// Empty for all together.
        let network: String
    }

    private struct Bucket {
        var tokens: Double
        var filledAt: Instant
    }

    private var buckets: [Key: Bucket] = [:]

    mutating func wait(for act: RegistryGate.Act, from network: String, at now: Instant) -> Int? {
        makeRoom(at: now)
        let own = Key(act: act, network: network)
        let all = Key(act: act, network: "")
        let waits = [own, all].compactMap { shortage(of: $0, at: now) }
        if let longest = waits.max() { return longest }
        buckets[own]?.tokens -= 1
        buckets[all]?.tokens -= 1
        return nil
    }

    /// Fills a bucket for the time that has passed; the seconds until it holds one token, nil when it does.
    private mutating func shortage(of key: Key, at now: Instant) -> Int? {
        let rate = RegistryGate.rate(of: key.act, isGlobal: key.network.isEmpty)
        var bucket = buckets[key] ?? Bucket(tokens: rate.burst, filledAt: now)
        let passed = Double(max(0, (now - bucket.filledAt).clampedNanoseconds)) / 1e9
        bucket.tokens = min(rate.burst, bucket.tokens + passed * rate.perSecond)
        bucket.filledAt = now
        buckets[key] = bucket
        guard bucket.tokens < 1 else { return nil }
        return max(1, Int(((1 - bucket.tokens) / rate.perSecond).rounded(.up)))
    }

    private mutating func makeRoom(at now: Instant) {
        guard buckets.count > RegistryGate.addresses * RegistryGate.Act.allCases.count else { return }
        let oldest = buckets.keys.filter { !$0.network.isEmpty }.sorted { left, right in
            (buckets[left]?.filledAt ?? now, left.network) < (buckets[right]?.filledAt ?? now, right.network)
        }
        for key in oldest.prefix(buckets.count / 2) { buckets[key] = nil }
    }
}
