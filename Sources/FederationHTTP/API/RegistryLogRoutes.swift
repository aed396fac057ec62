import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// The registry's log with its proofs, and the registries that this server uses itself.
extension FederationRoutes {
    var registryLogRoutes: [APIRoute] {
        [
            APIRoute(.get, "/v1/log/head", .everyone) { request, context in
                try limit(.read, request, context)
                _ = try Query(request, known: [])
                let head = try await server.logHead()
                return .json(
                    .object([
                        "registry": .text(server.id), "size": .count(head.head.size), "root": .text(head.head.root),
                        "head": .string(head.compact),
                    ]))
            },
            APIRoute(.get, "/v1/log/entries", .everyone) { request, context in
                try limit(.read, request, context)
                return try await logEntries(request)
            },
            APIRoute(.get, "/v1/log/inclusion", .everyone) { request, context in
                try limit(.read, request, context)
                let query = try Query(request, known: ["server"])
                guard let id = try query.identifier("server", as: ServerID.self) else {
                    throw Query.invalid("server", "", ServerID.grammar)
                }
                let found = try await server.logInclusion(of: id)
                return .json(
                    .object([
                        "index": .count(found.record.index), "entry": try found.record.entry,
                        "proof": .hashes(found.proof), "head": .string(found.head),
                    ]))
            },
            APIRoute(.get, "/v1/log/consistency", .everyone) { request, context in
                try limit(.read, request, context)
                let query = try Query(request, known: ["from", "to"])
                guard let from = try query.value("from", as: Int.self, "a size of the log") else {
                    throw Query.invalid("from", "", "a size of the log")
                }
                let answer = try await server.logConsistency(
                    from: from, to: try query.value("to", as: Int.self, "a size of the log"))
                return .json(
                    .object(["from": .count(from), "to": .count(answer.to), "proof": .hashes(answer.proof)]))
            },
            APIRoute(.get, "/v1/registries", .everyone) { request, context in
                _ = try Query(request, known: [])
                // What an operator may see is theirs; the heads are everybody's, so that people can compare them.
                let isAdmin = request.headers.contains(.authorization)
                if isAdmin,
                    let problem = admin.check(
                        request.headers, from: context.remote, at: clock.now().instant
                    ).problem
                {
                    throw problem
                }
                let sources = await server.sources()
                return .json(.object(["registries": .array(sources.map { $0.json(forOperator: isAdmin) })]))
            },
            APIRoute(.post, "/v1/registries/readmit", .admin) { request, _ in
                let members = try await request.members("address")
                let address = try members.value("address", as: LineOfText.self, LineOfText.grammar)
                try await server.readmit(address.description)
                return Response(status: .noContent)
            },
        ]
    }

    private func logEntries(_ request: Request) async throws -> Response {
        let query = try Query(request, known: ["after", "limit", "cards"])
        let after = try query.value("after", as: Int.self, "the index of an entry")
        if let after, after < 0 || after >= Int.max {
            throw Query.invalid("after", "\(after)", "the index of an entry")
        }
        let withCards = try query.value("cards", as: Bool.self, "true or false") ?? false
        let page = try await server.logPage(
            from: after.map { $0 + 1 } ?? 0, limit: try query.limit(), withCards: withCards)
        let entries = try page.records.map { record in
            JSONValue.object(["index": .count(record.index), "entry": try record.entry])
        }
        var members: [String: JSONValue] = ["entries": .array(entries)]
        if withCards {
            members["cards"] = .object(
                Dictionary(uniqueKeysWithValues: page.cards.map { ($0.key.rawValue, .string($0.value)) }))
        }
        if page.hasMore, let last = page.records.last { members["next"] = .string("\(last.index)") }
        return .json(.object(members))
    }
}

extension RegistryLogRecord {
    /// The entry as it was stored: its bytes, serialised again, are the leaf.
    fileprivate var entry: JSONValue {
        get throws { try JSONValue.parse(leaf) }
    }
}

extension JSONValue {
    fileprivate static func hashes(_ hashes: [ContentHash]) -> JSONValue { .array(hashes.map { .text($0) }) }
}

extension RegistrySource {
    func json(forOperator isOperator: Bool) -> JSONValue {
        var members: [String: JSONValue] = ["address": .string(address)]
        if let registry { members["registry"] = .text(registry) }
        if let head { members["head"] = .string(head) }
        guard isOperator else { return .object(members) }
        if let lastContact { members["lastContact"] = .time(lastContact) }
        if let lastError {
            members["lastError"] = .object([
                "code": .string(lastError.code), "detail": .string(lastError.reason),
                "remedy": .string(lastError.remedy),
            ])
        }
        members["size"] = .count(size)
        members["read"] = .count(read)
        members["servers"] = .count(servers)
        members["registered"] = .bool(isRegistered)
        members["faulty"] = .bool(isFaulty)
        if let fault {
            members["fault"] = .object([
                "code": .string(fault.code), "evidence": .array(fault.evidence.map { .string($0) }),
                "seenAt": .time(fault.seenAt),
            ])
        }
        return .object(members)
    }
}
