import FederationModel
import TestKit
import Testing

@testable import FederationCrypto

@Suite("JSON")
struct JSONTests {
    static let accepted: [(String, JSONValue)] = [
        ("null", .null), ("true", .bool(true)), (" false ", .bool(false)), ("0", .integer(0)), ("-1", .integer(-1)),
        ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
        ("9223372036854775808", .number(9_223_372_036_854_775_808)), ("1.5", .number(1.5)), ("1e2", .number(100)),
        ("-2.5E-1", .number(-0.25)), ("1E+2", .number(100)), (#""""#, .string("")), (#""a""#, .string("a")),
        (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{C}\n\r\t")), (#""\u0041\u00e9\u20AC""#, .string("Aé€")),
        (#""\ud83d\ude00""#, .string("😀")), (#""é€😀""#, .string("é€😀")), (#""\u0000""#, .string("\0")),
        ("[]", .array([])),
        ("[1, [2] ,\t3]\n", .array([.integer(1), .array([.integer(2)]), .integer(3)])), ("{}", .object([:])),
        (#"{"a":1,"b":{"a":null}}"#, .object(["a": .integer(1), "b": .object(["a": .null])])),
    ]

    @Test("the grammar of RFC 8259 is read", arguments: accepted)
    func accepts(text: String, value: JSONValue) throws {
        #expect(try JSONValue.parse(text) == value)
        #expect(try JSONValue.parse(value.serialized()) == value)
    }

    static let refused = [
        "", " ", "nul", "nulll", "True", "+1", "01", "-", "1.", ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "1e999",
        "'a'",
        "\"a", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
        "\"\u{1}\"",
        "\"\n\"", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "]", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}",
        "{a:1}", "{1:1}",
        "{\"a\" 1}", "1 2", "{} {}", "// c\n1", "\u{FEFF}1", "1\u{0}", "\"a\"b",
    ]

    @Test("everything else is refused", arguments: refused)
    func refuses(text: String) {
        #expect(throws: JSONValue.Failure.self) { try JSONValue.parse(text) }
    }

    @Test(
        "text that is not UTF-8 is refused",
        arguments: [
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xE2, 0x82, 0x22],
        ])
    func encoding(bytes: [UInt8]) {
        #expect(throws: JSONValue.Failure.self) { try JSONValue.parse(bytes) }
    }

    @Test(
        "a key that stands twice is refused, however it is written",
        arguments: [#"{"a":1,"a":2}"#, #"{"a":1,"\u0061":1}"#, #"{"x":{"a":1,"b":2,"a":1}}"#])
    func duplicates(text: String) {
        #expect(throws: JSONValue.Failure.duplicateKey("a")) { try JSONValue.parse(text) }
    }

    @Test("depth and size are bounded exactly")
    func bounds() throws {
        let nested = String(repeating: "[", count: 4) + String(repeating: "]", count: 4)
        #expect(throws: Never.self) { try JSONValue.parse(nested, maximumDepth: 4) }
        #expect(throws: JSONValue.Failure.tooDeep) { try JSONValue.parse(nested, maximumDepth: 3) }
        #expect(throws: Never.self) { try JSONValue.parse("12345", maximumBytes: 5) }
        #expect(throws: JSONValue.Failure.tooLarge(5)) { try JSONValue.parse("12345", maximumBytes: 4) }
        let bomb = String(repeating: "[", count: Limits.jsonBytes)
        #expect(throws: JSONValue.Failure.tooDeep) { try JSONValue.parse(bomb) }
    }

    @Test("equal values have equal texts: keys sorted by bytes, nothing escaped without need")
    func deterministic() {
        let value = JSONValue.object([
            "b": .array([.null, .bool(true), .number(0.5), .integer(-7)]), "a": .string("\"\\\n\u{1F}é/"),
            "B": .object([:]),
            "é": .null, "z": .null,
        ])
        #expect(
            value.serializedText() == #"{"B":{},"a":"\"\\\n\u001fé/","b":[null,true,0.5,-7],"z":null,"é":null}"#)
    }

    @Test("mutated texts never crash, and what still parses round-trips", arguments: 0..<4)
    func mutations(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let text = Array(#"{"a":[1,-2.5e3,true,null,"\u00e9\ud83d\ude00"],"b":{"c":"\n"},"d":""}"#.utf8)
        for _ in 0..<5_000 {
            var mutant = text
            for _ in 0...Int.random(in: 0..<3, using: &generator) {
                let index = Int.random(in: 0..<mutant.count, using: &generator)
                mutant[index] = text[Int.random(in: 0..<text.count, using: &generator)]
            }
            if let value = try? JSONValue.parse(mutant) {
                #expect(try JSONValue.parse(value.serialized()) == value)
            }
        }
    }
}

@Suite("Base64url")
struct Base64URLTests {
    /// RFC 4648 §10, without padding, and the two characters that base64url has of its own.
    static let pairs: [([UInt8], String)] = [
        ([], ""), (Array("f".utf8), "Zg"), (Array("fo".utf8), "Zm8"), (Array("foo".utf8), "Zm9v"),
        (Array("foob".utf8), "Zm9vYg"), (Array("fooba".utf8), "Zm9vYmE"), (Array("foobar".utf8), "Zm9vYmFy"),
        ([0xFB, 0xFF, 0xBF], "-_-_"), ([0, 0, 0], "AAAA"),
    ]

    @Test("bytes and text correspond", arguments: pairs)
    func corresponds(bytes: [UInt8], text: String) {
        #expect(Base64URL.encode(bytes) == text)
        #expect(Base64URL.decode(text) == bytes)
    }

    @Test(
        "a second spelling of the same bytes is refused",
        arguments: ["Zg==", "Zh", "Zm9", "Z", "Zm9vY", "+/+/", "Zm 9v", "Zm9v\n", "Zm9v.", "é"])
    func refused(text: String) {
        #expect(Base64URL.decode(text) == nil)
    }
}
