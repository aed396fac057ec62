import FederationModel
import Testing

@testable import FederationService

@Suite("Peers that fail for long")
struct FailingPeersTests {
    private let beta = ServerID(unchecked: "beta")
    private let gamma = ServerID(unchecked: "gamma")

    private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    @Test("one is told of after an hour and then every day, and anew when it failed again")
    func warnings() {
        var failing = FailingPeers()
        var told: [Int64] = []
        for minute in 0...(3 * 24 * 60) where !failing.look(at: [beta], at: at(Int64(minute) * 60)).isEmpty {
            told.append(Int64(minute))
        }
        #expect(told == [60, 1_440, 2_880, 4_320])
        // Reached once: the count begins anew.
        let start: Int64 = 4 * 24 * 3_600
        #expect(failing.look(at: [], at: at(start)).isEmpty)
        #expect(failing.look(at: [beta, gamma], at: at(start + 60)).isEmpty)
        #expect(failing.look(at: [gamma, beta], at: at(start + 3_660)).map(\.0) == [beta, gamma])
    }

    @Test("looks are a minute apart")
    func pace() {
        var failing = FailingPeers()
        #expect(failing.isDue(at: at(0)) == true)
        #expect(failing.isDue(at: at(59)) == false)
        #expect(failing.isDue(at: at(60)) == true)
        #expect(failing.isDue(at: at(61)) == false)
    }
}
