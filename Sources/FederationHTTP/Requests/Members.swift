import FederationCrypto
import FederationModel

/// The members of a JSON object in a request's body: only names that the route knows, each with the type it must have.
struct Members: Sendable {
    private let members: [String: JSONValue]

    init(_ bytes: [UInt8], known: [String]) throws(Problem) {
        let value: JSONValue
        do {
            value = try JSONValue.parse(bytes)
        } catch {
            throw .badRequest("body.notJSON", "\(error)", remedy: "send one JSON object (RFC 8259)")
        }
        try self.init(value, known: known)
    }

    init(_ value: JSONValue, known: [String]) throws(Problem) {
        guard let members = value.members else {
            throw .badRequest("body.notObject", "the body is JSON, but not an object", remedy: "send one JSON object")
        }
        if let unknown = members.keys.filter({ !known.contains($0) }).min() {
            throw .badRequest(
                "body.unknownField", "the field \(quoted(unknown)) is not known here",
                remedy: "use \(known.joined(separator: ", "))")
        }
        self.members = members
    }

    /// A value with a grammar of its own, written as a string.
    func value<Value: LosslessStringConvertible>(
        _ name: String, as type: Value.Type, _ grammar: String
    ) throws(Problem) -> Value {
        guard let value = try optionalValue(name, as: type, grammar) else { throw Self.missing(name, grammar) }
        return value
    }

    /// The same; nil when the member is missing or null.
    func optionalValue<Value: LosslessStringConvertible>(
        _ name: String, as type: Value.Type, _ grammar: String
    ) throws(Problem) -> Value? {
        guard let member = members[name], member != .null else { return nil }
        guard let text = member.text else { throw Self.invalid(name, "not a string", grammar) }
        guard let value = Value(text) else { throw Self.invalid(name, quoted(text), grammar) }
        return value
    }

    func identifier<ID: Identifier>(_ name: String, as type: ID.Type) throws(Problem) -> ID {
        try value(name, as: type, ID.grammar)
    }

    func bool(_ name: String) throws(Problem) -> Bool {
        guard let value = try optionalBool(name) else { throw Self.missing(name, "true or false") }
        return value
    }

    func optionalBool(_ name: String) throws(Problem) -> Bool? {
        guard let member = members[name], member != .null else { return nil }
        guard case .bool(let value) = member else { throw Self.invalid(name, "not a truth value", "true or false") }
        return value
    }

    /// A whole number that is not negative; nil when the member is missing or null.
    func optionalCount(_ name: String) throws(Problem) -> UInt64? {
        guard let member = members[name], member != .null else { return nil }
        guard case .integer(let value) = member, let count = UInt64(exactly: value) else {
            throw Self.invalid(name, "not a whole number from 0 on", "a whole number")
        }
        return count
    }

    private static func missing(_ name: String, _ grammar: String) -> Problem {
        .badRequest("body.missingField", "the field '\(name)' is missing", remedy: "add it: \(grammar)")
    }

    private static func invalid(_ name: String, _ what: String, _ grammar: String) -> Problem {
        .badRequest("body.invalidField", "the field '\(name)' is \(what)", remedy: "use \(grammar)")
    }
}
