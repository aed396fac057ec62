/// Where a server answers: `ws://host:port` in clear or `wss://host:port` over TLS. The paths (`/federation`,
/// `/client`, `/v1`, `/.well-known`) are fixed by the protocol, so an endpoint has none.
public struct Endpoint: Hashable, Comparable, Sendable, Codable, LosslessStringConvertible {
    /// Whether the connection is wrapped in TLS. Identity never depends on it: the handshake proves that.
    public let isSecure: Bool
    public let host: Host
    /// 1 to 65535.
    public let port: UInt16

    /// nil for port 0.
    public init?(isSecure: Bool = false, host: Host, port: UInt16 = AetherURL.defaultPort) {
        guard port != 0 else { return nil }
        self.isSecure = isSecure
        self.host = host
        self.port = port
    }

    /// Parses `ws://host[:port]` and `wss://host[:port]`, with an optional final slash and nothing else.
    public init?(_ description: String) {
        guard description.utf8.count <= Limits.urlBytes, let separator = description.firstRange(of: "://") else {
            return nil
        }
        switch description[..<separator.lowerBound] {
        case "ws": isSecure = false
        case "wss": isSecure = true
        default: return nil
        }
        var rest = description[separator.upperBound...]
        if rest.last == "/" { rest.removeLast() }
        guard let authority = Authority(rest) else { return nil }
        host = authority.host
        port = authority.port ?? AetherURL.defaultPort
    }

    public var description: String { "\(isSecure ? "wss" : "ws")://\(host):\(port)" }

    /// The same address for plain HTTP requests: `http://host:port` or `https://host:port`.
    public var httpBase: String { "\(isSecure ? "https" : "http")://\(host):\(port)" }

    public static func < (left: Self, right: Self) -> Bool { left.description < right.description }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = Endpoint(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not an endpoint: ws://host[:port] or wss://host[:port]")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// `host[:port]` of a URL. User information is never accepted.
struct Authority {
    let host: Host
    let port: UInt16?

    init?(_ text: Substring) {
        var hostText = text
        var portText: Substring?
        if text.first == "[" {
            guard let close = text.firstIndex(of: "]") else { return nil }
            hostText = text[...close]
            let rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.first == ":" else { return nil }
            portText = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.firstIndex(of: ":") {
            hostText = text[..<colon]
            portText = text[text.index(after: colon)...]
        }
        guard let host = Host(String(hostText)) else { return nil }
        self.host = host
        if let portText {
            guard let port = Self.port(portText) else { return nil }
            self.port = port
        } else {
            port = nil
        }
    }

    /// Digits only, no leading zero, 1 to 65535.
    private static func port(_ text: Substring) -> UInt16? {
        guard (1...5).contains(text.utf8.count), text.first != "0",
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return UInt16(text)
    }
}
