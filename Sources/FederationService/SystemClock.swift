public import FederationModel
import Foundation

/// The machine's clocks.
public struct SystemClock: FederationClock {
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private let offset: Duration

    /// - Parameter offset: added to the wall clock, to rehearse what a wrong clock does.
    public init(offset: Duration = .zero) {
        start = clock.now
        self.offset = offset
    }

    public func now() -> Now {
        let wall = Timestamp(milliseconds: Int64((Date().timeIntervalSince1970 * 1000).rounded(.down)))
        let elapsed = clock.now - start
        return Now(instant: Instant(nanoseconds: elapsed.clampedNanoseconds), timestamp: wall + offset)
    }

    public func sleep(until deadline: Instant) async throws {
        try await clock.sleep(until: start + .nanoseconds(deadline.nanoseconds))
    }
}

/// The operating system's generator, which Swift promises to be cryptographically secure.
public struct SystemEntropy: EntropySource {
    public init() {}

    public func bytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
