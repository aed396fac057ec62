/// A block of addresses in CIDR form (RFC 4632 §3.1): `10.0.0.0/8`, `2001:db8::/32`; an address alone is a block of one.
public struct AddressRange: Hashable, Comparable, Sendable, Codable, LosslessStringConvertible {
    /// The first address of the block.
    public let base: NetworkAddress
    /// Leading bits that all addresses of the block share: 0 to 32 or 128.
    public let prefix: Int

    /// nil when `prefix` does not fit the family or `base` has bits behind it: `10.1.2.3/8` means either a block or an
    /// address, and nobody can tell which. A block of IPv4-mapped addresses is the block of the IPv4 addresses.
    public init?(base: NetworkAddress, prefix: Int) {
        guard (0...base.bitCount).contains(prefix), base.value & ~Self.mask(prefix, base.bitCount) == 0 else {
            return nil
        }
        let unmapped = base.unmapped
        let isMapped = unmapped != base && prefix >= 96
        self.base = isMapped ? unmapped : base
        self.prefix = isMapped ? prefix - 96 : prefix
    }

    /// The block of one address.
    public init(_ address: NetworkAddress) {
        base = address.unmapped
        prefix = base.bitCount
    }

    /// Parses `address/prefix` or `address`.
    public init?(_ description: String) {
        guard description.utf8.count <= 49 else { return nil }
        let parts = description.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let base = NetworkAddress(String(parts[0])) else { return nil }
        guard parts.count == 2 else {
            self.init(base)
            return
        }
        let digits = parts[1].utf8
        guard (1...3).contains(digits.count), digits.count == 1 || digits.first != 0x30,
            digits.allSatisfy({ (0x30...0x39).contains($0) }), let prefix = Int(parts[1])
        else { return nil }
        self.init(base: base, prefix: prefix)
    }

    public var description: String { prefix == base.bitCount ? "\(base)" : "\(base)/\(prefix)" }

    /// The last address of the block.
    public var last: NetworkAddress {
        let family = NetworkAddress(isIPv6: base.isIPv6, value: 0).bitCount
        let all = Self.mask(family, family)
        return NetworkAddress(isIPv6: base.isIPv6, value: base.value | (all & ~Self.mask(prefix, family)))
    }

    /// Whether the address lies in the block; an IPv4-mapped one is looked up as the IPv4 address that it is.
    public func contains(_ address: NetworkAddress) -> Bool {
        let address = address.unmapped
        return address.isIPv6 == base.isIPv6 && address.value & Self.mask(prefix, base.bitCount) == base.value
    }

    /// Whether what is sent to the address ends in the block: the address lies in it, or an IPv4 address that it carries does
    /// (NAT64, also that of a local network, 6to4, Teredo).
    public func reaches(_ address: NetworkAddress) -> Bool {
        contains(address) || address.embedded?.contains(where: contains) == true
            || address.embeddedLocally.contains(where: contains)
    }

    /// By the first address, the larger block first.
    public static func < (left: Self, right: Self) -> Bool {
        left.base == right.base ? left.prefix < right.prefix : left.base < right.base
    }

    /// `prefix` one bits and then zeros, in the low `bits` bits.
    private static func mask(_ prefix: Int, _ bits: Int) -> UInt128 {
        let all = UInt128.max >> UInt128(128 - bits)
        return prefix == 0 ? 0 : all & ~(all >> UInt128(prefix))
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = AddressRange(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a block of addresses: 10.0.0.0/8, 2001:db8::/32 or one address")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
