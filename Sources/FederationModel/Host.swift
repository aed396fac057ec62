/// The host part of an address: a DNS name, an IPv4 address or an IPv6 address (RFC 3986 §3.2.2, without registered
/// names in other scripts: those are written in their `xn--` form).
public struct Host: Hashable, Comparable, Sendable, Codable, LosslessStringConvertible {
    /// As in a URL, without the brackets of an IPv6 literal, in lower case.
    public let name: String
    /// Whether the host is an IPv6 literal, which stands in brackets before a port.
    public let isIPv6: Bool

    /// Parses `example.org`, `127.0.0.1` or `[::1]`.
    public init?(_ description: String) {
        guard description.utf8.count <= Limits.hostBytes else { return nil }
        self.init(Array(description.utf8)[...])
    }

    /// Parses the bytes of such a text.
    init?(_ text: ArraySlice<UInt8>) {
        guard text.count <= Limits.hostBytes else { return nil }
        // Byte by byte, because the Kelvin sign is a `k` in lower case: no letter beyond ASCII becomes one of a host.
        let lower = text.contains(where: isUpperCase) ? ArraySlice(text.map { isUpperCase($0) ? $0 + 0x20 : $0 }) : text
        if lower.first == 0x5B {
            guard lower.count > 2, lower.last == 0x5D else { return nil }
            let inner = String(decoding: lower.dropFirst().dropLast(), as: UTF8.self)
            guard NetworkAddress(inner)?.isIPv6 == true else { return nil }
            name = inner
            isIPv6 = true
        } else {
            guard isHostName(lower) else { return nil }
            name = String(decoding: lower, as: UTF8.self)
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
private func isHostName(_ text: ArraySlice<UInt8>) -> Bool {
    var label = text.startIndex
    for (index, byte) in zip(text.indices, text) where byte == 0x2E {
        guard isLabel(text[label..<index]) else { return false }
        label = index + 1
    }
    let last = text[label...]
    guard isLabel(last) else { return false }
    if last.first == 0x30, last.dropFirst().first == 0x78, last.dropFirst(2).allSatisfy(isHexDigit) { return false }
    return !last.allSatisfy(isDigit) || NetworkAddress.ipv4(text) != nil
}

private func isLabel(_ text: ArraySlice<UInt8>) -> Bool {
    (1...63).contains(text.count) && text.first != 0x2D && text.last != 0x2D
        && text.allSatisfy { (0x61...0x7A).contains($0) || isDigit($0) || $0 == 0x2D }
}

private func isUpperCase(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte) }

private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

private func isHexDigit(_ byte: UInt8) -> Bool {
    isDigit(byte) || (0x61...0x66).contains(byte)
}
