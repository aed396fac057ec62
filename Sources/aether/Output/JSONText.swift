import FederationModel
import Foundation

/// A JSON document as the server sent it, for commands that print it or pick a few fields for people.
struct JSONText {
    let data: Data

    /// Sorted keys, indented.
    var pretty: String {
        guard let object = try? JSONSerialization.jsonObject(with: data, options: [.fragmentsAllowed]),
            let text = try? JSONSerialization.data(
                withJSONObject: object,
                options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes, .fragmentsAllowed])
        else { return String(decoding: data, as: UTF8.self) }
        return String(decoding: text, as: UTF8.self)
    }

    var fields: Fields {
        Fields((try? JSONSerialization.jsonObject(with: data, options: [.fragmentsAllowed])) ?? [:])
    }

    /// Fields of a JSON value, read leniently: what is not there reads as nil.
    struct Fields {
        private let value: Any

        init(_ value: Any) {
            self.value = value
        }

        subscript(_ key: String) -> Fields {
            Fields((value as? [String: Any])?[key] ?? NSNull())
        }

        var list: [Fields] { (value as? [Any])?.map(Fields.init) ?? [] }
        var string: String? { value as? String }
        var int: Int64? { (value as? NSNumber)?.int64Value }
        var double: Double? { (value as? NSNumber)?.doubleValue }
        var bool: Bool? { value as? Bool }
        var isNull: Bool { value is NSNull }

        /// The text of a string or a number, or `fallback`.
        func text(_ fallback: String = "–") -> String {
            if let string { return string }
            if let bool = value as? Bool, !(value is Int) { return bool ? "yes" : "no" }
            if let number = value as? NSNumber { return "\(number)" }
            return fallback
        }
    }
}

/// A JSON object from Swift values, on one line with sorted keys.
func jsonLine(_ object: [String: Any]) -> String {
    let data = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
    return String(decoding: data ?? Data("{}".utf8), as: UTF8.self)
}
