public import NIOHTTP1

/// What an HTTP request asks for, as far as WebSockets go (RFC 6455 §4.2.1).
public enum WebSocketRequest: Hashable, Sendable {
    /// An ordinary request.
    case none
    /// A complete opening handshake that offers these subprotocols, in order.
    case opening(subprotocols: [String])
    /// It means to open a WebSocket and does it wrongly; the reason is for the person who wrote the client.
    case invalid(String)

    public init(_ head: HTTPRequestHead) {
        guard head.headers[canonicalForm: "upgrade"].contains(where: { $0.lowercased() == "websocket" }) else {
            self = .none
            return
        }
        self = Self.opening(head)
    }

    private static func opening(_ head: HTTPRequestHead) -> WebSocketRequest {
        guard head.method == .GET, head.version == .http1_1 else {
            return .invalid("a WebSocket opens with GET over HTTP/1.1")
        }
        guard head.headers[canonicalForm: "connection"].contains(where: { $0.lowercased() == "upgrade" }) else {
            return .invalid("the Connection header must name Upgrade")
        }
        guard head.headers["content-length"].allSatisfy({ $0 == "0" }),
            !head.headers.contains(name: "transfer-encoding")
        else { return .invalid("an opening request has no body") }
        guard head.headers["sec-websocket-version"] == ["13"] else {
            return .invalid("Sec-WebSocket-Version must be 13")
        }
        let keys = head.headers["sec-websocket-key"]
        guard keys.count == 1, let key = keys.first, isKey(key) else {
            return .invalid("Sec-WebSocket-Key must be 16 bytes in base64")
        }
        return .opening(subprotocols: head.headers[canonicalForm: "sec-websocket-protocol"].map(String.init))
    }

    /// Base64 of 16 bytes: 22 digits and two equals signs.
    private static func isKey(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 24, bytes[22...] == [0x3D, 0x3D] else { return false }
        return bytes[..<22].allSatisfy { byte in
            switch byte {
            case 0x41...0x5A, 0x61...0x7A, 0x30...0x39, 0x2B, 0x2F: true
            default: false
            }
        }
    }
}
