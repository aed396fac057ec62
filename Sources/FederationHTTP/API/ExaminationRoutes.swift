import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// Looking for what is the matter, for the operator; and answering other servers that do.
extension FederationRoutes {
    var examinationRoutes: [APIRoute] {
        [
            APIRoute(.post, "/v1/examinations", .admin) { request, _ in
                let members = try await request.members("peer")
                guard let peer = try members.optionalValue("peer", as: ServerID.self, ServerID.grammar) else {
                    return .json(try await server.examineSelf().json)
                }
                return .json(try await server.examine(peer).json)
            },
            // It is signed by whom it is about, who is told about itself only.
            APIRoute(.post, "/v1/inquiries", .everyone) { request, context in
                let now = clock.now().instant
                if let seconds = gate.wait(for: .inquire, from: context.remote.network, at: now) {
                    var problem = Problem(
                        .tooManyRequests, code: "inquiry.tooMany", "too many inquiries came from your address",
                        remedy: "wait \(seconds) s, then ask again")
                    problem.headers[.retryAfter] = String(seconds)
                    throw problem
                }
                let answer = try await server.answer(inquiry: try await request.compactJWS())
                return .bytes(Array(answer.utf8), type: MediaType.jose, headers: [.cacheControl: "no-store"])
            },
        ]
    }
}

extension Examination {
    var json: JSONValue {
        .object([
            "server": .text(server), "ok": .bool(!isWrong), "findings": .array(findings.map { .object($0.members) }),
        ])
    }
}

extension Finding {
    var members: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "check": .string(check), "status": .string(status.rawValue), "code": .string(code), "found": .string(found),
        ]
        if let remedy { members["remedy"] = .string(remedy) }
        return members
    }
}
