import FederationCrypto
import FederationModel
import HTTPTypes
import Hummingbird

extension Response {
    /// A JSON text, its keys sorted.
    static func json(
        _ value: JSONValue, status: HTTPResponse.Status = .ok, type: String = MediaType.json, headers: HTTPFields = [:]
    ) -> Response {
        bytes(value.serialized() + [0x0A], status: status, type: type, headers: headers)
    }

    /// Bytes of a media type.
    static func bytes(
        _ bytes: [UInt8], status: HTTPResponse.Status = .ok, type: String, headers: HTTPFields = [:]
    ) -> Response {
        var fields = headers
        fields[.contentType] = type
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}

extension HTTPField.Name {
    /// A field name that is not one of HTTPTypes' own.
    private static func own(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { preconditionFailure("\(text) is a field name (RFC 9110 §5.1)") }
        return name
    }

    /// The epoch that a world server believes a player is in.
    static let aetherEpoch = own("Aether-Epoch")
    /// The public key that a player's client proves it holds, in hex.
    static let aetherClientKey = own("Aether-Client-Key")
    /// What the request is called in this server's log.
    static let requestID = own("X-Request-Id")
    static let referrerPolicy = own("Referrer-Policy")
    static let forwarded = own("Forwarded")
    static let xForwardedFor = own("X-Forwarded-For")
}
