/// An IPv4 or IPv6 address, without port and zone.
///
/// Two texts of one address are equal; `::ffff:192.0.2.1` and `192.0.2.1` are not, because they are two addresses:
/// ``unmapped`` makes them one, as every comparison with a list must.
public struct NetworkAddress: Hashable, Comparable, Sendable, Codable, LosslessStringConvertible {
    public let isIPv6: Bool
    /// The address as a number in network order; an IPv4 address fills the low 32 bits.
    public let value: UInt128

    init(isIPv6: Bool, value: UInt128) {
        self.isIPv6 = isIPv6
        self.value = value
    }

    /// An IPv4 address.
    public init(ipv4 value: UInt32) {
        self.init(isIPv6: false, value: UInt128(value))
    }

    /// An IPv6 address.
    public init(ipv6 value: UInt128) {
        self.init(isIPv6: true, value: value)
    }

    /// 4 or 16 bytes in network order; nil for another count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.init(isIPv6: bytes.count == 16, value: bytes.reduce(0) { $0 << 8 | UInt128($1) })
    }

    /// 4 or 16 bytes in network order.
    public var bytes: [UInt8] {
        stride(from: bitCount - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> UInt128($0)) }
    }

    /// 32 or 128.
    public var bitCount: Int { isIPv6 ? 128 : 32 }

    /// The IPv4 address that an IPv4-mapped one (`::ffff:0:0/96`, RFC 4291 §2.5.5.2) stands for; any other as it is. A
    /// socket that listens on both families shows its IPv4 callers mapped.
    public var unmapped: NetworkAddress {
        guard isIPv6, value >> 32 == 0xFFFF else { return self }
        return NetworkAddress(ipv4: UInt32(truncatingIfNeeded: value))
    }

    /// Whether whoever calls from the address is on this machine: `127.0.0.0/8`, mapped or not, and `::1`. An address that
    /// only carries such a one (NAT64, 6to4) is not, whatever its ``kind``.
    public var isLoopback: Bool {
        let address = unmapped
        return address.isIPv6 ? address.value == 1 : address.value >> 24 == 127
    }

    /// What one caller usually has to themselves, and is counted by wherever so much is allowed of an address: an IPv4
    /// address, or the 64 bits of an IPv6 one that a network is given (RFC 6177), with all the addresses behind them.
    public var network: AddressRange {
        let address = unmapped
        guard address.isIPv6 else { return AddressRange(address) }
        let base = NetworkAddress(ipv6: (address.value >> 64) << 64)
        return AddressRange(base: base, prefix: 64) ?? AddressRange(address)
    }

    /// IPv4 before IPv6, then by number.
    public static func < (left: Self, right: Self) -> Bool {
        left.isIPv6 == right.isIPv6 ? left.value < right.value : !left.isIPv6
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = NetworkAddress(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an IPv4 or IPv6 address")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension Host {
    /// The address, when the host is one and not a name that must be resolved.
    public var address: NetworkAddress? { NetworkAddress(name) }
}
