/// What an address is for, by IANA's registries of special-purpose addresses (RFC 6890 and its updates): who may be
/// behind it as seen from this machine.
public enum AddressKind: String, Hashable, Sendable, Codable, CaseIterable {
    /// A host of the public internet.
    case global
    /// This machine: `127.0.0.0/8`, `::1`.
    case loopback
    /// A local network: RFC 1918, RFC 4193, the old site-local `fec0::/10`, NAT64 of a local network (RFC 8215).
    case privateUse
    /// A host on the same link: `169.254.0.0/16`, where clouds answer with credentials, and `fe80::/10`.
    case linkLocal
    /// Behind a provider's address translation: `100.64.0.0/10` (RFC 6598).
    case shared
    /// `0.0.0.0` and `::`: no address, and on many systems this machine.
    case unspecified
    /// `0.0.0.0/8`: "this network".
    case thisNetwork
    /// Blocks for examples in texts.
    case documentation
    /// Blocks for measurements.
    case benchmarking
    case multicast
    /// Everything else that no public host may have: IETF's protocol assignments, what is kept for the future, broadcast.
    case reserved
}

extension NetworkAddress {
    /// What the address is for. An address that carries an IPv4 address in it (IPv4-mapped, NAT64, 6to4, Teredo) is of the
    /// kind of that address, because that is where its packets end.
    public var kind: AddressKind {
        isIPv6 ? ipv6Kind : Self.ipv4Kind(UInt32(truncatingIfNeeded: value))
    }

    private static func ipv4Kind(_ value: UInt32) -> AddressKind {
        let address = NetworkAddress(ipv4: value)
        if value == 0 { return .unspecified }
        return ipv4Blocks.first { $0.range.contains(address) }?.kind ?? .global
    }

    private var ipv6Kind: AddressKind {
        switch value {
        case 0: return .unspecified
        case 1: return .loopback
        default: break
        }
        if let embedded = embedded {
            return embedded.first { $0.kind != .global }?.kind ?? .global
        }
        if let block = Self.ipv6Blocks.first(where: { $0.range.contains(self) }) { return block.kind }
        // IANA has given out nothing beyond 2000::/3 for hosts of the internet (RFC 4291 §2.4).
        return value >> 125 == 1 ? .global : .reserved
    }

    /// The IPv4 addresses in an IPv6 address whose packets are carried to them; nil for other addresses.
    var embedded: [NetworkAddress]? {
        func address(endingAt bit: Int) -> NetworkAddress {
            NetworkAddress(ipv4: UInt32(truncatingIfNeeded: value >> UInt128(bit)))
        }
        // IPv4-mapped and NAT64's well-known prefix (RFC 6052 §2.1).
        if value >> 32 == 0xFFFF || value >> 32 == 0x0064_FF9B << 64 { return [address(endingAt: 0)] }
        // 6to4 (RFC 3056 §2).
        if value >> 112 == 0x2002 { return [address(endingAt: 80)] }
        // Teredo (RFC 4380 §4): the server, and the client with every bit turned over.
        if value >> 96 == 0x2001_0000 {
            return [address(endingAt: 64), NetworkAddress(ipv4: ~UInt32(truncatingIfNeeded: value))]
        }
        return nil
    }

    /// The IPv4 addresses that an address of a local network's NAT64 (`64:ff9b:1::/48`, RFC 8215) may carry; empty for other
    /// addresses. How long the prefix is in that network cannot be seen from outside, so every length that fits counts.
    var embeddedLocally: [NetworkAddress] {
        guard value >> 80 == 0x0064_FF9B_0001 else { return [] }
        // RFC 6052 §2.2: bits 64 to 71 stay out of it.
        return [48, 56, 64, 96].map { (prefix: Int) in
            let before = max(0, 64 - prefix)
            let behind = 32 - before
            let start = prefix == 96 ? 96 : 72
            let high = value >> 64 & (1 << UInt128(before) - 1)
            let low = value >> UInt128(128 - start - behind) & (1 << UInt128(behind) - 1)
            return NetworkAddress(ipv4: UInt32(truncatingIfNeeded: high << UInt128(behind) | low))
        }
    }

    private struct Block: Sendable {
        let range: AddressRange
        let kind: AddressKind

        init(_ text: String, _ kind: AddressKind) {
            guard let range = AddressRange(text) else { preconditionFailure("'\(text)' is not a block of addresses") }
            self.range = range
            self.kind = kind
        }
    }

    /// IANA IPv4 Special-Purpose Address Registry; exceptions stand before the block that they are taken out of.
    private static let ipv4Blocks = [
        Block("0.0.0.0/8", .thisNetwork),
        Block("10.0.0.0/8", .privateUse),
        Block("100.64.0.0/10", .shared),
        Block("127.0.0.0/8", .loopback),
        Block("169.254.0.0/16", .linkLocal),
        Block("172.16.0.0/12", .privateUse),
        Block("192.0.0.9/32", .global),
        Block("192.0.0.10/32", .global),
        Block("192.0.0.0/24", .reserved),
        Block("192.0.2.0/24", .documentation),
        Block("192.88.99.0/24", .reserved),
        Block("192.168.0.0/16", .privateUse),
        Block("198.18.0.0/15", .benchmarking),
        Block("198.51.100.0/24", .documentation),
        Block("203.0.113.0/24", .documentation),
        Block("224.0.0.0/4", .multicast),
        Block("240.0.0.0/4", .reserved),
    ]

    /// IANA IPv6 Special-Purpose Address Registry within 2000::/3, and what lies outside of it and has a name.
    private static let ipv6Blocks = [
        Block("64:ff9b:1::/48", .privateUse),
        Block("2001:1::1/128", .global),
        Block("2001:1::2/128", .global),
        Block("2001:1::3/128", .global),
        Block("2001:2::/48", .benchmarking),
        Block("2001:3::/32", .global),
        Block("2001:4:112::/48", .global),
        Block("2001:20::/28", .global),
        Block("2001:30::/28", .global),
        Block("2001::/23", .reserved),
        Block("2001:db8::/32", .documentation),
        Block("3fff::/20", .documentation),
        Block("fc00::/7", .privateUse),
        Block("fe80::/10", .linkLocal),
        Block("fec0::/10", .privateUse),
        Block("ff00::/8", .multicast),
    ]
}
