import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// The registry: which servers are known here.
extension FederationRoutes {
    var registryRoutes: [APIRoute] {
        let changes: APIRoute.Access = registryAccess == .signed ? .everyone : .admin
        return [
            APIRoute(.get, "/v1/servers", .everyone) { request, _ in try await listServers(request) },
            APIRoute(.post, "/v1/servers", changes) { request, _ in
                let entry = try await server.register(try await request.compactJWS())
                return .json(entry.json, headers: [.location: "/v1/servers/\(entry.id)"])
            },
            APIRoute(.get, "/v1/servers/{server}", .everyone) { _, context in
                let entry = try await server.server(try context.server())
                var members = entry.members
                if let card = await server.card(of: entry.id) { members["card"] = try Self.flattened(card) }
                return .json(.object(members))
            },
            APIRoute(.delete, "/v1/servers/{server}", .admin) { _, context in
                try await server.deregister(try context.server())
                return Response(status: .noContent)
            },
            APIRoute(.post, "/v1/servers/{server}/heartbeat", changes) { request, context in
                let id = try context.server()
                return .json(try await server.heartbeat(id, statement: try await request.compactJWS()).json)
            },
        ]
    }

    private func listServers(_ request: Request) async throws -> Response {
        let query = try Query(request, known: ["status", "after", "limit"])
        let limit = try query.limit()
        let status = try query.choice("status", of: ServerStatus.self)
        let after = try query.identifier("after", as: ServerID.self)
        let found = await server.servers(status: status, after: after, limit: limit)
        return .page("servers", found.map(\.json), limit: limit, next: found.last?.id.rawValue)
    }
}

extension Response {
    /// One page of a listing. `next` goes into the query's `after` for the page behind it, which may turn out empty.
    static func page(_ name: String, _ entries: [JSONValue], limit: Int, next: String?) -> Response {
        var members: [String: JSONValue] = [name: .array(entries)]
        if entries.count == limit, let next { members["next"] = .string(next) }
        return .json(.object(members))
    }
}
