import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// The trust policy, what peers may do, and of whom they tell.
extension FederationRoutes {
    var trustRoutes: [APIRoute] {
        [
            APIRoute(.get, "/v1/policy", .admin) { request, _ in
                _ = try Query(request, known: [])
                return Self.answer(await server.policy())
            },
            APIRoute(.put, "/v1/policy", .admin) { request, _ in
                let policy = try TrustPolicy(json: try await request.jsonValue())
                let expected = request.headers[values: .ifMatch]
                do throws(Refusal) {
                    try await server.setPolicy(policy) { EntityTag($0).isNamed(byIfMatch: expected) }
                } catch {
                    guard error.code == "policy.changed" else { throw error }
                    // What the condition of a request refuses has a status of its own (RFC 9110 §13.1.1).
                    throw Problem(.preconditionFailed, code: error.code, error.reason, remedy: error.remedy)
                }
                // As it was set; by now it may be another one.
                return Self.answer(policy)
            },
            APIRoute(.get, "/v1/introductions", .admin) { request, _ in
                _ = try Query(request, known: [])
                return .json(.object(["servers": .array(await server.heardOf().map(\.json))]))
            },
            APIRoute(.patch, "/v1/peers/{server}", .admin) { request, context in
                let id = try context.server()
                let value = try await request.jsonValue()
                _ = try Members(value, known: ["scopes"])
                guard let scopes = value["scopes"] else {
                    throw Problem.badRequest(
                        "body.missingField", "the field 'scopes' is missing",
                        remedy: "add it: a list of \(PeerScopes.named.map(\.name).joined(separator: ", "))")
                }
                try await server.setScopes(id, try PeerScopes(json: scopes))
                return .json(try await server.peer(id).json)
            },
        ]
    }

    private static func answer(_ policy: TrustPolicy) -> Response {
        .json(policy.json, headers: [.eTag: EntityTag(policy).text, .cacheControl: "no-store"])
    }
}

extension EntityTag {
    init(_ policy: TrustPolicy) {
        self.init(ContentHash.of(Array(policy.description.utf8)))
    }
}

extension Request {
    /// A JSON body, whole and bounded.
    func jsonValue() async throws -> JSONValue {
        try requireType([MediaType.json])
        let bytes = try await bytes(upTo: Limits.jsonBytes)
        do {
            return try JSONValue.parse(bytes)
        } catch {
            throw Problem.badRequest("body.notJSON", "\(error)", remedy: "send one JSON object (RFC 8259)")
        }
    }
}

extension HeardOf {
    var json: JSONValue {
        var members: [String: JSONValue] = [
            "id": .text(server), "introductions": .array(introductions.map(\.json)),
        ]
        if let trust { members["trust"] = .text(trust) }
        if let refusal { members["refusal"] = .object(refusal.members) }
        return .object(members)
    }
}

extension HeardIntroduction {
    var json: JSONValue {
        .object([
            "introducer": .text(introducer), "publicKey": .text(introduction.key),
            "fingerprint": .string(introduction.key.fingerprint), "endpoint": .text(introduction.endpoint),
            "issuedAt": .time(introduction.issuedAt), "expiresAt": .time(introduction.expiresAt),
            "heardAt": .time(heardAt),
        ])
    }
}
