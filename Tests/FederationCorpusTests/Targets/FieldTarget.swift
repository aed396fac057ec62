import FederationModel

@testable import FederationHTTP

/// Header fields that have a grammar: `Range`, `If-None-Match`, `If-Range`. An input is the size of the content, eight
/// bytes, and the field.
public enum FieldTarget: FuzzTarget {
    public static let name = "field"

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        var source = ByteSource(input)
        let size = Int64(source.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } >> 1)
        guard let field = String(validating: source.remaining(), as: UTF8.self) else { return false }
        let isNamed = try names(field)
        return try range(field, size: size) || isNamed
    }

    /// Whether the field asks for a part.
    private static func range(_ field: String, size: Int64) throws(Violation) -> Bool {
        switch ByteRange(field, size: size) {
        case .whole:
            return false
        case .unsatisfiable:
            // It begins behind the end, or asks for the last 0 bytes.
            switch ByteRange(field, size: .max) {
            case .whole: throw Violation("\(field) has no grammar for larger content")
            case .part(let bytes): try require(bytes.lowerBound >= size, "\(field) is part of \(size) bytes")
            case .unsatisfiable: break
            }
            return false
        case .part(let bytes):
            try require(!bytes.isEmpty && bytes.clamped(to: 0..<size) == bytes, "\(field): \(bytes) of \(size)")
            let again = ByteRange("bytes=\(bytes.lowerBound)-\(bytes.upperBound - 1)", size: size)
            try require(again == .part(bytes), "\(field): \(bytes) of \(size) is another part when written again")
            let suffix = ByteRange("BYTES=-\(size - bytes.lowerBound)", size: size)
            try require(suffix == .part(bytes.lowerBound..<size), "\(field): the end of \(size) bytes is another part")
            return true
        }
    }

    /// Whether the field names the tag of the content.
    private static func names(_ field: String) throws(Violation) -> Bool {
        let tag = try Self.tag()
        let isNamed = tag.isNamed(byIfNoneMatch: [field])
        let isThere = field.contains(tag.text) || field.contains("*")
        try require(!isNamed || isThere, "\(field) does not have the tag in it")
        try require(tag.isNamed(byIfNoneMatch: ["x", field]) == isNamed, "\(field) says something else as the second")
        try require(tag.isNamed(byIfNoneMatch: [field + " , " + tag.text]), "\(field) hides the tag behind it")
        try require(tag.allowsRange(ifRange: field) == (field == tag.text), "\(field) lets a range through")
        return isNamed
    }

    private static func tag() throws(Violation) -> EntityTag {
        guard let hash = ContentHash(bytes: [UInt8](0..<32)) else { throw Violation("a hash has 32 bytes") }
        return EntityTag(hash)
    }

    public static func seeds() throws -> [[UInt8]] {
        let size: [UInt8] = [0, 0, 0, 0, 0, 0, 8, 0]
        let tag = try Self.tag().text
        return [
            "bytes=0-", "bytes=0-0", "bytes=1023-", "Bytes=-1", "bytes=100-99999999999999999999",
            "bytes=0-9223372036854775807", "*", tag, "W/\(tag)", "\"a\", \t\(tag) ,",
        ].map { size + Array($0.utf8) }
    }
}
