import FederationModel

/// The strong validator of content that is named by its hash (RFC 9110 §8.8.3).
struct EntityTag: Sendable {
    /// With its quotes, as it stands in `ETag`.
    let text: String

    init(_ hash: ContentHash) {
        text = "\"\(hash)\""
    }

    /// Whether an `If-None-Match` field names this tag or any; weak comparison, as RFC 9110 §13.1.2 has it.
    func isNamed(byIfNoneMatch values: [String]) -> Bool {
        values.contains { value in
            value.split(separator: ",").contains { part in
                var tag = part.drop { $0 == " " || $0 == "\t" }
                while tag.last == " " || tag.last == "\t" { tag.removeLast() }
                if tag == "*" { return true }
                return (tag.hasPrefix("W/") ? tag.dropFirst(2) : tag) == text
            }
        }
    }

    /// Whether an `If-Match` field lets a change through: it is not there, or names this tag or any; strong comparison, as
    /// RFC 9110 §13.1.1 has it.
    func isNamed(byIfMatch values: [String]) -> Bool {
        values.isEmpty
            || values.contains { value in
                value.split(separator: ",").contains { part in
                    var tag = part.drop { $0 == " " || $0 == "\t" }
                    while tag.last == " " || tag.last == "\t" { tag.removeLast() }
                    return tag == "*" || tag == text
                }
            }
    }

    /// Whether an `If-Range` field lets a range through: the same tag by strong comparison (RFC 9110 §13.1.5). Dates never
    /// do, because nothing here has one.
    func allowsRange(ifRange value: String?) -> Bool {
        value == nil || value == text
    }
}
