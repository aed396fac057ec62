/// What a `Range` field asks of content of a known size (RFC 9110 §14).
enum ByteRange: Hashable, Sendable {
    /// Everything: there is no field, or one that a server may ignore (another unit, several ranges, no grammar).
    case whole
    /// A part, never empty.
    case part(Range<Int64>)
    /// A range that begins behind the end.
    case unsatisfiable

    /// - Parameter size: of the content, in bytes.
    init(_ field: String?, size: Int64) {
        guard let field, let equals = field.firstIndex(of: "="), field[..<equals].lowercased() == "bytes" else {
            self = .whole
            return
        }
        let bounds = field[field.index(after: equals)...].split(
            separator: "-", maxSplits: 2, omittingEmptySubsequences: false)
        guard bounds.count == 2, bounds.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else {
            self = .whole
            return
        }
        self = bounds[0].isEmpty ? Self.suffix(bounds[1], size) : Self.part(from: bounds[0], to: bounds[1], size)
    }

    private static func suffix(_ length: Substring, _ size: Int64) -> ByteRange {
        guard !length.isEmpty else { return .whole }
        let count = min(number(length), size)
        return count > 0 ? .part(size - count..<size) : .unsatisfiable
    }

    private static func part(from first: Substring, to last: Substring, _ size: Int64) -> ByteRange {
        let start = number(first)
        let end = last.isEmpty ? .max : number(last)
        guard start <= end else { return .whole }
        return start < size ? .part(start..<min(end, size - 1) + 1) : .unsatisfiable
    }

    /// Digits; the largest number when they do not fit.
    private static func number(_ digits: Substring) -> Int64 { Int64(digits) ?? .max }
}
