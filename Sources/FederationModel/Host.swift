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
            guard isIPv6Literal(inner) else { return nil }
            name = inner
            isIPv6 = true
        } else {
            let lower = description.lowercased()
            guard isHostName(lower) else { return nil }
            name = lower
            isIPv6 = false
        }
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
    return labels.count == 4 && labels.allSatisfy(isOctet)
}

private func isOctet(_ digits: Substring.UTF8View) -> Bool {
    guard (1...3).contains(digits.count), digits.count == 1 || digits.first != 0x30 else { return false }
    return digits.reduce(0) { $0 * 10 + Int($1) - 0x30 } <= 255 && digits.allSatisfy { (0x30...0x39).contains($0) }
}

/// RFC 4291 §2.2, without zone identifiers.
private func isIPv6Literal(_ text: String) -> Bool {
    guard (2...45).contains(text.utf8.count) else { return false }
    let halves = splitAtDoubleColon(text)
    guard halves.count <= 2 else { return false }
    var groups = 0
    for (index, half) in halves.enumerated() where !half.isEmpty {
        let parts = half.utf8.split(separator: 0x3A, omittingEmptySubsequences: false)
        for (position, part) in parts.enumerated() {
            let isLastOfAll = index == halves.count - 1 && position == parts.count - 1
            if isLastOfAll, part.contains(0x2E) {
                let octets = part.split(separator: 0x2E, omittingEmptySubsequences: false)
                guard octets.count == 4, octets.allSatisfy(isOctet) else { return false }
                groups += 2
            } else {
                guard (1...4).contains(part.count), part.allSatisfy(isHexDigit) else { return false }
                groups += 1
            }
        }
    }
    return halves.count == 2 ? groups <= 7 : groups == 8
}

private func splitAtDoubleColon(_ text: String) -> [Substring] {
    var parts: [Substring] = []
    var start = text.startIndex
    var index = text.startIndex
    while index < text.endIndex {
        let next = text.index(after: index)
        if text[index] == ":", next < text.endIndex, text[next] == ":" {
            parts.append(text[start..<index])
            start = text.index(after: next)
            index = start
        } else {
            index = next
        }
    }
    parts.append(text[start...])
    return parts
}

private func isHexDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
}
