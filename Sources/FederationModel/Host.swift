/// The host part of an address: a DNS name, an IPv4 address or an IPv6 address (RFC 3986 §3.2.2, without registered
/// names in other scripts: those are written in their `xn--` form).
public struct Host: Hashable, Comparable, Sendable, Codable, LosslessStringConvertible {
    /// As in a URL, without the brackets of an IPv6 literal, in lower case.
    public let name: String
    /// Whether the host is an IPv6 literal, which stands in brackets before a port.
    public let isIPv6: Bool

    /// Parses `example.org`, `127.0.0.1` or `[::1]`.
    public init?(_ description: String) {
        let bytes = Array(description.utf8)
        // The bound comes before the work; ASCII, because the Kelvin sign becomes a `k` in lower case.
        guard bytes.count <= Limits.hostBytes, bytes.allSatisfy({ $0 < 0x80 }) else { return nil }
        if bytes.first == 0x5B {
            guard bytes.count > 2, bytes.last == 0x5D else { return nil }
            let inner = String(decoding: bytes[1..<(bytes.count - 1)], as: UTF8.self).lowercased()
            guard NetworkAddress(inner)?.isIPv6 == true else { return nil }
            name = inner
            isIPv6 = true
        } else {
            let lower = description.lowercased()
            guard isHostName(lower) else { return nil }
            name = lower
            isIPv6 = false
        }
    }

    /// A host that was parsed before: `name` as in ``name``.
    package init(unchecked name: String, isIPv6: Bool) {
        self.name = name
        self.isIPv6 = isIPv6
    }

    public var description: String { isIPv6 ? "[\(name)]" : name }

    public static func < (left: Self, right: Self) -> Bool { left.description < right.description }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = Host(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "not a host: a DNS name, an IPv4 address or an IPv6 address in brackets")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// DNS labels (RFC 1123 §2.1) or four decimal octets. A name whose last label is all digits must be an IPv4 address, so
/// that `1.2.3` is never read as an address in one place and as a name in another; for the same reason a last label
/// that reads as a hexadecimal number is refused (WHATWG URL, "ends in a number").
private func isHostName(_ text: String) -> Bool {
    guard (1...Limits.hostBytes).contains(text.utf8.count) else { return false }
    let labels = text.utf8.split(separator: 0x2E, omittingEmptySubsequences: false)
    for label in labels {
        guard (1...63).contains(label.count), label.first != 0x2D, label.last != 0x2D else { return false }
        for byte in label {
            guard (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D else { return false }
        }
    }
    if let last = labels.last, last.starts(with: [0x30, 0x78]), last.dropFirst(2).allSatisfy(isHexDigit) {
        return false
    }
    guard let last = labels.last, last.allSatisfy({ (0x30...0x39).contains($0) }) else { return true }
    return NetworkAddress(text) != nil
}

private func isHexDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
}
