import FederationModel
import Testing

@Suite("How a person names a server")
struct ServerAddressTests {
    static let namings: [(String, [String])] = [
        (
            "beta.example.org",
            ["wss://beta.example.org:443", "wss://beta.example.org:7700", "ws://beta.example.org:7700"]
        ),
        ("beta.example.org:7701", ["wss://beta.example.org:7701", "ws://beta.example.org:7701"]),
        ("localhost", ["wss://localhost:443", "wss://localhost:7700", "ws://localhost:7700"]),
        ("127.0.0.1:7700", ["wss://127.0.0.1:7700", "ws://127.0.0.1:7700"]),
        ("[::1]", ["wss://[::1]:443", "wss://[::1]:7700", "ws://[::1]:7700"]),
        ("[::1]:7701", ["wss://[::1]:7701", "ws://[::1]:7701"]),
        (
            "xn--bcher-kva.example",
            [
                "wss://xn--bcher-kva.example:443", "wss://xn--bcher-kva.example:7700",
                "ws://xn--bcher-kva.example:7700",
            ]
        ),
        ("aether://beta.example.org", ["wss://beta.example.org:7700", "ws://beta.example.org:7700"]),
        ("aether://beta.example.org/", ["wss://beta.example.org:7700", "ws://beta.example.org:7700"]),
        (
            "aether://beta.example.org:80/plaza/north?spawn=1,2,3",
            ["wss://beta.example.org:80", "ws://beta.example.org:80"]
        ),
        ("ws://beta.example.org", ["ws://beta.example.org:7700"]),
        ("ws://beta.example.org:1/", ["ws://beta.example.org:1"]),
        ("wss://beta.example.org", ["wss://beta.example.org:7700"]),
        ("http://beta.example.org", ["ws://beta.example.org:80"]),
        ("https://beta.example.org", ["wss://beta.example.org:443"]),
        ("https://beta.example.org/.well-known/aether-federation", ["wss://beta.example.org:443"]),
        ("http://[::1]:7700/", ["ws://[::1]:7700"]),
    ]

    @Test("every way to name a server says where its card is looked for", arguments: namings)
    func accepted(_ text: String, _ candidates: [String]) throws {
        #expect(try ServerAddress.parse(text).candidates.map(\.description) == candidates)
    }

    static let lookAlikes: [(String, ServerAddress.Failure)] = [
        ("", .empty), (String(repeating: "a", count: 2_049), .tooLong(2_049)),
        // A Cyrillic а, a full-width e, a Kelvin sign, a dotless i, an ideographic full stop, an umlaut.
        ("bet\u{430}.example.org", .notASCII("\u{430}")), ("b\u{FF45}ta.example.org", .notASCII("\u{FF45}")),
        ("\u{212A}elvin.example.org", .notASCII("\u{212A}")), ("b\u{131}.example.org", .notASCII("\u{131}")),
        ("beta\u{3002}example.org", .notASCII("\u{3002}")), ("bücher.example", .notASCII("ü")),
        ("beta.example.org\u{200B}", .notASCII("\u{200B}")), ("aether://bet\u{430}.example.org", .notASCII("\u{430}")),
        ("Beta.example.org", .upperCase("beta.example.org")), ("paypaI.example", .upperCase("paypai.example")),
        ("HTTPS://beta.example.org", .upperCase("https://beta.example.org")),
        ("beta.example.org.", .finalDot), ("beta.example.org.:7700", .finalDot),
        ("aether://beta.example.org./", .finalDot),
        ("beta example.org", .unprintable), ("beta.example.org\n", .unprintable), ("\u{7F}beta", .unprintable),
        ("ftp://beta.example.org", .unknownScheme("ftp")), ("javascript://beta", .unknownScheme("javascript")),
        ("beta.example.org@evil.example", .userInformation), ("https://u:p@evil.example", .userInformation),
        ("beta.example.org/path", .path("beta.example.org/path")), ("https://beta.example.org/x", .path("/x")),
        ("https://beta.example.org?x", .path("?x")), ("wss://beta.example.org#x", .path("#x")),
        ("aether://beta.example.org/a/b/c", .path("/a/b/c")),
        ("beta..example.org", .invalidHost("beta..example.org")), ("-beta.org", .invalidHost("-beta.org")),
        ("1.2.3", .invalidHost("1.2.3")), ("0x7f.0x1", .invalidHost("0x7f.0x1")),
        ("2130706433", .invalidHost("2130706433")),
        ("127.1", .invalidHost("127.1")), ("010.0.0.1", .invalidHost("010.0.0.1")), ("::1", .invalidHost("::1")),
        ("beta:0", .invalidHost("beta:0")), ("beta:65536", .invalidHost("beta:65536")),
        ("beta:", .invalidHost("beta:")),
        ("be_ta.org", .invalidHost("be_ta.org")), ("aether://", .invalidHost("")), ("https:///x", .invalidHost("")),
    ]

    @Test("what may be mistaken for another name is refused with what to write", arguments: lookAlikes)
    func refused(_ text: String, _ failure: ServerAddress.Failure) {
        #expect(throws: failure) { try ServerAddress.parse(text) }
        #expect(failure.refusal.code == "address.invalid")
        #expect(!failure.refusal.description.contains { $0.isNewline })
    }
}
