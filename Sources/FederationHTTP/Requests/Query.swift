import FederationModel

/// The query of a request: only names that the route knows, each at most once.
struct Query: Sendable {
    private let items: [String: String]

    /// Entries of a listing when the caller names no number.
    static let standardLimit = 100
    /// Entries that a listing has at most.
    static let largestLimit = 1000

    /// - Parameter text: what follows the `?`, percent-encoded.
    init(_ text: String, known: [String]) throws(Problem) {
        var items: [String: String] = [:]
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = percentDecoded(parts[0]), let value = percentDecoded(parts.count == 2 ? parts[1] : "")
            else {
                throw .badRequest(
                    "query.encoding", "the query has a % that is not followed by two hex digits of UTF-8 text",
                    remedy: "percent-encode the query (RFC 3986)")
            }
            guard known.contains(name) else {
                throw .badRequest(
                    "query.unknown", "the query name \(quoted(name)) is not known here",
                    remedy: known.isEmpty ? "leave the query out" : "use \(known.joined(separator: ", "))")
            }
            guard items.updateValue(value, forKey: name) == nil else {
                throw .badRequest("query.duplicate", "\(name) stands twice in the query", remedy: "name it once")
            }
        }
        self.items = items
    }

    /// A value with a grammar of its own; nil when it is not named.
    func value<Value: LosslessStringConvertible>(
        _ name: String, as type: Value.Type, _ grammar: String
    ) throws(Problem) -> Value? {
        guard let text = items[name] else { return nil }
        guard let value = Value(text) else { throw Self.invalid(name, text, grammar) }
        return value
    }

    /// An identifier; nil when it is not named.
    func identifier<ID: Identifier>(_ name: String, as type: ID.Type) throws(Problem) -> ID? {
        try value(name, as: type, ID.grammar)
    }

    /// One of a few words; nil when it is not named.
    func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: String, of type: Choice.Type
    ) throws(Problem) -> Choice? {
        guard let text = items[name] else { return nil }
        guard let choice = Choice(rawValue: text) else {
            throw Self.invalid(name, text, Choice.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return choice
    }

    /// `limit`: 1 to ``largestLimit``.
    func limit() throws(Problem) -> Int {
        guard let text = items["limit"] else { return Self.standardLimit }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let limit = Int(text),
            (1...Self.largestLimit).contains(limit)
        else {
            throw Self.invalid("limit", text, "a number from 1 to \(Self.largestLimit)")
        }
        return limit
    }

    /// A value as it stands.
    subscript(name: String) -> String? { items[name] }

    static func invalid(_ name: String, _ text: String, _ grammar: String) -> Problem {
        .badRequest("query.invalid", "\(name) is \(quoted(text)) in the query", remedy: "use \(grammar)")
    }
}
