public import FederationModel

extension HealthThresholds.Failure {
    /// The failure for people and programs.
    public var refusal: Refusal {
        let reason =
            switch self {
            case .degradedTooLow(let degraded): "\(degraded) failures cannot make a peer degraded"
            case .unreachableNotAbove(let degraded, let unreachable):
                "unreachable after \(unreachable) failures is not later than degraded after \(degraded)"
            case .invalidInterval(let interval): "\(interval) is not a health interval"
            case .recoveryTooLow(let recovery): "\(recovery) successes cannot make a peer healthy"
            }
        return Refusal(
            .invalid, code: "health.invalidThresholds", reason: reason,
            remedy: "use 1 ≤ degraded < unreachable, an interval from 1 ms to 1 day and a recovery of 1 or more",
            step: .health)
    }
}
