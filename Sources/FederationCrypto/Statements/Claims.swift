import FederationModel

/// Reads typed claims. Claims that nobody asks for are ignored (RFC 7519 §4).
struct Claims {
    let members: [String: JSONValue]

    /// The largest integer that every JSON reader holds exactly (RFC 7493 §2.2).
    static let largestInteger: UInt64 = (1 << 53) - 1

    func text(_ name: String) throws(StatementFailure) -> String {
        guard let text = members[name]?.text else { throw .malformed("\(name) is missing or not a string") }
        return text
    }

    func value<Value: LosslessStringConvertible>(_ name: String) throws(StatementFailure) -> Value {
        guard let value = Value(try text(name)) else { throw .malformed("\(name) is not valid") }
        return value
    }

    func optionalValue<Value: LosslessStringConvertible>(_ name: String) throws(StatementFailure) -> Value? {
        members[name] == nil ? nil : try value(name)
    }

    /// An array of at most `bound` strings.
    func texts(_ name: String, upTo bound: Int) throws(StatementFailure) -> [String] {
        guard let elements = members[name]?.elements else { throw .malformed("\(name) is missing or not an array") }
        guard elements.count <= bound else { throw .malformed("\(name) has \(elements.count) elements") }
        var texts: [String] = []
        for element in elements {
            guard let text = element.text else { throw .malformed("\(name) is not a list of strings") }
            texts.append(text)
        }
        return texts
    }

    func optionalTexts(_ name: String, upTo bound: Int) throws(StatementFailure) -> [String] {
        members[name] == nil ? [] : try texts(name, upTo: bound)
    }

    func unsigned(_ name: String) throws(StatementFailure) -> UInt64 {
        guard let integer = members[name]?.integer, let value = UInt64(exactly: integer), value <= Self.largestInteger
        else { throw .malformed("\(name) is missing or not an integer from 0 to 2^53-1") }
        return value
    }

    /// A NumericDate (RFC 7519 §2) in whole seconds, not before 1970.
    func time(_ name: String) throws(StatementFailure) -> Timestamp {
        guard let seconds = Int64(exactly: try unsigned(name)) else { throw .malformed("\(name) is not valid") }
        return Timestamp(seconds: seconds)
    }

    /// The claim for an unsigned integer, at most ``largestInteger``.
    static func unsigned(_ value: UInt64) -> JSONValue {
        .integer(Int64(min(value, largestInteger)))
    }

    /// The claim for a time, a NumericDate in whole seconds not before 1970.
    static func time(_ value: Timestamp) -> JSONValue {
        unsigned(UInt64(max(value.seconds, 0)))
    }

    static func value(_ value: some LosslessStringConvertible) -> JSONValue {
        .string(value.description)
    }
}
