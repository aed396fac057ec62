import FederationCrypto
import FederationModel

/// JSON: the bodies of requests, what clients say, and the inside of every signed document.
public enum JSONTarget: FuzzTarget {
    public static let name = "json"

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        let value: JSONValue
        do {
            value = try JSONValue.parse(input)
        } catch {
            try require(!error.description.isEmpty, "a failure that says nothing")
            return false
        }
        let bytes = value.serialized()
        let again = try parse(bytes, depth: Limits.jsonDepth)
        try require(again == value, "parsed, written and parsed again, the value is another one")
        try require(again.serialized() == bytes, "one value has two texts")
        let depth = depth(of: value)
        try require(depth <= Limits.jsonDepth, "a value \(depth) deep")
        try require(try parse(input, depth: depth) == value, "the bound on depth changes the value")
        if depth > 0 {
            let shallow = try? JSONValue.parse(input, maximumDepth: depth - 1)
            try require(shallow == nil, "a value deeper than the bound")
        }
        let small = try? JSONValue.parse(input, maximumBytes: input.count - 1)
        try require(small == nil, "a text larger than the bound")
        return true
    }

    private static func parse(_ bytes: [UInt8], depth: Int) throws(Violation) -> JSONValue {
        do {
            return try JSONValue.parse(bytes, maximumDepth: depth)
        } catch {
            throw Violation("what was parsed does not parse again: \(error)")
        }
    }

    private static func depth(of value: JSONValue) -> Int {
        switch value {
        case .null, .bool, .integer, .number, .string: 0
        case .array(let elements): 1 + (elements.map(depth(of:)).max() ?? 0)
        case .object(let members): 1 + (members.values.map(depth(of:)).max() ?? 0)
        }
    }

    public static func seeds() -> [[UInt8]] {
        [
            #"{"type":"join","ticket":"a.b.c"}"#, #"{"type":"arrive","token":"a.b.c","proof":null}"#,
            #" [ 0 , -1 , 1.5 , 2e3 , -0.0 , 9223372036854775807 , 18446744073709551615 , 1E-400 ] "#,
            #"{"a":{"b":[true,false,null]},"\u00e9":"\ud83d\ude00\"\\\/\b\f\n\r\t\u0000"}"#,
            String(repeating: "[", count: Limits.jsonDepth) + String(repeating: "]", count: Limits.jsonDepth),
            #"{"id":"alpha","endpoint":"ws://localhost:7700","key":"00","seq":1}"#, #""é – 😀""#,
        ].map { Array($0.utf8) }
    }
}
