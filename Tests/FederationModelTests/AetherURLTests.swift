import FederationModel
import Testing

@Suite("AetherURL")
struct AetherURLTests {
    struct Accepted: Sendable, CustomTestStringConvertible {
        let text: String
        let canonical: String
        var testDescription: String { text }

        init(_ text: String, _ canonical: String? = nil) {
            self.text = text
            self.canonical = canonical ?? text
        }
    }

    @Test(
        "every way to write a URL has one canonical form, which reads back as the same URL",
        arguments: [
            Accepted("aether://example.org/plaza"),
            Accepted("aether://example.org:7700/plaza", "aether://example.org/plaza"),
            Accepted("aether://example.org:1/plaza"),
            Accepted("aether://example.org:65535/plaza"),
            Accepted("AETHER://Example.ORG/plaza", "aether://example.org/plaza"),
            Accepted("aether://127.0.0.1:7701/plaza/north"),
            Accepted("aether://[::1]/plaza"),
            Accepted("aether://[2001:DB8::7]:9000/plaza", "aether://[2001:db8::7]:9000/plaza"),
            Accepted("aether://[::ffff:10.0.0.1]/plaza"),
            Accepted("aether://h/w?spawn=1,2,3"),
            Accepted("aether://h/w?spawn=-0.5,0,1000000000"),
            Accepted("aether://h/w?spawn=1.50,-0,3.000", "aether://h/w?spawn=1.5,0,3"),
            Accepted("aether://h/w?instance=blue-2"),
            Accepted("aether://h/w?instance=i&spawn=0,0,0", "aether://h/w?spawn=0,0,0&instance=i"),
            Accepted("aether://h/w/z?spawn=0,0,0&instance=i"),
            Accepted("aether://h/%70laza", "aether://h/plaza"),
            Accepted("aether://h/w?spawn=1%2C2%2c3", "aether://h/w?spawn=1,2,3"),
            Accepted("aether://h/w?%73pawn=1,2,3", "aether://h/w?spawn=1,2,3"),
        ])
    func canonicalForm(_ sample: Accepted) throws {
        let url = try AetherURL.parse(sample.text)
        #expect(url.description == sample.canonical)
        #expect(try AetherURL.parse(url.description) == url)
        #expect(AetherURL(sample.text) == url)
    }

    @Test("the parts are the ones that were written")
    func parts() throws {
        let url = try AetherURL.parse("aether://[::1]:7701/plaza/north?instance=blue&spawn=1,-2.5,3")
        #expect(url.host == Host("[::1]"))
        #expect(url.port == 7_701)
        #expect(url.world == WorldID(rawValue: "plaza"))
        #expect(url.zone == ZoneID(rawValue: "north"))
        #expect(url.spawn == SpawnPoint(x: 1, y: -2.5, z: 3))
        #expect(url.instance == InstanceID(rawValue: "blue"))
        let plain = try AetherURL.parse("aether://h/w")
        #expect(plain.port == AetherURL.defaultPort)
        #expect(plain.zone == nil && plain.spawn == nil && plain.instance == nil)
    }

    static let refused: [(String, AetherURL.Failure)] = [
        ("", .wrongScheme), ("aether:", .wrongScheme), ("aether:/h/w", .wrongScheme), ("http://h/w", .wrongScheme),
        ("aetherx://h/w", .wrongScheme), ("//h/w", .wrongScheme),
        ("aether:///w", .invalidHost), ("aether://:7700/w", .invalidHost), ("aether://-h/w", .invalidHost),
        ("aether://1.2.3/w", .invalidHost), ("aether://127.0x1/w", .invalidHost), ("aether://[::1/w", .invalidHost),
        ("aether://[1::2::3]/w", .invalidHost), ("aether://[fe80::1%25eth0]/w", .invalidHost),
        ("aether://h%2eorg/w", .invalidHost), ("aether://a..b/w", .invalidHost),
        ("aether://me@h/w", .userInformation), ("aether://me:secret@h/w", .userInformation),
        ("aether://h:0/w", .invalidPort), ("aether://h:65536/w", .invalidPort), ("aether://h:/w", .invalidPort),
        ("aether://h:+1/w", .invalidPort), ("aether://h:007/w", .invalidPort), ("aether://[::1]:x/w", .invalidPort),
        ("aether://[::1]7700/w", .invalidPort), ("aether://h:1:2/w", .invalidPort),
        ("aether://h", .emptyWorld), ("aether://h/", .emptyWorld), ("aether://h//z", .emptyWorld),
        ("aether://h?spawn=1,2,3", .emptyWorld),
        ("aether://h/w/", .emptyZone), ("aether://h/w/z/y", .tooManyParts), ("aether://h/w/z/", .tooManyParts),
        ("aether://h/..", .pathTraversal), ("aether://h/w/..", .pathTraversal), ("aether://h/./w", .pathTraversal),
        ("aether://h/%2e%2E/w", .pathTraversal), ("aether://h/w/z/../y", .pathTraversal),
        ("aether://h/W", .invalidWorld("W")), ("aether://h/a%2Fb", .invalidWorld("a/b")),
        ("aether://h/%252e%252e", .invalidWorld("%2e%2e")), ("aether://h/w%C3%A9", .invalidWorld("wé")),
        ("aether://h/w/-z", .invalidZone("-z")),
        ("aether://h/w%0a", .controlCharacter), ("aether://h/w\n", .controlCharacter),
        ("aether://h/\u{0}", .controlCharacter),
        ("aether://h/w%7F", .controlCharacter), ("aether://h/%E2%80%AE", .controlCharacter),
        ("aether://h/w z", .forbiddenCharacter), ("aether://h\\w", .forbiddenCharacter),
        ("aether://hé/w", .forbiddenCharacter),
        ("aether://\u{212A}/w", .forbiddenCharacter),
        ("aether://h/w%", .invalidPercentEncoding), ("aether://h/w%2", .invalidPercentEncoding),
        ("aether://h/w%zz", .invalidPercentEncoding), ("aether://h/%ff", .invalidPercentEncoding),
        ("aether://h/w#z", .fragment), ("aether://h/w?spawn=1,2,3#", .fragment),
        ("aether://h/w?", .emptyQuery), ("aether://h/w?spawn=1,2,3&", .emptyQuery),
        ("aether://h/w?&instance=i", .emptyQuery),
        ("aether://h/w?zone=z", .unknownKey("zone")), ("aether://h/w?Spawn=1,2,3", .unknownKey("Spawn")),
        ("aether://h/w?spawn=1,2,3?instance=i", .invalidSpawn("1,2,3?instance=i")),
        ("aether://h/w?spawn=1,2,3&spawn=1,2,3", .duplicateKey("spawn")),
        ("aether://h/w?instance=a&instance=a", .duplicateKey("instance")),
        ("aether://h/w?instance=a&%69nstance=b", .duplicateKey("instance")),
        ("aether://h/w?spawn", .invalidSpawn("")), ("aether://h/w?spawn=1,2", .invalidSpawn("1,2")),
        ("aether://h/w?spawn=nan,0,0", .invalidSpawn("nan,0,0")),
        ("aether://h/w?spawn=inf,0,0", .invalidSpawn("inf,0,0")),
        ("aether://h/w?spawn=1e400,0,0", .invalidSpawn("1e400,0,0")),
        ("aether://h/w?spawn=+1,0,0", .invalidSpawn("+1,0,0")),
        ("aether://h/w?spawn=0x1,0,0", .invalidSpawn("0x1,0,0")),
        ("aether://h/w?instance=", .invalidInstance("")), ("aether://h/w?instance=A", .invalidInstance("A")),
    ]

    @Test("what is not a URL is refused with the reason", arguments: refused)
    func refusal(_ text: String, _ expected: AetherURL.Failure) {
        #expect(throws: expected) { try AetherURL.parse(text) }
        #expect(AetherURL(text) == nil)
        #expect(expected.refusal.code == "url.invalid")
        #expect(expected.reason.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
    }

    @Test("the longest URL is accepted and one byte more refused")
    func length() throws {
        let start = "aether://h/w?instance=i&spawn=0,0,0"
        // Nothing in the grammar is long enough to reach the bound, so what fills it is percent-encoding.
        let encoded = "aether://h/w?instance=" + String(repeating: "%61", count: 64)
        #expect(try AetherURL.parse(encoded).instance?.rawValue.utf8.count == 64)
        let longest = start + String(repeating: "0", count: Limits.urlBytes - start.utf8.count)
        #expect(throws: AetherURL.Failure.self) { try AetherURL.parse(longest) }
        #expect(throws: AetherURL.Failure.tooLong(Limits.urlBytes + 1)) { try AetherURL.parse(longest + "0") }
    }

    @Test("a URL made of parts is the URL that its description reads as, and port 0 is none")
    func fromParts() throws {
        let host = try #require(Host("example.org"))
        let world = try #require(WorldID(rawValue: "plaza"))
        #expect(AetherURL(host: host, port: 0, world: world) == nil)
        for port: UInt16 in [1, 7_700, 65_535] {
            for zone in [nil, ZoneID(rawValue: "north")] {
                for spawn in [nil, SpawnPoint(x: -0.000001, y: 1e9, z: 0.1)] {
                    for instance in [nil, InstanceID(rawValue: "i.1")] {
                        let url = try #require(
                            AetherURL(
                                host: host, port: port, world: world, zone: zone, spawn: spawn, instance: instance))
                        #expect(AetherURL(url.description) == url)
                    }
                }
            }
        }
    }
}
