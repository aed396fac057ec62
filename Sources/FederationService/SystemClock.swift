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
        var bytes = [UInt8](repeating: 0, count: count)
        var word: UInt64 = 0
        for index in bytes.indices {
            // Each value is a system call, and has eight bytes.
            word = index % 8 == 0 ? generator.next() : word >> 8
            bytes[index] = UInt8(truncatingIfNeeded: word)
        }
        return bytes
    }
}
