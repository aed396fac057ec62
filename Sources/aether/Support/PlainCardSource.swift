import FederationModel
import FederationService
import NIOCore

/// Fetches cards over HTTP: at most 64 KiB, within 5 s, without following redirects.
struct PlainCardSource: CardSource {
    func card(at endpoint: Endpoint) async throws(Refusal) -> String {
        let link = HTTPRegistryLink(timeout: .seconds(5), maximumBytes: 1 << 16)
        let bytes = try await link.ask(
            RegistryRequest("GET", endpoint.httpBase, "/.well-known/aether-federation"))
        let fields = JSONText(data: .init(bytes)).fields
        guard let header = fields["protected"].string, let payload = fields["payload"].string,
            let signature = fields["signature"].string
        else {
            throw Refusal(
                .invalid, code: "card.malformed", reason: "\(endpoint) does not answer with a signed card",
                remedy: "check the address; it may be another kind of server")
        }
        return "\(header).\(payload).\(signature)"
    }
}
