import FederationModel
import Testing

@testable import FederationService

@Suite("Notices that this server is back")
struct ReturnNoticesTests {
    private static let beta = ServerID(unchecked: "beta")

    /// The pauses, in seconds, between the notices of one peer that is dialled in vain all the time.
    private static func pauses(_ notices: inout ReturnNotices, isTaken: Bool, from start: Int = 0, count: Int) -> [Int]
    {
        var last: Int?
        var found: [Int] = []
        var second = start
        while found.count < count {
            if notices.begin(beta, at: Instant(nanoseconds: Int64(second) * 1_000_000_000)) {
                notices.ended(beta, isTaken: isTaken)
                if let last { found.append(second - last) }
                last = second
            }
            second += 1
        }
        return found
    }

    @Test("come ever more seldom to a peer that hears them, and begin anew after a channel")
    func taken() {
        var notices = ReturnNotices()
        let expected = [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]
        let first = Self.pauses(&notices, isTaken: true, count: 9)
        #expect(first == expected)
        notices.forget(Self.beta)
        let second = Self.pauses(&notices, isTaken: true, from: 20_000, count: 2)
        #expect(second == [30, 60])
    }

    @Test("never wait for long where the last one was lost")
    func lost() {
        var notices = ReturnNotices()
        let pauses = Self.pauses(&notices, isTaken: false, count: 6)
        #expect(pauses == [30, 60, 120, 240, 240, 240])
    }

    @Test("are under way to eight peers at one time, and to each once")
    func bounded() {
        var notices = ReturnNotices()
        let now = Instant(nanoseconds: 0)
        let peers = (0...Limits.returnNotices).map { ServerID(unchecked: "p\($0)") }
        let begun = peers.map { notices.begin($0, at: now) }
        #expect(begun == Array(repeating: true, count: Limits.returnNotices) + [false])
        let later = Instant(nanoseconds: 100_000_000_000)
        let isRepeated = notices.begin(peers[0], at: later)
        #expect(!isRepeated, "the first is still on its way")
        notices.ended(peers[1], isTaken: true)
        let isNext = notices.begin(peers[Limits.returnNotices], at: later)
        #expect(isNext)
    }

    @Test("are numbered upwards, whoever they go to")
    func numbered() {
        var notices = ReturnNotices()
        let numbers = [notices.nextSequence(), notices.nextSequence()]
        #expect(numbers == [1, 2])
    }
}
