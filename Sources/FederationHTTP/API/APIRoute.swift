import HTTPTypes
import Hummingbird

/// One method on one path, who may use it, and what it does.
struct APIRoute: Sendable {
    /// Who may use a route.
    enum Access: Hashable, Sendable {
        case everyone
        /// Whoever shows the admin key.
        case admin
        /// Whoever asks from this machine, or shows the admin key.
        case localOrAdmin
    }

    typealias Answer = @Sendable (Request, FederationRequestContext) async throws -> Response

    let method: HTTPRequest.Method
    /// With parameters in braces.
    let path: String
    let access: Access
    let answer: Answer

    init(_ method: HTTPRequest.Method, _ path: String, _ access: Access, answer: @escaping Answer) {
        self.method = method
        self.path = path
        self.access = access
        self.answer = answer
    }
}

/// Which methods a path has, for the answer to a method that it does not have.
struct RouteTable: Sendable {
    private let entries: [(parts: [Substring], methods: Set<String>)]

    init(_ routes: [APIRoute]) {
        let grouped = Dictionary(grouping: routes, by: \.path)
        entries = grouped.keys.sorted().map { path in
            var methods = Set((grouped[path] ?? []).map(\.method.rawValue))
            if methods.contains("GET") { methods.insert("HEAD") }
            return (path.split(separator: "/"), methods)
        }
    }

    /// The methods of a path as `Allow` lists them; nil when no route has that path.
    func allow(_ path: String) -> String? {
        let parts = path.split(separator: "/")
        let methods = entries.lazy.filter { Self.matches($0.parts, parts) }.reduce(into: Set()) {
            $0.formUnion($1.methods)
        }
        return methods.isEmpty ? nil : methods.sorted().joined(separator: ", ")
    }

    private static func matches(_ pattern: [Substring], _ parts: [Substring]) -> Bool {
        pattern.count == parts.count && zip(pattern, parts).allSatisfy { $0.first == "{" || $0 == $1 }
    }
}
