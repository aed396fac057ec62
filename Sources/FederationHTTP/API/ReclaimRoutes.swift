import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// All players that this server knows, wherever they are, and taking one back.
extension FederationRoutes {
    var reclaimRoutes: [APIRoute] {
        [
            APIRoute(.get, "/v1/players", .admin) { request, _ in
                let (after, limit) = try Self.page(request)
                let found = try await server.players(after: after, limit: limit)
                return .page(
                    "players", found.map { .object($0.briefMembers) }, limit: limit,
                    next: found.last?.player.description)
            },
            APIRoute(.get, "/v1/players/{player}", .admin) { _, context in
                .json(.object(try await server.player(try context.player(home: server.id)).members))
            },
            APIRoute(.post, "/v1/players/{player}/reclaim", .admin) { request, context in
                let player = try context.player(home: server.id)
                let members = try await request.members("reason")
                let reason = try members.value("reason", as: LineOfText.self, LineOfText.grammar)
                return .json(try await server.reclaim(player, reason: reason.description).json)
            },
            APIRoute(.get, "/v1/reclaims", .admin) { request, _ in
                let (after, limit) = try Self.page(request)
                let found = try await server.reclaims(after: after, limit: limit)
                return .page("reclaims", found.map(\.json), limit: limit, next: found.last?.player.description)
            },
        ]
    }

    private static func page(_ request: Request) throws(Problem) -> (after: PlayerID?, limit: Int) {
        let query = try Query(request, known: ["after", "limit"])
        return (try query.value("after", as: PlayerID.self, "name@home-server"), try query.limit())
    }
}
