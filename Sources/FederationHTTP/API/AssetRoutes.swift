import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// Files by hash.
extension FederationRoutes {
    var assetRoutes: [APIRoute] {
        [
            APIRoute(.get, "/v1/assets", .admin) { request, _ in try await listAssets(request) },
            APIRoute(.get, "/v1/assets/{sha256}", .everyone) { request, context in
                try await asset(request, try context.hash())
            },
            APIRoute(.put, "/v1/assets/{sha256}", .admin) { request, context in
                try await putAsset(request, try context.hash())
            },
            APIRoute(.post, "/v1/assets/{sha256}/verify", .admin) { request, context in
                _ = try await request.bytes(upTo: Limits.jsonBytes)
                let proof = try await server.verify(asset: try context.hash())
                return .json(Self.json(proof.hash, size: proof.size))
            },
        ]
    }

    /// Bytes of an asset that are in memory at one time, per reader.
    static let chunkBytes: Int64 = 1 << 18

    private func listAssets(_ request: Request) async throws -> Response {
        let query = try Query(request, known: ["after", "limit"])
        let limit = try query.limit()
        let after = try query.value("after", as: ContentHash.self, "64 lower-case hex digits")
        let held = try await storage { try await server.assets.list() }
        let found = held.lazy.filter { asset in after.map { $0 < asset.hash } ?? true }.prefix(limit)
        return .page(
            "assets", found.map { Self.json($0.hash, size: $0.size) }, limit: limit,
            next: found.last.map { "\($0.hash)" })
    }

    private func asset(_ request: Request, _ hash: ContentHash) async throws -> Response {
        let query = try Query(request, known: ["type"])
        let type = query["type"] ?? MediaType.bytes
        guard AssetEntry.isValidMediaType(type) else {
            throw Query.invalid("type", type, "a media type such as image/png")
        }
        guard let size = try await storage({ try await server.assets.size(of: hash) }) else {
            throw FederationServer.unknownAsset(hash)
        }
        let tag = EntityTag(hash)
        var headers: HTTPFields = [
            .eTag: tag.text, .cacheControl: "public, max-age=31536000, immutable", .acceptRanges: "bytes",
            .crossOriginResourcePolicy: "cross-origin", .contentType: type,
        ]
        if tag.isNamed(byIfNoneMatch: request.headers[values: .ifNoneMatch]) {
            return Response(status: .notModified, headers: headers)
        }
        // RFC 9110 §14.2: ranges are for GET alone.
        let mayPart = request.method == .get && tag.allowsRange(ifRange: request.headers[.ifRange])
        switch ByteRange(mayPart ? request.headers[.range] : nil, size: size) {
        case .whole:
            return Response(status: .ok, headers: headers, body: body(of: hash, 0..<size))
        case .part(let range):
            headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"
            return Response(status: .partialContent, headers: headers, body: body(of: hash, range))
        case .unsatisfiable:
            var problem = Problem(
                .rangeNotSatisfiable, code: "asset.range", "the asset has \(size) bytes and the range lies behind them",
                remedy: "ask for a range within it")
            problem.headers = [.contentRange: "bytes */\(size)", .acceptRanges: "bytes"]
            throw problem
        }
    }

    /// The bytes, read while they are sent. An asset that vanishes meanwhile breaks the connection: the length that was
    /// promised must not be filled with anything else.
    func body(of hash: ContentHash, _ range: Range<Int64>) -> ResponseBody {
        let assets = server.assets
        return ResponseBody(contentLength: Int(range.count)) { writer in
            var offset = range.lowerBound
            while offset < range.upperBound {
                let length = Int(min(Self.chunkBytes, range.upperBound - offset))
                guard let bytes = try await assets.read(hash, offset: offset, length: length), bytes.count == length
                else {
                    throw Refusal(
                        .unavailable, code: "asset.lost", reason: "asset \(hash) vanished while it was being sent",
                        remedy: "ask again")
                }
                try await writer.write(ByteBuffer(bytes: bytes))
                offset += Int64(length)
            }
            try await writer.finish(nil)
        }
    }

    private func putAsset(_ request: Request, _ hash: ContentHash) async throws -> Response {
        let isHeld = try await storage { try await server.assets.size(of: hash) } != nil
        let writer = try await storage { try await server.assets.write() }
        var size: Int64 = 0
        do {
            size = try await request.eachPart(upTo: Limits.assetBytes, code: "asset.tooLarge") { part in
                try await storage { try await writer.append(Array(part.readableBytesView)) }
            }
        } catch {
            await writer.abandon()
            throw error
        }
        do {
            _ = try await storage { [size] in try await server.keep(writer, as: hash, size: size) }
        } catch let AssetWriteFailure.hashMismatch(expected, actual) {
            var problem = Problem(
                .unprocessableContent, code: "asset.hashMismatch", "the body hashes to \(actual), not to \(expected)",
                remedy: "send the file to /v1/assets/\(actual), or send the right file")
            problem.step = .verification
            problem.members = ["expected": .string("\(expected)"), "actual": .string("\(actual)")]
            throw problem
        }
        return .json(
            Self.json(hash, size: size), status: isHeld ? .ok : .created, headers: [.location: "/v1/assets/\(hash)"])
    }

    private static func json(_ hash: ContentHash, size: Int64) -> JSONValue {
        .object(["sha256": .string("\(hash)"), "size": .integer(size)])
    }

    /// What the asset store does, with its failures put for people.
    private func storage<Result: Sendable>(_ work: () async throws -> Result) async throws -> Result {
        do {
            return try await work()
        } catch let refusal as Refusal {
            throw refusal
        } catch let failure as AssetWriteFailure {
            throw failure
        } catch {
            server.logger.error("the asset store failed: \(error)")
            throw Refusal(
                .unavailable, code: "assets.failed", reason: "the asset store failed",
                remedy: "see this server's log, and to the disk of its data directory", step: .verification)
        }
    }
}
