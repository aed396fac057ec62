import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// The peers: which servers are trusted here.
extension FederationRoutes {
    var peerRoutes: [APIRoute] {
        [
            APIRoute(.get, "/v1/peers", .admin) { request, _ in
                _ = try Query(request, known: [])
                return .json(.object(["peers": .array(await server.peers().map(\.json))]))
            },
            APIRoute(.post, "/v1/peers", .admin) { request, _ in
                let entry = try await server.addPeer(try await request.compactJWS())
                return .json(
                    try await server.peer(entry.id).json, status: .created,
                    headers: [.location: "/v1/peers/\(entry.id)"])
            },
            APIRoute(.get, "/v1/peers/{server}", .admin) { _, context in
                .json(try await server.peer(try context.server()).json)
            },
            APIRoute(.delete, "/v1/peers/{server}", .admin) { _, context in
                try await server.removePeer(try context.server())
                return Response(status: .noContent)
            },
            APIRoute(.post, "/v1/peers/{server}/suspend", .admin) { request, context in
                let members = try await request.members("reason")
                let reason = try members.value("reason", as: LineOfText.self, LineOfText.grammar)
                let id = try context.server()
                return try await standing(of: id, try await server.suspend(id, reason: reason.description))
            },
            APIRoute(.post, "/v1/peers/{server}/reinstate", .admin) { request, context in
                _ = try await request.bytes(upTo: Limits.jsonBytes)
                let id = try context.server()
                return try await standing(of: id, try await server.reinstate(id))
            },
        ]
    }

    /// A server by its registry entry, or as a peer without one; what was removed before has neither.
    func standing(of id: ServerID, _ entry: FederatedServer?) async throws -> Response {
        if let entry { return .json(entry.json) }
        guard await server.isPeer(id) else { return Response(status: .noContent) }
        return .json(try await server.peer(id).json)
    }
}
