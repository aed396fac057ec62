import FederationModel

@testable import FederationHTTP

/// The query of a request, and percent-encoding in it and in paths.
public enum QueryTarget: FuzzTarget {
    public static let name = "query"

    private static let known = ["after", "limit", "status", "to"]

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        guard let text = String(validating: input, as: UTF8.self) else { return false }
        try percentEncoding(text)
        try require(quoted(text).utf8.allSatisfy { (0x20...0x7E).contains($0) }, "\(quoted(text)) is not printable")
        try require(quoted(text).utf8.count <= 82, "\(quoted(text)) is too long")
        guard let query = try query(text) else { return false }
        let limit = try Problem.accepted { () throws(Problem) in try query.limit() }
        if let limit { try require((1...Query.largestLimit).contains(limit), "a limit of \(limit)") }
        let world = try Problem.accepted { () throws(Problem) in try query.identifier("after", as: WorldID.self) }
        if let world { try require(world?.rawValue == query["after"], "an id that is not what the query says") }
        let status = try Problem.accepted { () throws(Problem) in try query.choice("status", of: ServerStatus.self) }
        if let status { try require(status?.rawValue == query["status"], "a word that is not what the query says") }
        // Written with every byte encoded, the same is read.
        let pairs = known.compactMap { name in query[name].map { "\(encoded(name))=\(encoded($0))" } }
        let again = try self.query(pairs.reversed().joined(separator: "&"))
        for name in known {
            try require(again?[name] == query[name], "\(text): \(name) changes when it is written again")
        }
        return true
    }

    private static func query(_ text: String) throws(Violation) -> Query? {
        try Problem.accepted { () throws(Problem) in try Query(text, known: known) }
    }

    private static func percentEncoding(_ text: String) throws(Violation) {
        let again = percentDecoded(encoded(text)).map { Array($0.utf8) }
        try require(again == Array(text.utf8), "\(text) is another text once encoded and decoded")
        guard let decoded = percentDecoded(text) else {
            try require(text.utf8.contains(0x25), "\(text) is refused, and there is nothing to decode in it")
            return
        }
        let signs = text.utf8.count { $0 == 0x25 }
        try require(decoded.utf8.count == text.utf8.count - 2 * signs, "\(text) is not decoded once, sign by sign")
    }

    /// Every byte as `%XX`.
    private static func encoded(_ text: String) -> String {
        text.utf8.map { "%" + hexString([$0]) }.joined()
    }

    public static func seeds() -> [[UInt8]] {
        [
            "", "limit=1000", "after=plaza&limit=1", "status=online&after=a_b-c.d",
            "to=aether%3A%2F%2Fexample.org%2Fplaza", "after=%C3%A9&to=+&limit=%31%30",
            "&&to&&", "to==&after=a=b", "limit=0", "status=",
        ].map { Array($0.utf8) }
    }
}
