extension NetworkAddress {
    /// Parses four decimal octets without leading zeros, or an IPv6 address (RFC 4291 §2.2) without brackets and without
    /// a zone. Shortened and octal IPv4 forms, which programs read differently, are refused.
    public init?(_ description: String) {
        let text = description.utf8
        // `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`
        guard (2...45).contains(text.count) else { return nil }
        if text.contains(0x3A) {
            guard let value = Self.ipv6(description) else { return nil }
            self.init(ipv6: value)
        } else {
            guard let value = Self.ipv4(text) else { return nil }
            self.init(ipv4: value)
        }
    }

    /// Dotted decimal, or the form of RFC 5952: lower case, the longest run of zero groups as `::`, an IPv4-mapped address
    /// with its last part in dotted decimal.
    public var description: String {
        if !isIPv6 { return Self.dotted(UInt32(truncatingIfNeeded: value)) }
        if value >> 32 == 0xFFFF { return "::ffff:\(Self.dotted(UInt32(truncatingIfNeeded: value)))" }
        let groups = stride(from: 112, through: 0, by: -16).map { UInt16(truncatingIfNeeded: value >> UInt128($0)) }
        func text(_ groups: some Sequence<UInt16>) -> String {
            groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard let zeros = Self.longestZeroRun(groups) else { return text(groups) }
        return "\(text(groups[..<zeros.lowerBound]))::\(text(groups[zeros.upperBound...]))"
    }

    private static func dotted(_ value: UInt32) -> String {
        stride(from: 24, through: 0, by: -8).map { String(value >> UInt32($0) & 0xFF) }.joined(separator: ".")
    }

    /// The first of the longest runs of two or more zeros.
    private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
        var best: Range<Int>?
        var start = 0
        while start < groups.count {
            let end = groups[start...].firstIndex { $0 != 0 } ?? groups.count
            if end - start >= 2, end - start > best?.count ?? 0 { best = start..<end }
            start = end + 1
        }
        return best
    }

    /// Four decimal octets without leading zeros, with dots between.
    static func ipv4(_ text: some Sequence<UInt8>) -> UInt32? {
        var value: UInt32 = 0
        var dots = 0
        var octet: UInt32?
        for byte in text {
            switch byte {
            case 0x2E:
                guard let whole = octet, dots < 3 else { return nil }
                value = value << 8 | whole
                dots += 1
                octet = nil
            case 0x30...0x39:
                let digit = UInt32(byte - 0x30)
                // Behind a zero stands no digit.
                guard octet != 0 else { return nil }
                let number = (octet ?? 0) * 10 + digit
                guard number <= 255 else { return nil }
                octet = number
            default:
                return nil
            }
        }
        guard dots == 3, let last = octet else { return nil }
        return value << 8 | last
    }

    private static func ipv6(_ text: String) -> UInt128? {
        guard let gap = text.firstRange(of: "::") else {
            guard let whole = groups(text[...], isLast: true), whole.count == 8 else { return nil }
            return number(whole)
        }
        // A second `::`, or a third colon, leaves an empty group.
        guard let head = groups(text[..<gap.lowerBound], isLast: false),
            let tail = groups(text[gap.upperBound...], isLast: true), head.count + tail.count <= 7
        else { return nil }
        return number(head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail)
    }

    /// The groups of a text without `::`; of the last part the last group may be an IPv4 address, which makes two.
    private static func groups(_ text: Substring, isLast: Bool) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        let parts = text.utf8.split(separator: 0x3A, omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var groups: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if isLast, index == parts.count - 1, part.contains(0x2E) {
                guard let address = ipv4(part) else { return nil }
                groups += [UInt16(address >> 16), UInt16(truncatingIfNeeded: address)]
            } else {
                guard (1...4).contains(part.count), part.allSatisfy(isHexDigit),
                    let group = UInt16(Substring(part), radix: 16)
                else { return nil }
                groups.append(group)
            }
        }
        return groups
    }

    private static func number(_ groups: [UInt16]) -> UInt128 {
        groups.reduce(0) { $0 << 16 | UInt128($1) }
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) || (0x41...0x46).contains(byte)
    }
}
