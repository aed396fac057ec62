import ArgumentParser
import FederationCrypto
import FederationModel
import Foundation

/// Fetches another server's signed card and verifies that it is signed by the key that it names.
enum CardFetcher {
    /// - Parameter address: `aether://`, `ws://`, `wss://`, `http://` or `https://`.
    static func fetch(_ address: String) async throws -> (text: String, card: ServerCard) {
        let base = try base(of: address)
        let response = try await AdminClient(
            base: base, key: nil, remedy: "check the address, and that a server runs there"
        ).get("/.well-known/aether-federation")
        let fields = response.json.fields
        guard let header = fields["protected"].string, let payload = fields["payload"].string,
            let signature = fields["signature"].string
        else {
            throw Refusal(
                .invalid, code: "card.malformed", reason: "\(base) does not answer with a signed card",
                remedy: "check the address; it may be another kind of server")
        }
        let text = "\(header).\(payload).\(signature)"
        do {
            return (text, try ServerCard.verify(text, at: now()))
        } catch {
            throw Refusal(
                .invalid, code: "card.refused", reason: "the card of \(base) \(error.reason)",
                remedy: "compare the clocks of both machines; else tell the server's operator")
        }
    }

    /// Compares fingerprints as people type them: letters and digits count, spaces and dashes do not.
    static func isSame(_ left: String, _ right: String) -> Bool {
        func essence(_ text: String) -> String { text.lowercased().filter { $0.isLetter || $0.isNumber } }
        return !essence(left).isEmpty && essence(left) == essence(right)
    }

    private static func now() -> Timestamp {
        Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
    }

    /// The HTTP address of a server; misuse when `address` is none.
    private static func base(of address: String) throws -> String {
        if let endpoint = Endpoint(address) { return endpoint.httpBase }
        for (scheme, replacement) in [("http://", "ws://"), ("https://", "wss://")] where address.hasPrefix(scheme) {
            if let endpoint = Endpoint(replacement + address.dropFirst(scheme.count)) { return endpoint.httpBase }
        }
        let world = address.hasPrefix("aether://") && !address.dropFirst(9).contains("/") ? address + "/any" : address
        if let url = AetherURL(world) {
            return "http://\(url.host):\(url.port)"
        }
        throw ValidationError(
            "'\(oneLine(address).prefix(120))' is not the address of a server: use aether://host, ws://host:port or wss://host:port"
        )
    }
}
