public import FederationModel

/// How many consecutive failures change a peer's health, and how often it is expected to answer.
public struct HealthThresholds: Hashable, Sendable {
    /// Failures until `degraded`; at least 1.
    public let degraded: Int
    /// Failures until `unreachable`; more than ``degraded``.
    public let unreachable: Int
    /// A full interval without an answer is one failure; at least a millisecond.
    public let interval: Duration
    /// Successes in a row after which a degraded or unreachable peer is healthy again; at least 1, which is the classic
    /// rule. More keep a peer that comes and goes `degraded` until it stays; two intervals of silence begin the count anew.
    public let recovery: Int

    /// Why thresholds were refused.
    public enum Failure: Error, Hashable, Sendable {
        /// `degraded` is less than 1.
        case degradedTooLow(Int)
        /// `unreachable` is not more than `degraded`.
        case unreachableNotAbove(degraded: Int, unreachable: Int)
        /// The interval is shorter than a millisecond or longer than a day.
        case invalidInterval(Duration)
        /// `recovery` is less than 1.
        case recoveryTooLow(Int)
    }

    /// 3 failures, 10 failures, 30 seconds, 1 success.
    public static let standard = HealthThresholds(
        checkedDegraded: 3, unreachable: 10, interval: .seconds(30), recovery: 1)

    public init(
        degraded: Int = 3, unreachable: Int = 10, interval: Duration = .seconds(30), recovery: Int = 1
    ) throws(Failure) {
        guard degraded > 0 else { throw .degradedTooLow(degraded) }
        guard unreachable > degraded else { throw .unreachableNotAbove(degraded: degraded, unreachable: unreachable) }
        guard interval >= .milliseconds(1), interval <= .seconds(24 * 3_600) else { throw .invalidInterval(interval) }
        guard recovery > 0 else { throw .recoveryTooLow(recovery) }
        self.init(checkedDegraded: degraded, unreachable: unreachable, interval: interval, recovery: recovery)
    }

    private init(checkedDegraded degraded: Int, unreachable: Int, interval: Duration, recovery: Int) {
        self.degraded = degraded
        self.unreachable = unreachable
        self.interval = interval
        self.recovery = recovery
    }

    /// The health of a peer after `failures` consecutive failures.
    public func status(after failures: Int) -> HealthStatus {
        if failures >= unreachable { return .unreachable }
        return failures >= degraded ? .degraded : .healthy
    }
}
