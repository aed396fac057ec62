import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// Keys: this server's own, and what is proved of others'.
extension FederationRoutes {
    var keyRoutes: [APIRoute] {
        [
            APIRoute(.get, "/v1/keys", .admin) { request, _ in
                _ = try Query(request, known: [])
                return await keysAnswer()
            },
            APIRoute(.post, "/v1/keys/rotate", .admin) { request, _ in
                _ = try await request.bytes(upTo: Limits.jsonBytes)
                _ = try await server.rotateKeys()
                return await keysAnswer()
            },
            APIRoute(.post, "/v1/keys/replace", .admin) { request, _ in
                _ = try await request.bytes(upTo: Limits.jsonBytes)
                guard try await server.replaceKeys() != nil else {
                    throw Refusal(
                        .notFound, code: "keys.noReplacement", reason: "no replacement of this server's keys waits",
                        remedy: "make one with: aether keys revoke")
                }
                return await keysAnswer()
            },
            // It is signed by whom it is about, so everybody may bring it.
            APIRoute(.post, "/v1/revocations", .everyone) { request, context in
                try restrain(.write, context)
                try await server.revoke(try await request.compactJWS())
                return Response(status: .noContent)
            },
            APIRoute(.get, "/v1/equivocations", .everyone) { request, context in
                try restrain(.read, context)
                return try await listEquivocations(request)
            },
        ]
    }

    /// One page, bounded in bytes as well.
    private func listEquivocations(_ request: Request) async throws -> Response {
        let query = try Query(request, known: ["after", "limit"])
        let limit = try query.limit()
        let after = try query.identifier("after", as: ServerID.self)
        let (found, hasMore) = await server.equivocations(after: after, limit: limit, bytes: Self.pageBytes)
        var members: [String: JSONValue] = ["equivocations": .array(found.map(\.json))]
        if hasMore, let last = found.last { members["next"] = .string(last.server.rawValue) }
        return .json(.object(members))
    }

    /// Bytes of cards on one page.
    private static let pageBytes = Limits.registryAnswerBytes * 3 / 4

    private func keysAnswer() async -> Response {
        let (key, commitment, changes) = await server.keys()
        var members: [String: JSONValue] = [
            "publicKey": .string(key.description), "fingerprint": .string(key.fingerprint),
            "rotations": .integer(Int64(changes.past.count)),
        ]
        if let next = commitment.next { members["next"] = .string(next.description) }
        if let recovery = commitment.recovery { members["recovery"] = .string(recovery.description) }
        return .json(.object(members))
    }
}

extension Equivocation {
    /// Both cards, so that whoever reads them can check the signatures.
    var json: JSONValue {
        .object([
            "id": .string(server.rawValue), "first": .string(first), "second": .string(second),
            "seenAt": .string(seenAt.rfc3339),
        ])
    }
}
