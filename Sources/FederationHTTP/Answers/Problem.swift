import FederationCrypto
import FederationModel
import HTTPTypes

/// An answer that says no: the problem details of RFC 9457, with the stable `code` by which programs tell problems apart,
/// the `remedy`, and the `step` of a crossing that refused, when it was one.
struct Problem: Error, Sendable {
    let status: HTTPResponse.Status
    /// Stable and dotted, as in ``Refusal/code``.
    let code: String
    /// What was refused and why, in one line.
    let detail: String
    /// What to do about it, in one line.
    let remedy: String
    var step: CrossingStep?
    /// Further members, such as `expected` and `actual`.
    var members: [String: JSONValue] = [:]
    var headers: HTTPFields = [:]

    init(_ status: HTTPResponse.Status, code: String, _ detail: String, remedy: String) {
        self.status = status
        self.code = code
        self.detail = detail
        self.remedy = remedy
        if status == .serviceUnavailable { headers[.retryAfter] = String(Self.retrySeconds) }
    }

    /// What the service refused. Malformed requests never get as far as the service, so what it calls invalid parses and
    /// cannot be processed: 422 (RFC 9110 §15.5.21).
    init(_ refusal: Refusal) {
        let status: HTTPResponse.Status =
            switch refusal.kind {
            case .invalid: .unprocessableContent
            case .notFound: .notFound
            case .conflict: .conflict
            case .forbidden: .forbidden
            case .overloaded, .unavailable: .serviceUnavailable
            }
        self.init(status, code: refusal.code, refusal.reason, remedy: refusal.remedy)
        step = refusal.step
    }

    /// When a caller may try again after a bound or a fault, in seconds.
    private static let retrySeconds = 5

    /// A request that does not parse.
    static func badRequest(_ code: String, _ detail: String, remedy: String) -> Problem {
        Problem(.badRequest, code: code, detail, remedy: remedy)
    }

    /// A body over its bound.
    static func tooLarge(_ code: String, limit: Int64) -> Problem {
        Problem(
            .contentTooLarge, code: code, "the request's body has more than \(limit) bytes",
            remedy: "send at most \(limit) bytes")
    }

    /// The details as JSON. `type` is `about:blank`, so that `title` is the phrase of the status (RFC 9457 §4.2.1).
    var body: [UInt8] {
        var body = members
        body["type"] = .string("about:blank")
        body["title"] = .string(status.reasonPhrase)
        body["status"] = .integer(Int64(status.code))
        body["code"] = .string(code)
        body["detail"] = .string(detail)
        body["remedy"] = .string(remedy)
        if let step { body["step"] = .string(step.rawValue) }
        return JSONValue.object(body).serialized() + [0x0A]
    }
}

/// The media types of this API.
enum MediaType {
    static let json = "application/json"
    /// RFC 9457 §3.
    static let problem = "application/problem+json"
    /// Compact JWS (RFC 7515 §9.2.1).
    static let jose = "application/jose"
    /// JSON-serialised JWS (RFC 7515 §9.2.2).
    static let joseJSON = "application/jose+json"
    static let bytes = "application/octet-stream"
    /// Server-sent events (WHATWG HTML §9.2).
    static let events = "text/event-stream"
    /// The Prometheus text format.
    static let metrics = "text/plain; version=0.0.4; charset=utf-8"
}
