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
        guard description.utf8.count <= Limits.urlBytes else { return nil }
        // Bytes, not characters: a start parses the endpoint of every server that is known. No byte of a character beyond
        // ASCII passes for one of an endpoint.
        var rest = Array(description.utf8)[...]
        if rest.starts(with: "ws://".utf8) {
            isSecure = false
            rest = rest.dropFirst(5)
        } else if rest.starts(with: "wss://".utf8) {
            isSecure = true
            rest = rest.dropFirst(6)
        } else {
            return nil
        }
        if rest.last == 0x2F { rest.removeLast() }
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
        self.init(Array(text.utf8)[...])
    }

    init?(_ text: ArraySlice<UInt8>) {
        var hostText = text
        var portText: ArraySlice<UInt8>?
        if text.first == 0x5B {
            guard let close = text.firstIndex(of: 0x5D) else { return nil }
            hostText = text[...close]
            let rest = text[(close + 1)...]
            guard rest.isEmpty || rest.first == 0x3A else { return nil }
            portText = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.firstIndex(of: 0x3A) {
            hostText = text[..<colon]
            portText = text[(colon + 1)...]
        }
        guard let host = Host(hostText) else { return nil }
        self.host = host
        if let portText {
            guard let port = Self.port(portText) else { return nil }
            self.port = port
        } else {
            port = nil
        }
    }

    /// Digits only, no leading zero, 1 to 65535.
    private static func port(_ text: ArraySlice<UInt8>) -> UInt16? {
        guard (1...5).contains(text.count), text.first != 0x30 else { return nil }
        var port: UInt32 = 0
        for digit in text {
            guard (0x30...0x39).contains(digit) else { return nil }
            port = port * 10 + UInt32(digit - 0x30)
        }
        return UInt16(exactly: port)
    }
}
