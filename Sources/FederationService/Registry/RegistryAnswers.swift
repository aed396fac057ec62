import FederationCrypto
import FederationModel

/// Asks a registry, and reads what it answers. Nothing of it is believed yet.
struct RegistryAnswers: Sendable {
    let link: any RegistryLink
    let address: String

    /// The registry's own card, as compact JWS.
    func card() async throws(Refusal) -> String {
        try await get("/.well-known/aether-federation") { answer throws(RegistryAnswer.Malformed) in
            try answer.card()
        }
    }

    func head() async throws(Refusal) -> String {
        try await get("/v1/log/head") { answer throws(RegistryAnswer.Malformed) in try answer.head() }
    }

    func consistency(from earlier: UInt64, to later: UInt64) async throws(Refusal) -> [ContentHash] {
        try await get("/v1/log/consistency?from=\(earlier)&to=\(later)") { answer throws(RegistryAnswer.Malformed) in
            try answer.consistency()
        }
    }

    func entries(from first: Int, limit: Int, withCards: Bool) async throws(Refusal) -> RegistryAnswer.Page {
        let after = first == 0 ? "" : "&after=\(first - 1)"
        return try await get("/v1/log/entries?limit=\(limit)&cards=\(withCards)\(after)") {
            answer throws(RegistryAnswer.Malformed) in
            try answer.entries(limit: limit)
        }
    }

    func inclusion(of server: ServerID) async throws(Refusal) -> RegistryAnswer.Inclusion {
        try await get("/v1/log/inclusion?server=\(server)") { answer throws(RegistryAnswer.Malformed) in
            try answer.inclusion()
        }
    }

    /// One page of the listing: ids with their cards, and where to go on.
    func listing(after: String?) async throws(Refusal) -> RegistryAnswer.Listing {
        try await get("/v1/servers?cards=true&limit=200" + (after.map { "&after=\($0)" } ?? "")) {
            answer throws(RegistryAnswer.Malformed) in
            try answer.listing(after: after)
        }
    }

    /// Any document, for looking for heads in it.
    func document(_ path: String) async throws(Refusal) -> JSONValue {
        try await get(path) { answer throws(RegistryAnswer.Malformed) in answer.json }
    }

    private func get<Value>(
        _ path: String, _ read: (RegistryAnswer) throws(RegistryAnswer.Malformed) -> Value
    ) async throws(Refusal) -> Value {
        let bytes = try await link.ask(RegistryRequest("GET", address, path))
        do throws(RegistryAnswer.Malformed) {
            return try read(try RegistryAnswer(bytes))
        } catch {
            throw Refusal(
                .unavailable, code: "registry.malformed",
                reason: "\(address) answers with \(error.what) that does not parse",
                remedy: "check the address; it may be another kind of server, or another version")
        }
    }
}
