import FederationModel
import Testing

@testable import FederationCore

@Suite("RevocationRelays")
struct RevocationRelaysTests {
    private static let start = Instant(nanoseconds: 1_000)
    private static let peer = ServerID(unchecked: "peer")
    private static let stranger = ServerID(unchecked: "stranger")

    /// As many strangers as are taken in at one time.
    private static func flooded() -> RevocationRelays {
        var relays = RevocationRelays()
        for number in 0..<Limits.revocationRelays {
            let isAdmitted = relays.admit("x", of: ServerID(unchecked: "s\(number)"), isPeer: false, at: start)
            #expect(isAdmitted)
        }
        return relays
    }

    @Test("strangers in great number keep only strangers out, until the pause is over")
    func full() {
        var relays = Self.flooded()
        let refused = relays.admit("a", of: Self.stranger, isPeer: false, at: Self.start)
        let admitted = relays.admit("b", of: Self.peer, isPeer: true, at: Self.start)
        #expect(!refused && admitted)
        let later = relays.admit("a", of: Self.stranger, isPeer: false, at: Self.start + Limits.revocationPause)
        #expect(later)
    }

    @Test("of a peer the newest goes out when the pause is over, however many strangers there are")
    func newest() {
        var relays = Self.flooded()
        let sent = ["1", "2", "3"].map { relays.admit($0, of: Self.peer, isPeer: true, at: Self.start) }
        #expect(sent == [true, false, false])
        #expect(relays.nextDeadline == Self.start + Limits.revocationPause)
        let due = relays.takeDue(at: Self.start + Limits.revocationPause)
        #expect(due.map(\.server) == [Self.peer] && due.map(\.compact) == ["3"])
        #expect(relays.nextDeadline == nil)
    }

    @Test("peers take no place from strangers")
    func peers() {
        var relays = RevocationRelays()
        for number in 0..<Limits.revocationRelays {
            _ = relays.admit("x", of: ServerID(unchecked: "p\(number)"), isPeer: true, at: Self.start)
        }
        let admitted = relays.admit("a", of: Self.stranger, isPeer: false, at: Self.start)
        #expect(admitted)
    }
}
