import FederationModel
import Foundation
import Testing

@Suite("Vocabulary")
struct VocabularyTests {
    static let identifiers: [(String, Bool)] = [
        ("a", true), ("0", true), ("a-b_c.d", true), ("a--b", true), ("a.b.c", true), ("127.0.0.1", true),
        (String(repeating: "a", count: 64), true), (String(repeating: "a", count: 65), false),
        ("", false), (".", false), ("..", false), ("a..b", false), (".a", false), ("a.", false), ("-a", false),
        ("a-", false), ("_a", false), ("A", false), ("a b", false), ("a/b", false), ("a@b", false), ("a\n", false),
        ("a\u{0}", false), ("é", false), ("\u{212A}", false), ("а", false), ("a%2e", false),
    ]

    @Test("an identifier follows one grammar", arguments: identifiers)
    func identifier(_ text: String, _ isValid: Bool) {
        #expect((ServerID(rawValue: text) != nil) == isValid)
        #expect((WorldID(text) != nil) == isValid)
        #expect((PortalID(rawValue: text) != nil) == isValid)
        let json = try? JSONEncoder().encode([text])
        #expect((json.flatMap { try? JSONDecoder().decode([ZoneID].self, from: $0) } != nil) == isValid)
    }

    static let codes: [(String, Bool)] = [
        ("route.inactive", true), ("handoff.snapshotHashMismatch", true), ("a", true), ("a1.b2", true),
        (String(repeating: "a", count: 64), true), (String(repeating: "a", count: 65), false),
        ("", false), (".", false), ("a.", false), (".a", false), ("a..b", false), ("Route", false), ("a.B", false),
        ("a b", false), ("1a", false), ("a-b", false), ("a\n", false),
    ]

    @Test("a refusal code follows its grammar", arguments: codes)
    func refusalCode(_ text: String, _ isValid: Bool) {
        #expect(Refusal.isCode(text) == isValid)
    }

    static let hosts: [(String, String?)] = [
        ("example.org", "example.org"), ("EXAMPLE.org", "example.org"), ("localhost", "localhost"), ("a-b.c", "a-b.c"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"), ("1password.com", "1password.com"),
        ("127.0.0.1", "127.0.0.1"), ("255.255.255.255", "255.255.255.255"), ("[::1]", "[::1]"), ("[::]", "[::]"),
        ("[2001:DB8::1]", "[2001:db8::1]"), ("[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8]"), ("[::1.2.3.4]", "[::1.2.3.4]"),
        ("0x7f.example", "0x7f.example"),
        ("", nil), (".", nil), ("a.", nil), (".a", nil), ("a..b", nil), ("-a", nil), ("a-", nil), ("a_b", nil),
        ("a b", nil),
        ("256.0.0.1", nil), ("01.2.3.4", nil), ("1.2.3", nil), ("1.2.3.4.5", nil), ("2130706433", nil),
        ("127.0x1", nil),
        ("0x7f000001", nil), ("0x", nil), ("\u{212A}.org", nil), ("bücher.example", nil), ("a\n", nil), ("a/b", nil),
        ("::1", nil), ("[]", nil), ("[:]", nil), ("[1]", nil), ("[1::2::3]", nil), ("[1:2:3:4:5:6:7:8:9]", nil),
        ("[12345::]", nil), ("[::1.2.3]", nil), ("[::1", nil), ("::1]", nil), ("[1.2.3.4::]", nil), ("[g::]", nil),
        (String(repeating: "a", count: 63) + ".b", String(repeating: "a", count: 63) + ".b"),
        (String(repeating: "a", count: 64) + ".b", nil), (String(repeating: "a.", count: 127) + "a", nil),
    ]

    @Test("a host is a DNS name, an IPv4 address or a bracketed IPv6 address", arguments: hosts)
    func host(_ text: String, _ expected: String?) {
        #expect(Host(text)?.description == expected)
        if let expected { #expect(Host(expected)?.description == expected) }
    }

    static let endpoints: [(String, String?)] = [
        ("ws://h", "ws://h:7700"), ("wss://h/", "wss://h:7700"), ("ws://h:1", "ws://h:1"),
        ("ws://[::1]:80", "ws://[::1]:80"),
        ("http://h", nil), ("WS://h", nil), ("ws:h", nil), ("ws://", nil), ("ws:///", nil), ("ws://h:0", nil),
        ("ws://h:65536", nil), ("ws://h:", nil), ("ws://h/x", nil), ("ws://h//", nil), ("ws://u@h", nil),
        ("ws://h?q", nil),
        ("ws://h#f", nil), (" ws://h", nil),
    ]

    @Test("an endpoint is ws or wss, a host and a port", arguments: endpoints)
    func endpoint(_ text: String, _ expected: String?) {
        #expect(Endpoint(text)?.description == expected)
        if let endpoint = Endpoint(text) {
            #expect(Endpoint(endpoint.description) == endpoint)
            #expect(endpoint.httpBase.hasPrefix(endpoint.isSecure ? "https://" : "http://"))
        }
    }

    static let players: [(String, Bool)] = [
        ("ada@home", true), ("a.b@c.d", true), ("ada", false), ("@home", false), ("ada@", false), ("a@b@c", false),
        ("", false),
        ("Ada@home", false), ("ada@home ", false), ("ada @home", false), ("@", false), ("ada@\nhome", false),
    ]

    @Test("a player is name@home", arguments: players)
    func player(_ text: String, _ isValid: Bool) {
        #expect(PlayerID(text)?.description == (isValid ? text : nil))
    }

    static let spawns: [(String, String?)] = [
        ("1,2,3", "1,2,3"), ("-1.5,0,0.25", "-1.5,0,0.25"), ("-0,0.0,00", "0,0,0"), ("1000000000,0,-1000000000", nil),
        ("0.000001,0,0", "0.000001,0,0"), ("-0.000123,0,0", "-0.000123,0,0"), ("0.0000001,0,0", "0,0,0"),
        ("123456789.123456,0,0", "123456789.123456,0,0"),
        ("1000000001,0,0", nil), ("1,2", nil), ("1,2,3,4", nil), ("", nil), (",,", nil), ("1,,3", nil),
        ("nan,0,0", nil),
        ("inf,0,0", nil), ("-inf,0,0", nil), ("1e3,0,0", nil), ("+1,0,0", nil), (" 1,0,0", nil), ("1.,0,0", nil),
        (".5,0,0", nil), ("--1,0,0", nil), ("1.2.3,0,0", nil), ("٣,0,0", nil), ("0x1,0,0", nil),
        (String(repeating: "0", count: 33) + ",0,0", nil),
    ]

    @Test("a spawn point is three finite decimal numbers, and its text reads back as the same point", arguments: spawns)
    func spawn(_ text: String, _ expected: String?) {
        if text.hasPrefix("1000000000,") {
            #expect(SpawnPoint(text)?.description == text)
            return
        }
        #expect(SpawnPoint(text)?.description == expected)
        if let point = SpawnPoint(text) { #expect(SpawnPoint(point.description) == point) }
    }

    @Test(
        "no coordinate that is not a number becomes a spawn point",
        arguments: [Double.nan, .infinity, -.infinity, 1.1e9])
    func spawnBounds(_ value: Double) {
        #expect(SpawnPoint(x: value, y: 0, z: 0) == nil)
        #expect(SpawnPoint(x: 0, y: value, z: 0) == nil)
        #expect(SpawnPoint(x: 0, y: 0, z: value) == nil)
    }

    @Test("hashes, keys and handoff ids have one spelling")
    func hexadecimal() {
        let text = String(repeating: "0f", count: 32)
        #expect(ContentHash(text)?.description == text)
        #expect(PublicKey(text)?.bytes == [UInt8](repeating: 15, count: 32))
        for bad in [
            text.uppercased(), String(text.dropLast()), text + "0f", "", "zz" + text.dropFirst(2),
            "0x" + text.dropFirst(2),
        ] {
            #expect(ContentHash(bad) == nil)
            #expect(PublicKey(bad) == nil)
        }
        #expect(HandoffID(String(repeating: "ab", count: 16))?.description == String(repeating: "ab", count: 16))
        #expect(HandoffID(String(repeating: "AB", count: 16)) == nil)
        #expect(HandoffID(String(repeating: "ab", count: 17)) == nil)
        for place in 0..<64 {
            for bad in ["g", "/", ":", "`", "A"] {
                let digits = String(repeating: "5", count: place) + bad + String(repeating: "5", count: 63 - place)
                #expect(ContentHash(digits) == nil)
                #expect(HandoffID(String(digits.prefix(32))) == nil || place >= 32)
            }
        }
        // Every digit counts, and in its place.
        let digits = "0123456789abcdeffedcba98765432100f1e2d3c4b5a69788796a5b4c3d2e1f0"
        #expect(ContentHash(digits)?.bytes == bytesFromHex(digits))
        #expect(HandoffID(String(digits.prefix(32)))?.bytes == bytesFromHex(String(digits.prefix(32))))
        #expect(ContentHash(bytes: [UInt8](repeating: 0, count: 31)) == nil)
        let low = ContentHash(bytes: [UInt8](repeating: 0, count: 31) + [255])
        let high = ContentHash(bytes: [1] + [UInt8](repeating: 0, count: 31))
        if let low, let high { #expect(low < high) } else { Issue.record("32 bytes are a hash") }
    }

    static let names: [(String, Bool)] = [
        ("A", true), ("Ada's Plaza – 広場", true), (String(repeating: "a", count: 128), true),
        (String(repeating: "a", count: 129), false), ("", false), (" a", false), ("a ", false), ("a\nb", false),
        ("a\u{1B}[2J", false), ("a\u{202E}b", false), ("a\u{85}b", false), ("a\u{2028}b", false),
    ]

    @Test("a display name is printable", arguments: names)
    func displayName(_ text: String, _ isValid: Bool) {
        #expect(FederatedServer.isValidName(text) == isValid)
    }
}
