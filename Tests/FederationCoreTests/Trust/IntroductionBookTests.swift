import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

@Suite("IntroductionBook")
struct IntroductionBookTests {
    private static func heard(_ introducer: String, _ subject: String, at seconds: Int64 = 0) -> HeardIntroduction {
        let issued = Timestamp(seconds: 1_000 + seconds)
        return HeardIntroduction(
            introduction: Introduction(
                issuer: ServerID(unchecked: introducer), subject: ServerID(unchecked: subject),
                key: TableSamples.key(1), endpoint: TableSamples.endpoint(), issuedAt: issued,
                expiresAt: issued + .seconds(60)),
            heardAt: issued)
    }

    @Test("keeps the newest word of each introducer")
    func newest() {
        var book = IntroductionBook()
        #expect(book.hear(Self.heard("b", "x", at: 5)) == .kept)
        #expect(book.hear(Self.heard("b", "x", at: 5)) == .known)
        #expect(book.hear(Self.heard("b", "x", at: 4)) == .known)
        #expect(book.hear(Self.heard("b", "x", at: 6)) == .kept)
        #expect(book.hear(Self.heard("a", "x", at: 1)) == .kept)
        #expect(book.count == 2)
        #expect(book.about(ServerID(unchecked: "x")) == [Self.heard("a", "x", at: 1), Self.heard("b", "x", at: 6)])
        #expect(book.forget { $0.introducer.rawValue == "b" } == [Self.heard("b", "x", at: 6)])
        #expect(book.all == [Self.heard("a", "x", at: 1)])
        #expect(book.forget { _ in true }.count == 1 && book.count == 0 && book.subjects.isEmpty)
    }

    @Test("one introducer, and all together, can fill only their own places")
    func bounds() {
        var book = IntroductionBook()
        for introducer in 0..<(Limits.introductions / Limits.introductionsPerIntroducer) {
            for subject in 0..<Limits.introductionsPerIntroducer {
                #expect(book.hear(Self.heard("i\(introducer)", "s\(introducer)-\(subject)")) == .kept)
            }
            #expect(book.hear(Self.heard("i\(introducer)", "more")) == .full)
        }
        #expect(book.count == Limits.introductions)
        #expect(book.hear(Self.heard("late", "more")) == .full)
        #expect(book.hear(Self.heard("i0", "s0-0", at: 1)) == .kept)
        _ = book.forget { $0.introducer.rawValue == "i0" }
        #expect(book.hear(Self.heard("late", "more")) == .kept)
        #expect(book.hear(Self.heard("i0", "again")) == .kept)
    }
}
