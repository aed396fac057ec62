import FederationModel

/// What endpoints, hosts and addresses are, said the plain way: with characters, substrings and lists. The product says it
/// with bytes, and must say the same of every text.
enum PlainParsing {
    struct Host: Equatable {
        let name: String
        let isIPv6: Bool
    }

    struct Endpoint: Equatable {
        let isSecure: Bool
        let host: Host
        let port: UInt16
    }

    static func endpoint(_ text: String) -> Endpoint? {
        guard text.utf8.count <= Limits.urlBytes, let separator = text.firstRange(of: "://") else { return nil }
        let isSecure: Bool
        switch text[..<separator.lowerBound] {
        case "ws": isSecure = false
        case "wss": isSecure = true
        default: return nil
        }
        var rest = text[separator.upperBound...]
        if rest.last == "/" { rest.removeLast() }
        var hostText = rest
        var portText: Substring?
        if rest.first == "[" {
            guard let close = rest.firstIndex(of: "]") else { return nil }
            hostText = rest[...close]
            let behind = rest[rest.index(after: close)...]
            guard behind.isEmpty || behind.first == ":" else { return nil }
            portText = behind.isEmpty ? nil : behind.dropFirst()
        } else if let colon = rest.firstIndex(of: ":") {
            hostText = rest[..<colon]
            portText = rest[rest.index(after: colon)...]
        }
        guard let host = host(String(hostText)) else { return nil }
        guard let portText else { return Endpoint(isSecure: isSecure, host: host, port: 7_700) }
        guard (1...5).contains(portText.utf8.count), portText.first != "0", portText.utf8.allSatisfy(isDigit),
            let port = UInt16(portText)
        else { return nil }
        return Endpoint(isSecure: isSecure, host: host, port: port)
    }

    static func host(_ text: String) -> Host? {
        let bytes = Array(text.utf8)
        guard bytes.count <= Limits.hostBytes, bytes.allSatisfy({ $0 < 0x80 }) else { return nil }
        let lower = text.lowercased()
        guard bytes.first == 0x5B else { return isHostName(lower) ? Host(name: lower, isIPv6: false) : nil }
        guard bytes.count > 2, bytes.last == 0x5D else { return nil }
        let inner = String(lower.dropFirst().dropLast())
        guard inner.contains(":"), address(inner) != nil else { return nil }
        return Host(name: inner, isIPv6: true)
    }

    private static func isHostName(_ text: String) -> Bool {
        guard (1...Limits.hostBytes).contains(text.utf8.count) else { return false }
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        for label in labels {
            guard (1...63).contains(label.utf8.count), label.first != "-", label.last != "-",
                label.utf8.allSatisfy({ (0x61...0x7A).contains($0) || isDigit($0) || $0 == 0x2D })
            else { return false }
        }
        guard let last = labels.last else { return false }
        if last.hasPrefix("0x"), last.dropFirst(2).utf8.allSatisfy({ isDigit($0) || (0x61...0x66).contains($0) }) {
            return false
        }
        return !last.utf8.allSatisfy(isDigit) || address(text) != nil
    }

    /// The number in network order.
    static func address(_ text: String) -> UInt128? {
        guard (2...45).contains(text.utf8.count) else { return nil }
        guard text.utf8.contains(0x3A) else { return ipv4(text).map { UInt128($0) } }
        let halves: [[UInt16]]
        if let gap = text.firstRange(of: "::") {
            guard let head = groups(text[..<gap.lowerBound], isLast: false),
                let tail = groups(text[gap.upperBound...], isLast: true), head.count + tail.count <= 7
            else { return nil }
            halves = [head, Array(repeating: 0, count: 8 - head.count - tail.count), tail]
        } else {
            guard let whole = groups(text[...], isLast: true), whole.count == 8 else { return nil }
            halves = [whole]
        }
        return halves.joined().reduce(0) { $0 << 16 | UInt128($1) }
    }

    private static func ipv4(_ text: some StringProtocol) -> UInt32? {
        let octets = text.utf8.split(separator: 0x2E, omittingEmptySubsequences: false)
        guard octets.count == 4 else { return nil }
        var value: UInt32 = 0
        for octet in octets {
            guard (1...3).contains(octet.count), octet.count == 1 || octet.first != 0x30, octet.allSatisfy(isDigit)
            else { return nil }
            let number = octet.reduce(0) { $0 * 10 + UInt32($1) - 0x30 }
            guard number <= 255 else { return nil }
            value = value << 8 | number
        }
        return value
    }

    private static func groups(_ text: Substring, isLast: Bool) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var groups: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if isLast, index == parts.count - 1, part.contains(".") {
                guard let address = ipv4(part) else { return nil }
                groups += [UInt16(address >> 16), UInt16(truncatingIfNeeded: address)]
            } else {
                guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy(isHexDigit),
                    let group = UInt16(part, radix: 16)
                else { return nil }
                groups.append(group)
            }
        }
        return groups
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (0x61...0x66).contains(byte) || (0x41...0x46).contains(byte)
    }
}
