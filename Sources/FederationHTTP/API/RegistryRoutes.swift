import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// The registry: which servers are known here.
extension FederationRoutes {
    var registryRoutes: [APIRoute] {
        // In a registry for everybody the signature is the permission, which is looked at where the body is.
        let changes: APIRoute.Access = registryAccess == .signed ? .everyone : .admin
        return [
            APIRoute(.get, "/v1/servers", .everyone) { request, context in
                try limit(.read, request, context)
                return try await listServers(request)
            },
            APIRoute(.post, "/v1/servers", changes) { request, context in
                let isStranger = try limit(.write, request, context)
                let card = try await request.compactJWS()
                let entry =
                    try await isStranger
                    ? server.registerStranger(card, from: AddressRange(context.remote.network)) : server.register(card)
                return .json(entry.json, headers: [.location: "/v1/servers/\(entry.id)"])
            },
            APIRoute(.get, "/v1/servers/{server}", .everyone) { request, context in
                try limit(.read, request, context)
                let (entry, card) = try await server.serverAndCard(try context.server())
                var members = shown(entry)
                if let card { members["card"] = try Self.flattened(card) }
                return .json(.object(members))
            },
            APIRoute(.delete, "/v1/servers/{server}", changes) { request, context in
                let id = try context.server()
                if try limit(.write, request, context) {
                    try await server.deregister(id, statement: try await request.compactJWS())
                } else {
                    try await server.deregister(id)
                }
                return Response(status: .noContent)
            },
            APIRoute(.post, "/v1/servers/{server}/heartbeat", .everyone) { request, context in
                try limit(.write, request, context)
                let id = try context.server()
                if changes == .admin, let entry = await comeback(of: id, request) { return .json(entry.json) }
                try authorise(changes, request, context)
                return .json(try await server.heartbeat(id, statement: try await request.compactJWS()).json)
            },
            APIRoute(.post, "/v1/servers/{server}/suspend", .admin) { request, context in
                let members = try await request.members("reason")
                let reason = try members.value("reason", as: LineOfText.self, LineOfText.grammar)
                let id = try context.server()
                return try await standing(of: id, try await server.suspend(id, reason: reason.description))
            },
            APIRoute(.post, "/v1/servers/{server}/reinstate", .admin) { request, context in
                _ = try await request.bytes(upTo: Limits.jsonBytes)
                let id = try context.server()
                return try await standing(of: id, try await server.reinstate(id))
            },
        ]
    }

    /// A peer that says to be back needs no key but its own. Whoever is no peer, or is not believed, hears what everybody
    /// hears who does not show the admin key: who is a peer is not for everybody to know.
    private func comeback(of id: ServerID, _ request: Request) async -> FederatedServer? {
        guard request.headers[.authorization] == nil, await server.isPeer(id),
            let statement = try? await request.compactJWS()
        else { return nil }
        return try? await server.heartbeat(id, statement: statement)
    }

    private func listServers(_ request: Request) async throws -> Response {
        let query = try Query(request, known: ["status", "world", "text", "cards", "after", "limit"])
        let limit = try query.limit()
        let search = RegistrySearch(
            status: try query.choice("status", of: ServerStatus.self),
            world: try query.identifier("world", as: WorldID.self),
            text: try query.value("text", as: SearchText.self, SearchText.grammar)?.description)
        let withCards = try query.value("cards", as: Bool.self, "true or false") ?? false
        let after = try query.identifier("after", as: ServerID.self)
        let (found, next): (servers: [(entry: FederatedServer, card: String?)], next: ServerID?)
        if withCards {
            (found, next) = try await server.searchWithCards(search, after: after, limit: min(limit, 200))
        } else {
            let (servers, last) = try await server.search(search, after: after, limit: limit)
            (found, next) = (servers.map { ($0, nil) }, last)
        }
        var entries: [JSONValue] = []
        var last: ServerID?
        var bytes = 0
        for (entry, card) in found {
            var members = shown(entry)
            if let card {
                bytes += card.utf8.count + 1_024
                guard bytes < Limits.registryAnswerBytes * 3 / 4 || entries.isEmpty else { break }
                members["card"] = .string(card)
            }
            entries.append(.object(members))
            last = entry.id
        }
        // Whoever audits compares this with the log, which shows what is durable.
        if await server.keepsRegistryLog { try await server.settle() }
        var members: [String: JSONValue] = ["servers": .array(entries)]
        if let cursor = entries.count < found.count ? last : next { members["next"] = .string(cursor.rawValue) }
        return .json(.object(members))
    }

    /// A server as everybody sees it: why it is suspended is said by a registry, and not by a server that keeps its peers
    /// to itself.
    private func shown(_ entry: FederatedServer) -> [String: JSONValue] {
        var members = entry.members
        if registryAccess != .signed { members["suspensionReason"] = nil }
        return members
    }

    /// Counts what a stranger does, whether or not this server is a registry for everybody: a listing costs it the same.
    ///
    /// - Returns: whether it is a stranger, and not whoever holds the admin key.
    @discardableResult
    func limit(
        _ act: RegistryGate.Act, _ request: Request, _ context: FederationRequestContext
    ) throws(Problem) -> Bool {
        if request.headers.contains(.authorization) {
            try authorise(.admin, request, context)
            return false
        }
        try restrain(act, context)
        return true
    }

    /// Counts what costs a server something whoever asks for it, and whether or not it serves a registry.
    func restrain(_ act: RegistryGate.Act, _ context: FederationRequestContext) throws(Problem) {
        let now = clock.now().instant
        guard let seconds = gate.wait(for: act, from: context.remote.network, at: now) else { return }
        var problem = Problem(
            .tooManyRequests, code: "registry.tooManyRequests", "too many requests came to this server",
            remedy: "wait \(seconds) s, then go on more slowly")
        problem.headers[.retryAfter] = String(seconds)
        throw problem
    }
}

/// What a search looks for.
private struct SearchText: LosslessStringConvertible {
    let description: String

    static let grammar = "1–\(Limits.searchTextBytes) bytes of text without control characters"

    init?(_ description: String) {
        guard description.utf8.count <= Limits.searchTextBytes, LineOfText(description) != nil else { return nil }
        self.description = description
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
