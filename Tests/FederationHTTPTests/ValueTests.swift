import FederationModel
import NIOCore
import Testing

@testable import FederationHTTP

@Suite("Values of the API")
struct ValueTests {
    @Test(
        "a time is written as RFC 3339 says",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (Int64.max, "9999-12-31T23:59:59.999Z"),
            (Int64.min, "0000-01-01T00:00:00.000Z"), (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
        ] as [(Int64, String)])
    func time(_ milliseconds: Int64, _ text: String) {
        #expect(Timestamp(milliseconds: milliseconds).rfc3339 == text)
    }

    @Test(
        "a Range field asks for what RFC 9110 says",
        arguments: [
            (nil, .whole), ("bytes=0-0", .part(0..<1)), ("bytes=0-9", .part(0..<10)), ("bytes=5-", .part(5..<10)),
            ("BYTES=5-7", .part(5..<8)), ("bytes=-3", .part(7..<10)), ("bytes=-99", .part(0..<10)),
            ("bytes=9-99", .part(9..<10)), ("bytes=0-99999999999999999999", .part(0..<10)),
            ("bytes=10-", .unsatisfiable),
            ("bytes=99999999999999999999-", .unsatisfiable), ("bytes=-0", .unsatisfiable), ("bytes=7-5", .whole),
            ("bytes=0-1,4-5", .whole), ("lines=0-1", .whole), ("bytes=", .whole), ("bytes=-", .whole),
            ("bytes=a-b", .whole),
            ("bytes=1-2-3", .whole), ("0-1", .whole), ("bytes= 0-1", .whole), ("bytes=+1-2", .whole),
        ] as [(String?, ByteRange)])
    func range(_ field: String?, _ range: ByteRange) {
        #expect(ByteRange(field, size: 10) == range)
    }

    @Test("nothing can be taken from nothing", arguments: ["bytes=0-", "bytes=0-0", "bytes=-1"])
    func emptyRange(_ field: String) {
        #expect(ByteRange(field, size: 0) == .unsatisfiable)
    }

    @Test(
        "If-None-Match is compared weakly",
        arguments: [
            ("TAG", true), ("W/TAG", true), ("*", true), ("\"other\", TAG", true), (" TAG ", true),
            ("\"other\"", false),
            ("", false), ("TAGx", false), ("w/TAG", false),
        ])
    func entityTag(_ field: String, _ isNamed: Bool) {
        let tag = EntityTag(ContentHash.of([1, 2, 3]))
        #expect(tag.isNamed(byIfNoneMatch: [field.replacing("TAG", with: tag.text)]) == isNamed)
    }

    @Test(
        "an address is local only on the loopback, and IPv6 is counted by its network",
        arguments: [
            ("127.0.0.1", true, "127.0.0.1"), ("127.9.9.9", true, "127.9.9.9"), ("192.0.2.1", false, "192.0.2.1"),
            ("::1", true, "::/64"), ("::ffff:127.0.0.1", true, "127.0.0.1"),
            ("::ffff:192.0.2.1", false, "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", false, "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::", false, "2001:db8:1:2::/64"), ("64:ff9b::7f00:1", false, "64:ff9b::/64"),
        ])
    func remote(_ address: String, _ isLoopback: Bool, _ network: String) throws {
        let remote = RemoteAddress(try SocketAddress(ipAddress: address, port: 1))
        #expect(remote.isLoopback == isLoopback)
        #expect(remote.network == network)
    }

    @Test(
        "connections that have not asked anything are counted by address, of IPv6 by /64, and freed",
        arguments: [
            (["192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
            (["2001:db8:1:2::1", "2001:db8:1:2:f::"], "2001:db8:1:3::1"),
        ])
    func newcomers(own: [String], other: String) throws {
        let newcomers = Newcomers(perAddress: 2)
        let own = try own.map { try SocketAddress(ipAddress: $0, port: 1) }
        let first = try #require(newcomers.enter(own[0]))
        #expect(newcomers.enter(own[1]) == first)
        #expect(newcomers.enter(own[0]) == nil && newcomers.enter(own[1]) == nil)
        #expect(newcomers.enter(try SocketAddress(ipAddress: other, port: 1)) != nil && newcomers.enter(nil) != nil)
        newcomers.leave(first)
        #expect(newcomers.enter(own[1]) != nil && newcomers.enter(own[0]) == nil)
    }

    @Test("an address that is not known is nobody's")
    func unknownRemote() {
        #expect(!RemoteAddress(nil).isLoopback)
    }

    @Test(
        "percent-encoding is decoded once",
        arguments: [
            ("plain", "plain"), ("ada%40alpha", "ada@alpha"), ("%2541", "%41"), ("a+b", "a+b"), ("%", nil), ("%4", nil),
            ("%zz", nil), ("%ff", nil), ("%C3%A4", "ä"),
        ] as [(String, String?)])
    func percent(_ text: String, _ decoded: String?) {
        #expect(percentDecoded(text) == decoded)
    }
}
