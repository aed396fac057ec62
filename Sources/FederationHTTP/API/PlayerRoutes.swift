import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// The players in the worlds of this server, as world servers enter, save and load them.
extension FederationRoutes {
    var playerRoutes: [APIRoute] {
        let player = "/v1/worlds/{world}/players/{player}"
        return [
            APIRoute(.get, "/v1/worlds/{world}/players", .admin) { request, context in
                try await listPlayers(request, try context.world())
            },
            APIRoute(.put, player, .admin) { request, context in try await enter(request, context) },
            APIRoute(.get, player, .admin) { _, context in
                let record = try await found(context)
                var members = record.members
                members["state"] = .string(base64(record.state))
                return .json(.object(members))
            },
            APIRoute(.post, player + "/ticket", .admin) { _, context in try await ticket(context) },
            APIRoute(.delete, player, .admin) { request, context in
                let record = try await server.leave(
                    try context.player(home: server.id), world: try context.world(),
                    epoch: try Self.epoch(request.headers[.aetherEpoch]))
                return .json(.object(record.members))
            },
        ]
    }

    private func listPlayers(_ request: Request, _ world: WorldID) async throws -> Response {
        let query = try Query(request, known: ["after", "limit"])
        let limit = try query.limit()
        let after = try query.value("after", as: PlayerID.self, "name@home-server")
        let found = try await server.players(in: world).lazy.filter { record in after.map { $0 < record.player } ?? true
        }
        .prefix(limit)
        return .page(
            "players", found.map { .object($0.briefMembers) }, limit: limit, next: found.last?.player.description)
    }

    private func enter(_ request: Request, _ context: FederationRequestContext) async throws -> Response {
        let player = try context.player(home: server.id)
        let world = try context.world()
        let epoch = try Self.epoch(request.headers[.aetherEpoch])
        let key = try Self.clientKey(request.headers[.aetherClientKey])
        let state = try await request.bytes(upTo: Limits.snapshotBytes, code: "player.stateTooLarge")
        let record = try await server.enter(player, world: world, state: state, clientKey: key, epoch: epoch)
        var members = record.members
        members["ticket"] = .string(await server.ticket(for: record))
        // A player's first revision is their first time here.
        return .json(.object(members), status: record.revision == 1 ? .created : .ok)
    }

    /// A ticket for the client of a player who is here, whose state stays as it is: for one that has lost its own.
    private func ticket(_ context: FederationRequestContext) async throws -> Response {
        let record = try await found(context)
        switch record.presence {
        case .playable, .departing, .left: break
        case .departed(let peer, _): throw PlayerTable.Failure.departed(record.player, to: peer).refusal
        case .recalled: throw PlayerTable.Failure.departed(record.player, to: record.player.home).refusal
        }
        var members = record.briefMembers
        members["ticket"] = .string(await server.ticket(for: record))
        return .json(.object(members))
    }

    /// The player of the path, in the world of the path. One who is on another server is in no world here, whichever asks.
    private func found(_ context: FederationRequestContext) async throws -> PlayerRecord {
        let world = try context.world()
        let record = try await server.player(try context.player(home: server.id))
        switch record.presence {
        case .departed, .recalled: return record
        case .playable, .departing, .left: break
        }
        guard record.world == world else {
            throw PlayerTable.Failure.wrongWorld(record.player, actual: record.world).refusal
        }
        return record
    }

    private static func epoch(_ field: String?) throws(Problem) -> Epoch? {
        guard let field else { return nil }
        guard field.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt64(field) else {
            throw .badRequest(
                "header.invalid", "Aether-Epoch is \(quoted(field))", remedy: "send the epoch that this server answered"
            )
        }
        return Epoch(number)
    }

    private static func clientKey(_ field: String?) throws(Problem) -> PublicKey? {
        guard let field else { return nil }
        guard let key = PublicKey(field), key.isAcceptable else {
            throw .badRequest(
                "header.invalid", "Aether-Client-Key is \(quoted(field))",
                remedy: "send the client's Ed25519 public key as 64 lower-case hex digits")
        }
        return key
    }
}
