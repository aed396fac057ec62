import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// Crossings: sending players through portals, and watching them go.
extension FederationRoutes {
    var crossingRoutes: [APIRoute] {
        [
            APIRoute(.post, "/v1/portals/{portal}/travel", .admin) { request, context in
                let portal = try context.portal()
                let members = try await request.members("player", "epoch")
                let player = try members.value("player", as: PlayerText.self, PlayerText.grammar).id(home: server.id)
                let epoch = try members.optionalCount("epoch").map { Epoch($0) }
                let crossing = try await server.travel(player, epoch: epoch, through: portal)
                return .json(
                    crossing.json, status: .accepted, headers: [.location: "/v1/handoffs/\(crossing.id)"])
            },
            APIRoute(.get, "/v1/handoffs", .admin) { request, _ in
                let query = try Query(request, known: ["state", "limit"])
                let phase = try query.choice("state", of: Crossing.Phase.self)
                let found = try await server.crossings(phase, limit: try query.limit())
                return .json(.object(["handoffs": .array(found.map(\.json))]))
            },
            APIRoute(.get, "/v1/handoffs/{handoff}", .admin) { _, context in
                .json(try await server.crossing(try context.handoff()).json)
            },
            APIRoute(.delete, "/v1/handoffs/{handoff}", .admin) { _, context in
                let id = try context.handoff()
                try await server.callOff(id)
                return .json(try await server.crossing(id).json)
            },
        ]
    }
}
