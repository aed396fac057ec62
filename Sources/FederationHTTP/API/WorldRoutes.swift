import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// The worlds that this server offers.
extension FederationRoutes {
    var worldRoutes: [APIRoute] {
        [
            APIRoute(.get, "/v1/worlds", .everyone) { request, _ in try await listWorlds(request) },
            APIRoute(.get, "/v1/worlds/{world}", .everyone) { _, context in
                .json(try await server.world(try context.world()).json)
            },
            APIRoute(.put, "/v1/worlds/{world}", .admin) { request, context in try await putWorld(request, context) },
            APIRoute(.delete, "/v1/worlds/{world}", .admin) { _, context in
                try await server.removeWorld(try context.world())
                return Response(status: .noContent)
            },
            APIRoute(.get, "/v1/worlds/{world}/manifest", .everyone) { request, context in
                try await manifest(request, try context.world())
            },
        ]
    }

    private func listWorlds(_ request: Request) async throws -> Response {
        let query = try Query(request, known: ["after", "limit"])
        let limit = try query.limit()
        let after = try query.identifier("after", as: WorldID.self)
        let found = await server.worlds().lazy.filter { world in after.map { $0 < world.world } ?? true }.prefix(limit)
        return .page("worlds", found.map(\.json), limit: limit, next: found.last?.world.rawValue)
    }

    private func putWorld(_ request: Request, _ context: FederationRequestContext) async throws -> Response {
        let world = try context.world()
        try request.requireType([MediaType.json])
        let bytes = try await request.bytes(upTo: Limits.manifestBytes)
        let manifest: WorldManifest
        do throws(ManifestFailure) {
            manifest = try WorldManifest(canonicalBytes: bytes)
        } catch {
            throw error.refusal
        }
        guard manifest.world == world else {
            throw Problem.badRequest(
                "manifest.world", "the manifest is one of \(manifest.world), not of \(world)",
                remedy: "send it to /v1/worlds/\(manifest.world)")
        }
        let isKnown = (try? await server.world(world)) != nil
        let record = try await server.addWorld(manifest)
        return .json(
            record.json, status: isKnown ? .ok : .created, headers: [.location: "/v1/worlds/\(record.world)"])
    }

    private func manifest(_ request: Request, _ world: WorldID) async throws -> Response {
        let tag = EntityTag(try await server.world(world).manifest)
        if tag.isNamed(byIfNoneMatch: request.headers[values: .ifNoneMatch]) {
            return Response(status: .notModified, headers: [.eTag: tag.text, .cacheControl: "no-cache"])
        }
        let record = try await server.worldWithManifest(world)
        // The world may have been published anew in between: the tag is that of what is sent.
        let headers: HTTPFields = [
            .eTag: EntityTag(record.manifest).text, .cacheControl: "no-cache", .contentType: MediaType.json,
        ]
        return Response(
            status: .ok, headers: headers, body: body(of: record.manifest, 0..<record.manifestSize))
    }
}
