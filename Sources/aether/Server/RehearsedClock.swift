import FederationModel
import FederationService
import Foundation

/// A clock that can be set wrong while the server runs, to rehearse what that does: peers correct for a clock that was wrong
/// when they shook hands, but not for one that jumps afterwards.
struct RehearsedClock: FederationClock {
    let clock: SystemClock
    /// Holds the seconds that are added to the wall clock; none while it is not there.
    let file: String

    func now() -> Now {
        let now = clock.now()
        guard let data = FileManager.default.contents(atPath: file),
            let seconds = Double(String(decoding: data, as: UTF8.self)), abs(seconds) <= 86_400
        else { return now }
        return Now(instant: now.instant, timestamp: now.timestamp + .nanoseconds(Int64(seconds * 1e9)))
    }

    func sleep(until deadline: Instant) async throws {
        try await clock.sleep(until: deadline)
    }
}
