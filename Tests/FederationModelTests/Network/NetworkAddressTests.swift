import FederationModel
import Foundation
import Testing

@Suite("Network addresses")
struct NetworkAddressTests {
    static let texts: [(String, String?)] = [
        ("0.0.0.0", "0.0.0.0"), ("192.0.2.1", "192.0.2.1"), ("255.255.255.255", "255.255.255.255"),
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"),
        ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ("0001:02:3::", "1:2:3::"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"), ("::ffff:c000:201", "::ffff:192.0.2.1"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
        ("", nil), (".", nil), ("1.2.3", nil), ("1.2.3.4.5", nil), ("1.2.3.256", nil), ("01.2.3.4", nil),
        ("1.2.3.4 ", nil), ("0x7f.0.0.1", nil), ("2130706433", nil), ("127.1", nil), ("1..2.3", nil), ("1.2.3.", nil),
        (":", nil), (":::", nil), ("1:2:3:4:5:6:7", nil), ("1:2:3:4:5:6:7:8:9", nil), ("1::2::3", nil),
        ("1:2:3:4::5:6:7:8", nil), ("12345::", nil), ("g::", nil), ("::1%eth0", nil), ("[::1]", nil), ("::1.2.3", nil),
        ("1.2.3.4::", nil), ("::1.2.3.4:5", nil), (":1:2:3:4:5:6:7", nil), ("1:2:3:4:5:6:7:", nil), ("+1::", nil),
        ("١.٢.٣.٤", nil), ("::١", nil),
    ]

    @Test("a text is an address in one way or not at all", arguments: texts)
    func parsing(_ text: String, _ canonical: String?) {
        #expect(NetworkAddress(text)?.description == canonical)
        guard let canonical else { return }
        #expect(NetworkAddress(canonical) == NetworkAddress(text))
        #expect(NetworkAddress(text).flatMap { NetworkAddress(bytes: $0.bytes) } == NetworkAddress(text))
    }

    @Test("bytes are in network order, four or sixteen")
    func bytes() {
        #expect(NetworkAddress("192.0.2.1")?.bytes == [192, 0, 2, 1])
        #expect(NetworkAddress("::1")?.bytes == Array(repeating: 0, count: 15) + [1])
        #expect(NetworkAddress(bytes: [1, 2, 3]) == nil)
        #expect(NetworkAddress(bytes: [UInt8](repeating: 0, count: 17)) == nil)
        #expect(NetworkAddress("::ffff:192.0.2.1") != NetworkAddress("192.0.2.1"))
        #expect(NetworkAddress("::ffff:192.0.2.1")?.unmapped == NetworkAddress("192.0.2.1"))
        #expect(NetworkAddress("::fffe:192.0.2.1")?.unmapped.isIPv6 == true)
    }

    @Test(
        "a caller is on this machine only by a loopback address, not by one that carries it",
        arguments: [
            ("127.0.0.1", true), ("127.255.255.255", true), ("::1", true), ("::ffff:127.9.9.9", true),
            ("126.255.255.255", false), ("128.0.0.0", false), ("::", false), ("::2", false),
            ("64:ff9b::7f00:1", false), ("2002:7f00:1::", false), ("::ffff:128.0.0.1", false),
        ])
    func isLoopback(_ text: String, _ isLoopback: Bool) {
        #expect(NetworkAddress(text)?.isLoopback == isLoopback)
    }

    @Test(
        "a caller is counted by the IPv4 address or by 64 bits of the IPv6 one",
        arguments: [
            ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"), ("2001:db8:1:3::", "2001:db8:1:3::/64"),
            ("::1", "::/64"),
        ])
    func network(_ text: String, _ network: String) {
        #expect(NetworkAddress(text).map { "\($0.network)" } == network)
    }

    static let ranges: [(String, String?)] = [
        ("10.0.0.0/8", "10.0.0.0/8"), ("0.0.0.0/0", "0.0.0.0/0"), ("192.0.2.1/32", "192.0.2.1"), ("::/0", "::/0"),
        ("192.0.2.1", "192.0.2.1"), ("2001:DB8::/32", "2001:db8::/32"), ("::1/128", "::1"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"), ("::ffff:0:0/96", "0.0.0.0/0"), ("::ffff:1.2.3.4", "1.2.3.4"),
        ("10.0.0.1/8", nil), ("10.0.0.0/33", nil), ("10.0.0.0/", nil), ("10.0.0.0/08", nil), ("10.0.0.0/-1", nil),
        ("/8", nil), ("10.0.0.0/8/8", nil), ("::/129", nil), ("2001:db8::1/32", nil), ("10/8", nil),
        ("10.0.0.0/+8", nil),
        ("example.org/8", nil), ("10.0.0.0/٨", nil),
    ]

    @Test("a block has no bits behind its prefix", arguments: ranges)
    func block(_ text: String, _ canonical: String?) throws {
        #expect(AddressRange(text)?.description == canonical)
        guard canonical != nil, let range = AddressRange(text) else { return }
        let json = try JSONEncoder().encode([range])
        #expect(try JSONDecoder().decode([AddressRange].self, from: json) == [range])
    }

    @Test("a block holds its first and its last address and not their neighbours")
    func containing() throws {
        let range = try #require(AddressRange("10.16.0.0/12"))
        #expect(range.last.description == "10.31.255.255")
        for (text, isIn) in [
            ("10.16.0.0", true), ("10.31.255.255", true), ("10.15.255.255", false), ("10.32.0.0", false),
            ("::ffff:10.16.0.1", true), ("::10.16.0.1", false),
        ] {
            #expect(range.contains(try #require(NetworkAddress(text))) == isIn, "\(text)")
        }
        #expect(try #require(AddressRange("::/0")).contains(try #require(NetworkAddress("1.2.3.4"))) == false)
    }
}
