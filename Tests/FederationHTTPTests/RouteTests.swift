import Foundation
import Hummingbird
import TestKit
import Testing

@testable import FederationHTTP

@Suite("The routes", .timeLimit(.minutes(patience)))
struct RouteTests {
    /// A method and a path. What its parameters are called there matters to nobody who asks.
    private static func name(_ method: some StringProtocol, _ path: some StringProtocol) -> String {
        "\(method) \(path)".replacing(/\{[^}]*\}/, with: "{}")
    }

    /// The routes in the first column of PROTOCOL.md's tables.
    private static func documented() throws -> Set<String> {
        let page = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("PROTOCOL.md")
        var names: Set<String> = []
        for line in try String(contentsOf: page, encoding: .utf8).split(separator: "\n") where line.hasPrefix("| `") {
            let cell = line.split(separator: " |").first ?? ""
            for route in cell.matches(of: /`(GET|POST|PUT|PATCH|DELETE) ([^`?]*)/) {
                names.insert(name(route.1, route.2.replacing("…", with: "/v1/worlds/{world}")))
            }
        }
        return names
    }

    /// Would fail if a path or a method were changed in the code alone: whoever asks for it would find nothing.
    @Test("are those of PROTOCOL.md, and the two WebSockets")
    func names() async throws {
        let expected = try Self.documented().union(["GET /client", "GET /federation"])
        try await TestServer.run { server async throws in
            let routes = Set(AccessTests.routes(server).map { Self.name($0.method.rawValue, $0.path) })
            #expect(expected.subtracting(routes).sorted() == [], "documented, and not there")
            #expect(routes.subtracting(expected).sorted() == [], "there, and not documented")
        }
    }
}
