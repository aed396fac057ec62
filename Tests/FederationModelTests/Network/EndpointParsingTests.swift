import FederationModel
import TestKit
import Testing

@Suite("Endpoints by their bytes")
struct EndpointParsingTests {
    private static func parsed(_ text: String) -> PlainParsing.Endpoint? {
        Endpoint(text).map {
            PlainParsing.Endpoint(
                isSecure: $0.isSecure, host: .init(name: $0.host.name, isIPv6: $0.host.isIPv6), port: $0.port)
        }
    }

    private static func host(_ text: String) -> PlainParsing.Host? {
        Host(text).map { PlainParsing.Host(name: $0.name, isIPv6: $0.isIPv6) }
    }

    /// Says where the two readings of a text differ; nothing where they agree.
    private static func difference(_ text: String) -> String? {
        if parsed(text) != PlainParsing.endpoint(text) { return "the endpoint" }
        if host(text) != PlainParsing.host(text) { return "the host" }
        return NetworkAddress(text)?.value == PlainParsing.address(text) ? nil : "the address"
    }

    private static let label = String(repeating: "a", count: 63)

    /// Each alone, and behind `ws://`.
    static let odd: [String] = [
        "", "/", ":", "//", "://", "ws", "ws:", "ws:/", "ws://", "ws:///", "wss://", "wss:///", "wsss://h", "w://h",
        "s://h",
        "ws://ws://h", "ws://h://", "ws://wss", "WS://h", "Wss://h", "ws\u{301}://h", "ws:\u{301}//h", "ws:/\u{301}/h",
        "ws://\u{301}h", "ws://h\u{301}", "ws://h/\u{301}", "ws://h:\u{301}1", "ws://h\u{301}:1", "ws://[::1]\u{301}:1",
        "ws://[\u{301}::1]", "ws://[::1\u{301}]", "\u{FEFF}ws://h", "ws://h\u{0}", "\r\nws://h", "ws://h\r\n",
        "ws://\r\n",
        "ws://h/\r\n", "ws://h:1\r\n", "ws://h:80\n", "ws://h: 80", "ws://h:+80", "ws://h:-1", "ws://h:00080",
        "ws://h:080",
        "ws://h:٣", "ws://h:1٣", "ws://h:99999", "ws://h:65535", "ws://h:65536", "ws://h:655350", "ws://h:1:2",
        "ws://h::1",
        "ws://:1", "ws://h:/", "ws://h:1/", "ws://h:1//", "ws://H.EXAMPLE:1/", "ws://\u{212A}.org", "ws://\u{17F}.org",
        "ws://[::1]", "ws://[::1]/", "ws://[::1]:", "ws://[::1]:1", "ws://[::1]1", "ws://[::1", "ws://::1", "ws://::1]",
        "ws://[[::1]]", "ws://[::1]]", "ws://[]", "ws://[]:1", "ws://[::FFFF:1.2.3.4]", "ws://[::1.2.3.04]",
        "ws://[1::2::3]",
        "ws://[:::]", "ws://[fe80::1%25eth0]", "ws://[1.2.3.4]", "ws://[::A]:7", "ws://[1:2:3:4:5:6:7:8]",
        "ws://[::\u{212A}]",
        "1.2.3.4", "1.2.3.4.", ".1.2.3.4", "1..3.4", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.00", "0.0.0.0",
        "00.0.0.0",
        "255.255.255.255", "256.1.1.1", "1.1.1.256", "1.1.1.2560", "9999999999999.1.1.1", "1.2.3.a", "a.1.2.3.4", "a.1",
        "1",
        "1a", "a.0x", "a.0X1F", "0x1", "0xg", "a.0x1.b", "x0", "0", "00", "-", "-a", "a-", "a.-b", "a.b-.c",
        "a--b",
        "a_b", "a b", "a.b.", "a..b", ".", "..", "A.B", "a%2e", "a@b", label, label + "a", label + ".B",
        "b." + label + "a",
        [label, label, label, String(repeating: "b", count: 61)].joined(separator: "."),
        [label, label, label, String(repeating: "b", count: 62)].joined(separator: "."),
        String(repeating: "1.", count: 130), String(repeating: "a", count: 3_000), String(repeating: "é", count: 130),
    ]

    @Test("odd texts are what the plain reading says", arguments: odd)
    func oddities(_ text: String) {
        for text in [text, "ws://" + text, "wss://" + text + ":1", "ws://a" + text] {
            let difference = Self.difference(text)
            #expect(difference == nil, "of \(text.debugDescription)")
        }
    }

    private static let pieces: [String] = [
        "ws://", "wss://", "WSS://", "://", "a", "Z", "z9", "h.example", "-", ".", "..", "0", "00", "1", "25", "255",
        "256",
        "7700", "65536", ":", "::", "[", "]", "[::1]", "ffff", "127.0.0.1", "0x", "0X7f", "g", "/", "@", "?", "#", " ",
        "\n",
        "\r\n", "\u{301}", "\u{200D}", "\u{212A}", "é", "\u{0}", "%41", "xn--", label,
    ]

    private static let good: [String] = [
        "ws://h", "wss://a-b.example:7700/", "ws://127.0.0.1:1", "wss://[2001:db8::1]:65535", "ws://[::ffff:192.0.2.1]",
        "wss://server-10.worlds.example:7700", "ws://XN--BCHER-KVA.example",
    ]

    @Test(
        "texts that chance puts together are what the plain reading says",
        arguments: [1, 2, 3, UInt64.random(in: 0...UInt64.max)])
    func random(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var read = 0
        for _ in 0..<20_000 {
            var text = ""
            if Bool.random(using: &random) {
                for _ in 0..<Int.random(in: 0...6, using: &random) {
                    text += Self.pieces.randomElement(using: &random) ?? ""
                }
            } else {
                // One that is good, with a place or two of it changed.
                text = Self.good.randomElement(using: &random) ?? ""
                for _ in 0..<Int.random(in: 0...2, using: &random) {
                    let places = text.unicodeScalars.indices
                    guard let place = places.randomElement(using: &random) else { break }
                    if Bool.random(using: &random) { text.unicodeScalars.remove(at: place) }
                    let piece = Self.pieces.randomElement(using: &random) ?? ""
                    if Bool.random(using: &random) {
                        text.unicodeScalars.insert(
                            contentsOf: piece.unicodeScalars, at: min(place, text.unicodeScalars.endIndex))
                    }
                }
            }
            if Endpoint(text) != nil { read += 1 }
            guard let difference = Self.difference(text) else { continue }
            Issue.record("seed \(seed): \(difference) of \(text.debugDescription)")
            return
        }
        #expect(read > 1_000, "seed \(seed): only \(read) endpoints were any")
    }

    @Test("a key is 64 lower-case digits and nothing else, at whatever place it is wrong")
    func hex() throws {
        let text = "00112233445566778899aabbccddeefff0e1d2c3b4a5968778695a4b3c2d1e0f"
        let key = try #require(PublicKey(text))
        #expect(key.bytes == bytesFromHex(text) && key.description == text)
        for place in text.indices {
            for wrong in ["g", "A", "F", " ", "/", ":", "`", "\u{0}", ""] {
                #expect(PublicKey(text.replacingCharacters(at: place, with: wrong)) == nil, "\(wrong.debugDescription)")
            }
            // As many bytes as digits, and not a digit each.
            if let next = text.index(place, offsetBy: 2, limitedBy: text.endIndex) {
                #expect(PublicKey(String(text[..<place]) + "é" + String(text[next...])) == nil)
            }
        }
        for other in [text + "0", text + text, ""] { #expect(PublicKey(other) == nil) }
    }

    @Test("whether a character of ASCII may be shown is what Unicode says of it")
    func printable() {
        for value in UInt8(0)...0x7F {
            let scalar = Unicode.Scalar(value)
            let isControl = scalar.properties.generalCategory == .control
            #expect(FederatedServer.isValidName("a\(Character(scalar))b") == !isControl, "\(value)")
        }
    }
}

extension String {
    fileprivate func replacingCharacters(at place: Index, with text: String) -> String {
        String(self[..<place]) + text + String(self[index(after: place)...])
    }
}
