public import FederationModel

/// The port to time.
public protocol FederationClock: Sendable {
    /// Both clocks now.
    func now() -> Now

    /// Waits until the monotonic clock reads `deadline` at least; throws `CancellationError` when the task is cancelled.
    func sleep(until deadline: Instant) async throws
}

/// The port to randomness fit for keys.
public protocol EntropySource: Sendable {
    func bytes(_ count: Int) -> [UInt8]
}
