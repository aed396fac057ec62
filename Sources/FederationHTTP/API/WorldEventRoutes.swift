import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// What a world server is told, and its say in who enters.
extension FederationRoutes {
    var worldEventRoutes: [APIRoute] {
        [
            APIRoute(.get, "/v1/worlds/{world}/events", .admin) { request, context in
                try await events(request, context)
            },
            APIRoute(.post, "/v1/worlds/{world}/arrivals/{handoff}", .admin) { request, context in
                let world = try context.world()
                let handoff = try context.handoff()
                try await server.answerArrival(handoff, in: world, refusal: try await Self.refusal(in: request))
                return Response(status: .noContent)
            },
        ]
    }

    private func events(_ request: Request, _ context: FederationRequestContext) async throws -> Response {
        let world = try context.world()
        let isGuarding = try Query(request, known: ["guard"]).value("guard", as: Bool.self, "true or false") ?? false
        guard request.method == .get else {
            _ = try await server.world(world)
            return Response(status: .ok, headers: EventStream.headers)
        }
        let events = try await server.worldEvents(of: world, guarding: isGuarding)
        let hello = JSONValue.object([
            "world": .text(world), "guarding": .bool(isGuarding),
            "players": .count(try await server.players(in: world).count),
        ])
        return EventStream(request: request, channel: context.channel, clock: clock)
            .response(first: EventStream.text("hello", hello), events) { EventStream.text($0.name, $0.json) }
    }

    /// Why the player may not enter; nil when they may.
    private static func refusal(in request: Request) async throws -> String? {
        let members = try await request.members("admit", "reason")
        let mayEnter = try members.bool("admit")
        guard mayEnter else {
            return try members.value("reason", as: LineOfText.self, LineOfText.grammar).description
        }
        guard try members.optionalValue("reason", as: String.self, LineOfText.grammar) == nil else {
            throw Problem.badRequest(
                "body.invalidField", "a player who is let in needs no 'reason'", remedy: "leave it out")
        }
        return nil
    }
}
