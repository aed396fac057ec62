public import FederationModel

extension JSONValue {
    /// Parses a whole JSON text in UTF-8 without byte order mark; white space around it is allowed.
    public static func parse(
        _ bytes: [UInt8], maximumBytes: Int = Limits.jsonBytes, maximumDepth: Int = Limits.jsonDepth
    ) throws(Failure) -> JSONValue {
        guard bytes.count <= maximumBytes else { throw .tooLarge(bytes.count) }
        var parser = JSONParser(bytes, maximumDepth: maximumDepth)
        return try parser.parse()
    }

    public static func parse(
        _ text: String, maximumBytes: Int = Limits.jsonBytes, maximumDepth: Int = Limits.jsonDepth
    ) throws(Failure) -> JSONValue {
        try parse(Array(text.utf8), maximumBytes: maximumBytes, maximumDepth: maximumDepth)
    }
}

private struct JSONParser {
    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0
    private let maximumDepth: Int

    init(_ bytes: [UInt8], maximumDepth: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
    }

    mutating func parse() throws(JSONValue.Failure) -> JSONValue {
        let value = try value()
        skipSpace()
        guard position == bytes.count else { throw .syntax("something follows the value", at: position) }
        return value
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func value() throws(JSONValue.Failure) -> JSONValue {
        skipSpace()
        switch next {
        case 0x7B: return try nested { (parser) throws(JSONValue.Failure) in try parser.object() }
        case 0x5B: return try nested { (parser) throws(JSONValue.Failure) in try parser.array() }
        case 0x22: return .string(try string())
        case 0x74: return try literal("true", .bool(true))
        case 0x66: return try literal("false", .bool(false))
        case 0x6E: return try literal("null", .null)
        case 0x2D, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39: return try number()
        case nil: throw .syntax("the text ends where a value is due", at: position)
        default: throw .syntax("no value begins like this", at: position)
        }
    }

    private mutating func nested(
        _ body: (inout JSONParser) throws(JSONValue.Failure) -> JSONValue
    ) throws(JSONValue.Failure) -> JSONValue {
        guard depth < maximumDepth else { throw .tooDeep }
        depth += 1
        defer { depth -= 1 }
        position += 1
        return try body(&self)
    }

    private mutating func object() throws(JSONValue.Failure) -> JSONValue {
        var members: [String: JSONValue] = [:]
        skipSpace()
        if take(0x7D) { return .object(members) }
        while true {
            skipSpace()
            guard next == 0x22 else { throw .syntax("a key is due", at: position) }
            let key = try string()
            skipSpace()
            guard take(0x3A) else { throw .syntax("a colon is due", at: position) }
            guard members.updateValue(try value(), forKey: key) == nil else { throw .duplicateKey(key) }
            skipSpace()
            if take(0x7D) { return .object(members) }
            guard take(0x2C) else { throw .syntax("a comma or } is due", at: position) }
        }
    }

    private mutating func array() throws(JSONValue.Failure) -> JSONValue {
        var elements: [JSONValue] = []
        skipSpace()
        if take(0x5D) { return .array(elements) }
        while true {
            elements.append(try value())
            skipSpace()
            if take(0x5D) { return .array(elements) }
            guard take(0x2C) else { throw .syntax("a comma or ] is due", at: position) }
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    private mutating func literal(_ word: StaticString, _ value: JSONValue) throws(JSONValue.Failure) -> JSONValue {
        let start = position
        let matches = word.withUTF8Buffer { bytes[start...].starts(with: $0) }
        guard matches else { throw .syntax("no value begins like this", at: start) }
        position += word.utf8CodeUnitCount
        return value
    }

    // MARK: Numbers

    private mutating func number() throws(JSONValue.Failure) -> JSONValue {
        let start = position
        var isInteger = true
        _ = take(0x2D)
        if !take(0x30) { try digits() }
        if take(0x2E) {
            isInteger = false
            try digits()
        }
        if take(0x65) || take(0x45) {
            isInteger = false
            if !take(0x2B) { _ = take(0x2D) }
            try digits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw .syntax("a number out of range", at: start) }
        return .number(value)
    }

    private mutating func digits() throws(JSONValue.Failure) {
        guard let first = next, (0x30...0x39).contains(first) else { throw .syntax("a digit is due", at: position) }
        while let byte = next, (0x30...0x39).contains(byte) { position += 1 }
    }

    // MARK: Strings

    private mutating func string() throws(JSONValue.Failure) -> String {
        let start = position
        position += 1
        if let text = plainString() { return text }
        var decoded: [UInt8] = []
        var runStart = position
        while let byte = next {
            switch byte {
            case 0x22:
                decoded.append(contentsOf: bytes[runStart..<position])
                position += 1
                guard let text = String(validating: decoded, as: UTF8.self) else {
                    throw .syntax("a string that is not UTF-8", at: start)
                }
                return text
            case 0x5C:
                decoded.append(contentsOf: bytes[runStart..<position])
                position += 1
                try escape(into: &decoded)
                runStart = position
            case 0..<0x20:
                throw .syntax("a control character in a string", at: position)
            default:
                position += 1
            }
        }
        throw .syntax("a string that does not end", at: start)
    }

    /// The string that begins here, when it is ASCII without escapes, as nearly every one is: it is read where it
    /// stands. nil for any other, and nothing is taken then.
    private mutating func plainString() -> String? {
        var end = position
        while end < bytes.count, (0x20..<0x80).contains(bytes[end]), bytes[end] != 0x22, bytes[end] != 0x5C { end += 1 }
        guard end < bytes.count, bytes[end] == 0x22 else { return nil }
        defer { position = end + 1 }
        return String(decoding: bytes[position..<end], as: UTF8.self)
    }

    private mutating func escape(into decoded: inout [UInt8]) throws(JSONValue.Failure) {
        let start = position - 1
        guard let byte = next else { throw .syntax("a string that does not end", at: start) }
        position += 1
        switch byte {
        case 0x22, 0x5C, 0x2F: decoded.append(byte)
        case 0x62: decoded.append(0x08)
        case 0x66: decoded.append(0x0C)
        case 0x6E: decoded.append(0x0A)
        case 0x72: decoded.append(0x0D)
        case 0x74: decoded.append(0x09)
        case 0x75: decoded.append(contentsOf: String(Character(try escapedScalar(start))).utf8)
        default: throw .syntax("an unknown escape", at: start)
        }
    }

    /// `\uXXXX`, or two of them that make a surrogate pair (RFC 8259 §7). A surrogate without its other half is
    /// refused.
    private mutating func escapedScalar(_ start: Int) throws(JSONValue.Failure) -> Unicode.Scalar {
        let first = try fourHexDigits(start)
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, take(0x5C), take(0x75) else { throw .syntax("half a surrogate pair", at: start) }
        let second = try fourHexDigits(start)
        guard (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw .syntax("half a surrogate pair", at: start) }
        return scalar
    }

    private mutating func fourHexDigits(_ start: Int) throws(JSONValue.Failure) -> UInt32 {
        guard bytes.count - position >= 4 else { throw .syntax("four hex digits are due", at: start) }
        var value: UInt32 = 0
        for byte in bytes[position..<(position + 4)] {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x41 + 10
            case 0x61...0x66: digit = byte - 0x61 + 10
            default: throw .syntax("four hex digits are due", at: start)
            }
            value = value << 4 | UInt32(digit)
        }
        position += 4
        return value
    }
}
