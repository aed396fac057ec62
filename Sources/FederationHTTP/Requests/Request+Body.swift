import FederationCrypto
import FederationModel
import HTTPTypes
import Hummingbird

extension Request {
    /// The whole body.
    ///
    /// - Throws: 413 with `code` over `limit` bytes; 400 when the connection broke before the body was whole.
    func bytes(upTo limit: Int, code: String = "body.tooLarge") async throws -> [UInt8] {
        var bytes: [UInt8] = []
        try await eachPart(upTo: Int64(limit), code: code) { bytes.append(contentsOf: $0.readableBytesView) }
        return bytes
    }

    /// Hands over the body in the pieces in which it comes, and returns how many bytes there were.
    ///
    /// - Throws: as ``bytes(upTo:code:)``; what `take` throws.
    @discardableResult
    func eachPart(
        upTo limit: Int64, code: String, _ take: (ByteBuffer) async throws -> Void
    ) async throws -> Int64 {
        if let coding = headers[.contentEncoding], coding.lowercased() != "identity" {
            throw Problem(
                .unsupportedMediaType, code: "body.encoding", "the body is encoded as \(quoted(coding))",
                remedy: "send it as it is, without Content-Encoding")
        }
        let announced = headers[.contentLength].flatMap { Int64($0) }
        if let announced, announced > limit { throw Problem.tooLarge(code, limit: limit) }
        var count: Int64 = 0
        var iterator = body.makeAsyncIterator()
        while let part = try await Self.next(&iterator) {
            count += Int64(part.readableBytes)
            guard count <= limit else { throw Problem.tooLarge(code, limit: limit) }
            try await take(part)
        }
        // A connection that ends early looks like the end of the body here.
        if let announced, announced != count { throw Self.incomplete }
        return count
    }

    private static func next(_ iterator: inout RequestBody.AsyncIterator) async throws -> ByteBuffer? {
        do {
            return try await iterator.next()
        } catch {
            throw incomplete
        }
    }

    private static let incomplete = Problem.badRequest(
        "body.incomplete", "the body broke off, or is not in the coding that its head announces",
        remedy: "send the request again")

    /// The members of a JSON body.
    func members(_ known: String...) async throws -> Members {
        try requireType([MediaType.json])
        return try Members(try await bytes(upTo: Limits.jsonBytes), known: known)
    }

    /// Refuses a body of another media type; parameters such as `charset` do not matter.
    func requireType(_ types: [String]) throws(Problem) {
        let type = headers[.contentType]?.split(separator: ";").first.map { $0.lowercased() } ?? ""
        let trimmed = type.split(separator: " ").joined()
        guard types.contains(trimmed) else {
            throw Problem(
                .unsupportedMediaType, code: "body.mediaType",
                trimmed.isEmpty ? "the body has no Content-Type" : "the body's Content-Type is \(quoted(trimmed))",
                remedy: "send Content-Type: \(types.joined(separator: " or "))")
        }
    }

    /// A signed statement in compact form: sent so, as the flattened JSON of RFC 7515 §7.2.2, or as `{"card": "<compact>"}`.
    func compactJWS() async throws -> String {
        try requireType([MediaType.jose, MediaType.joseJSON, MediaType.json])
        // The JSON form has three names and punctuation around the same text.
        let bytes = try await bytes(upTo: Limits.jwsBytes + 256)
        guard bytes.first(where: { $0 > 0x20 }) == 0x7B else {
            // By bytes: what is not ASCII is no JWS anyway, and looking up what Unicode says of each character took as long as
            // half a signature check.
            let word = bytes.drop(while: Self.isSpace).prefix { !Self.isSpace($0) }
            guard let text = String(validating: word, as: UTF8.self) else { throw Self.notJWS }
            return text
        }
        if let members = try? Members(bytes, known: ["card"]) {
            return try members.value("card", as: String.self, "a compact JWS (RFC 7515)")
        }
        let members = try Members(bytes, known: ["payload", "protected", "signature"])
        let parts = try ["protected", "payload", "signature"].map {
            try members.value($0, as: String.self, "base64url (RFC 7515 §7.2.2)")
        }
        return parts.joined(separator: ".")
    }

    /// White space as JSON has it (RFC 8259 §2).
    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
    }

    private static let notJWS = Problem.badRequest(
        "body.notJWS", "the body is not a signed statement", remedy: "send a compact or a flattened JSON JWS (RFC 7515)"
    )
}
