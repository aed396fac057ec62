import FederationModel

/// How long to wait before dialling again: doubling from ``Limits/dialBackoffMinimum`` to
/// ``Limits/dialBackoffMaximum``, of which the later half is left to chance, so that the peers of a server that
/// restarts do not return all at once.
enum DialBackoff {
    /// - Parameters:
    ///   - attempts: Failed attempts in a row, from 1.
    ///   - chance: From 0 up to, not including, 1.
    static func pause(after attempts: Int, chance: Double) -> Duration {
        precondition(attempts > 0, "there is nothing to wait for before the first attempt")
        let doublings = min(attempts - 1, 16)
        let whole = min(Limits.dialBackoffMinimum * (1 << doublings), Limits.dialBackoffMaximum)
        return whole / 2 + whole / 2 * chance
    }
}
