import FederationModel
import Testing

@Suite("Which addresses may be turned to")
struct AddressPolicyTests {
    struct Block: CustomTestStringConvertible, Sendable {
        let first: String
        let last: String
        let kind: AddressKind
        /// Of the addresses just before the first and just behind the last; nil where there is none.
        let before: AddressKind?
        let behind: AddressKind?

        init(
            _ first: String, _ last: String, _ kind: AddressKind, before: AddressKind? = .global,
            behind: AddressKind? = .global
        ) {
            (self.first, self.last, self.kind, self.before, self.behind) = (first, last, kind, before, behind)
        }

        var testDescription: String { "\(first)–\(last) \(kind)" }
    }

    /// IANA IPv4 and IPv6 Special-Purpose Address Registries, with the multicast and the reserved blocks.
    static let blocks: [Block] = [
        Block("0.0.0.0", "0.0.0.0", .unspecified, before: nil, behind: .thisNetwork),
        Block("0.0.0.1", "0.255.255.255", .thisNetwork, before: .unspecified),
        Block("10.0.0.0", "10.255.255.255", .privateUse),
        Block("100.64.0.0", "100.127.255.255", .shared),
        Block("127.0.0.0", "127.255.255.255", .loopback),
        Block("169.254.0.0", "169.254.255.255", .linkLocal),
        Block("172.16.0.0", "172.31.255.255", .privateUse),
        Block("192.0.0.0", "192.0.0.8", .reserved),
        Block("192.0.0.9", "192.0.0.10", .global, before: .reserved, behind: .reserved),
        Block("192.0.0.11", "192.0.0.255", .reserved),
        Block("192.0.2.0", "192.0.2.255", .documentation),
        Block("192.88.99.0", "192.88.99.255", .reserved),
        Block("192.168.0.0", "192.168.255.255", .privateUse),
        Block("198.18.0.0", "198.19.255.255", .benchmarking),
        Block("198.51.100.0", "198.51.100.255", .documentation),
        Block("203.0.113.0", "203.0.113.255", .documentation),
        Block("224.0.0.0", "239.255.255.255", .multicast, behind: .reserved),
        Block("240.0.0.0", "255.255.255.255", .reserved, before: .multicast, behind: nil),
        Block("::", "::", .unspecified, before: nil, behind: .loopback),
        Block("::1", "::1", .loopback, before: .unspecified, behind: .reserved),
        Block("::2", "::fffe:ffff:ffff", .reserved, before: .loopback, behind: .unspecified),
        Block("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", .privateUse, before: .reserved, behind: .reserved),
        Block("100::", "100::ffff:ffff:ffff:ffff", .reserved, before: .reserved, behind: .reserved),
        Block("2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .global, before: .reserved, behind: .unspecified),
        Block("2001:1::1", "2001:1::3", .global, before: .reserved, behind: .reserved),
        Block("2001:1::4", "2001:1:ffff:ffff:ffff:ffff:ffff:ffff", .reserved, behind: .benchmarking),
        Block("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", .benchmarking, before: .reserved, behind: .reserved),
        Block("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", .global, before: .reserved, behind: .reserved),
        Block(
            "2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", .global, before: .reserved, behind: .reserved),
        Block("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", .reserved, before: .reserved),
        Block("2001:20::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", .global, before: .reserved, behind: .reserved),
        Block("2001:40::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", .reserved),
        Block("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", .documentation),
        Block("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", .documentation),
        Block("4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .reserved, behind: .privateUse),
        Block("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .reserved, before: .reserved, behind: .reserved),
        Block("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .privateUse, before: .reserved, behind: .reserved),
        Block("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .linkLocal, before: .reserved, behind: .privateUse),
        Block("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .privateUse, before: .linkLocal, behind: .multicast),
        Block("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .multicast, before: .privateUse, behind: nil),
    ]

    @Test("a special block begins and ends where IANA says", arguments: blocks)
    func edges(_ block: Block) throws {
        let first = try #require(NetworkAddress(block.first))
        let last = try #require(NetworkAddress(block.last))
        #expect(first.kind == block.kind)
        #expect(last.kind == block.kind)
        func neighbour(_ address: NetworkAddress, _ step: Int) -> NetworkAddress? {
            let value = step < 0 ? address.value &- 1 : address.value &+ 1
            let bytes = (0..<(address.bitCount / 8)).reversed().map {
                UInt8(truncatingIfNeeded: value >> UInt128($0 * 8))
            }
            return NetworkAddress(bytes: bytes)
        }
        if let before = block.before { #expect(neighbour(first, -1)?.kind == before, "before \(first)") }
        if let behind = block.behind { #expect(neighbour(last, 1)?.kind == behind, "behind \(last)") }
    }

    static let embedding: [(String, AddressKind)] = [
        ("::ffff:127.0.0.1", .loopback), ("::ffff:10.0.0.1", .privateUse), ("::ffff:169.254.169.254", .linkLocal),
        ("::ffff:8.8.8.8", .global), ("::ffff:0.0.0.0", .unspecified),
        ("64:ff9b::127.0.0.1", .loopback), ("64:ff9b::192.168.1.1", .privateUse), ("64:ff9b::8.8.8.8", .global),
        ("64:ff9b:0:0:0:1::", .reserved),
        ("2002:7f00:1::", .loopback), ("2002:a00:1::1", .privateUse), ("2002:808:808::1", .global),
        ("2002:6440:1::", .shared), ("2002:e000:1::", .multicast),
        // Teredo: a public server and client; a private client (10.0.0.1 with every bit turned over); a private server.
        ("2001:0:808:808:0:0:f7f7:f7f7", .global), ("2001:0:808:808:0:0:f5ff:fffe", .privateUse),
        ("2001:0:a00:1:0:0:f7f7:f7f7", .privateUse),
        // IPv4-compatible addresses are no more (RFC 4291 §2.5.5.1).
        ("::8.8.8.8", .reserved), ("::127.0.0.1", .reserved),
    ]

    @Test("an address that carries an IPv4 address is of that address's kind", arguments: embedding)
    func carried(_ text: String, _ kind: AddressKind) throws {
        #expect(try #require(NetworkAddress(text)).kind == kind)
    }

    /// Addresses in `64:ff9b:1::/48` and whether they carry 198.51.100.7 (RFC 6052 §2.2).
    static let local: [(String, Bool)] = [
        ("64:ff9b:1:c633:64:700::", true), ("64:ff9b:1:abc6:33:6407::", true), ("64:ff9b:1:abcd:c6:3364:700:0", true),
        ("64:ff9b:1::c633:6407", true), ("64:ff9b:1:abcd:0:1:198.51.100.7", true),
        ("64:ff9b:1:c633:64:800::", false), ("64:ff9b:1:abc6:33:6408::", false),
        ("64:ff9b:1:abcd:c6:3364:800:0", false), ("64:ff9b:1::c633:6408", false),
        ("64:ff9b:2:c633:64:700::", false), ("64:ff9b:2::c633:6407", false),
    ]

    @Test(
        "what a local network's NAT64 carries is denied with its IPv4 address, whatever the length of the prefix there",
        arguments: local)
    func localNAT64(_ text: String, _ isCarried: Bool) throws {
        let address = try #require(NetworkAddress(text))
        let denied = try #require(AddressRange("198.51.100.7"))
        #expect(denied.reaches(address) == isCarried)
        #expect(AddressPolicy.allBut([denied]).permits(address) != isCarried)
        #expect(!denied.contains(address))
    }

    @Test("by default only public addresses, with leave also local ones, and never the rest")
    func policies() {
        for kind in AddressKind.allCases {
            #expect(AddressPolicy.publicOnly.permits(kind) == (kind == .global))
            let isLocal = [.global, .loopback, .privateUse, .linkLocal].contains(kind)
            #expect(AddressPolicy(allowsPrivate: true).permits(kind) == isLocal)
        }
    }

    @Test("a denied block is permitted by nobody, and the rest is judged as before")
    func denied() throws {
        let denied = [try #require(AddressRange("8.8.8.0/24")), try #require(AddressRange("10.0.0.0/8"))]
        let policies = [
            AddressPolicy.publicOnly.denying(denied), AddressPolicy(allowsPrivate: true, denied: denied),
            .allBut(denied), AddressPolicy.allBut([denied[0]]).denying([denied[1]]),
        ]
        // Also where the address carries a denied one in it: NAT64, 6to4, Teredo's server and client.
        for text in [
            "8.8.8.8", "::ffff:8.8.8.8", "10.1.2.3", "64:ff9b::808:808", "2002:808:808::1", "2001:0:808:808::",
            "2001:0:101:101:0:0:f7f7:f7f7",
        ] {
            let address = try #require(NetworkAddress(text))
            #expect(policies.allSatisfy { !$0.permits(address) })
        }
        #expect(policies.map { $0.permits(NetworkAddress(ipv4: 0x0808_0400)) } == [true, true, true, true])
        #expect(policies.map { $0.permits(NetworkAddress(ipv4: 0x7F00_0001)) } == [false, true, true, true])
        #expect(policies.map { $0.permits(NetworkAddress(ipv4: 0xE000_0001)) } == [false, false, true, true])
        let host = try #require(Host("a.example"))
        let address = try #require(NetworkAddress("8.8.8.8"))
        do throws(Refusal) {
            try policies[2].check([NetworkAddress(ipv4: 0x0101_0101), address], of: host)
            Issue.record("it was permitted")
        } catch {
            #expect(error.code == "address.denied" && error.reason.contains("a.example (8.8.8.8)"), "\(error)")
        }
    }

    static let checks: [(host: String, addresses: [String], isPermitted: Bool, says: String)] = [
        ("example.org", ["8.8.8.8", "2606:4700::1"], true, ""),
        ("example.org", ["8.8.8.8", "10.0.0.1"], false, "example.org (10.0.0.1) is a private address"),
        ("example.org", ["::ffff:127.0.0.1"], false, "example.org (::ffff:127.0.0.1) is a loopback address"),
        ("127.0.0.1", ["127.0.0.1"], false, "127.0.0.1 is a loopback address"),
        ("[::1]", ["::1"], false, "[::1] is a loopback address"),
        ("a.example", ["0.0.0.0"], false, "a.example (0.0.0.0) is the unspecified address"),
    ]

    @Test("one address that may not be turned to spoils a name", arguments: checks)
    func names(_ host: String, _ addresses: [String], _ isPermitted: Bool, _ says: String) throws {
        let host = try #require(Host(host))
        let addresses = try addresses.map { try #require(NetworkAddress($0)) }
        do throws(Refusal) {
            try AddressPolicy.publicOnly.check(addresses, of: host)
            #expect(isPermitted)
        } catch {
            #expect(!isPermitted)
            #expect(error.code == "address.refused")
            #expect(error.reason.hasPrefix(says))
            #expect(error.remedy.contains("network.allowPrivate") == (says.contains("0.0.0.0") == false))
        }
    }
}
