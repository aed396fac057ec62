import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// The routes: where the portals of this server lead.
extension FederationRoutes {
    var portalRoutes: [APIRoute] {
        [
            APIRoute(.get, "/v1/routes", .admin) { request, _ in try await listRoutes(request) },
            APIRoute(.post, "/v1/routes", .admin) { request, _ in try await addRoute(request) },
            APIRoute(.get, "/v1/routes/{portal}", .admin) { _, context in
                .json(try await server.route(try context.portal()).json)
            },
            APIRoute(.patch, "/v1/routes/{portal}", .admin) { request, context in
                let active = try await request.members("active").bool("active")
                return .json(try await server.setRoute(try context.portal(), active: active).json)
            },
            APIRoute(.delete, "/v1/routes/{portal}", .admin) { _, context in
                try await server.removeRoute(try context.portal())
                return Response(status: .noContent)
            },
            APIRoute(.get, "/v1/routes/{portal}/destination", .admin) { _, context in
                try await destination(of: try context.portal())
            },
        ]
    }

    private func listRoutes(_ request: Request) async throws -> Response {
        let query = try Query(request, known: ["to", "after", "limit"])
        let limit = try query.limit()
        let destination = try query.identifier("to", as: ServerID.self)
        let after = try query.identifier("after", as: PortalID.self)
        let found = await server.routes(to: destination, after: after, limit: limit)
        return .page("routes", found.map(\.json), limit: limit, next: found.last?.portal.rawValue)
    }

    private func addRoute(_ request: Request) async throws -> Response {
        let members = try await request.members("portal", "destination", "world", "spawn", "active")
        let route = try await server.addRoute(
            try members.identifier("portal", as: PortalID.self),
            to: try members.identifier("destination", as: ServerID.self),
            world: try members.identifier("world", as: WorldID.self),
            spawn: try members.optionalValue("spawn", as: SpawnPoint.self, "x,y,z as decimal numbers"),
            isActive: try members.optionalBool("active") ?? true)
        return .json(route.json, status: .created, headers: [.location: "/v1/routes/\(route.portal)"])
    }

    /// Where a portal leads now. What does not resolve is a conflict with the state of some step, whatever the step: the
    /// portal itself is the only thing that can be missing.
    private func destination(of portal: PortalID) async throws -> Response {
        let route = try await server.route(portal)
        do {
            let resolved = try await server.destination(of: portal)
            let endpoint = try await server.server(resolved.destination).endpoint
            return .json(resolved.json(of: portal, on: route.source, at: endpoint))
        } catch {
            throw Problem(
                Refusal(.conflict, code: error.code, reason: error.reason, remedy: error.remedy, step: error.step))
        }
    }
}
