import FederationCore
import FederationCrypto
import FederationModel

/// Asks a registry, and reads what it answers. Nothing of it is believed yet.
struct RegistryAnswers: Sendable {
    let link: any RegistryLink
    let address: String

    struct Page: Sendable {
        /// Each with its place in the log.
        var entries: [(index: Int, json: JSONValue)] = []
        var cards: [ServerID: String] = [:]
    }

    struct Inclusion: Sendable {
        let index: Int
        let entry: JSONValue
        let proof: [ContentHash]
        let head: String
    }

    /// The registry's own card, as compact JWS.
    func card() async throws(Refusal) -> String {
        let answer = try await get("/.well-known/aether-federation")
        guard let header = answer["protected"]?.text, let payload = answer["payload"]?.text,
            let signature = answer["signature"]?.text
        else { throw malformed("its card") }
        return "\(header).\(payload).\(signature)"
    }

    func head() async throws(Refusal) -> String {
        guard let head = try await get("/v1/log/head")["head"]?.text else { throw malformed("the head of its log") }
        return head
    }

    func consistency(from earlier: UInt64, to later: UInt64) async throws(Refusal) -> [ContentHash] {
        let answer = try await get("/v1/log/consistency?from=\(earlier)&to=\(later)")
        guard let proof = Self.hashes(answer["proof"]) else { throw malformed("a proof of consistency") }
        return proof
    }

    func entries(from first: Int, limit: Int, withCards: Bool) async throws(Refusal) -> Page {
        let after = first == 0 ? "" : "&after=\(first - 1)"
        let answer = try await get("/v1/log/entries?limit=\(limit)&cards=\(withCards)\(after)")
        guard let elements = answer["entries"]?.elements, elements.count <= limit else {
            throw malformed("entries of its log")
        }
        var page = Page()
        for element in elements {
            guard let index = element["index"]?.integer, let entry = element["entry"], entry.members != nil else {
                throw malformed("an entry of its log")
            }
            page.entries.append((Int(index), entry))
        }
        for (name, value) in answer["cards"]?.members ?? [:] {
            if let id = ServerID(rawValue: name), let card = value.text { page.cards[id] = card }
        }
        return page
    }

    func inclusion(of server: ServerID) async throws(Refusal) -> Inclusion {
        let answer = try await get("/v1/log/inclusion?server=\(server)")
        guard let index = answer["index"]?.integer, let entry = answer["entry"],
            let proof = Self.hashes(answer["proof"]), let head = answer["head"]?.text
        else { throw malformed("a proof of inclusion") }
        return Inclusion(index: Int(index), entry: entry, proof: proof, head: head)
    }

    /// One page of the listing: ids with their cards, and where to go on.
    func listing(after: String?) async throws(Refusal) -> (servers: [(id: ServerID, card: String?)], next: String?) {
        let answer = try await get("/v1/servers?cards=true&limit=200" + (after.map { "&after=\($0)" } ?? ""))
        guard let elements = answer["servers"]?.elements else { throw malformed("its listing") }
        var servers: [(id: ServerID, card: String?)] = []
        for element in elements {
            guard let id = element["id"]?.text.flatMap({ ServerID(rawValue: $0) }) else {
                throw malformed("its listing")
            }
            servers.append((id, element["card"]?.text))
        }
        let next = answer["next"]?.text
        // A cursor that goes in circles would keep a reader for ever.
        if let next, let last = servers.last?.id.rawValue ?? after, next < last { throw malformed("its listing") }
        if servers.isEmpty, let next, next == after { throw malformed("its listing") }
        return (servers, next)
    }

    /// Any document, for looking for heads in it.
    func document(_ path: String) async throws(Refusal) -> JSONValue { try await get(path) }

    private func get(_ path: String) async throws(Refusal) -> JSONValue {
        let bytes = try await link.ask(RegistryRequest("GET", address, path))
        do {
            return try JSONValue.parse(bytes, maximumBytes: Limits.registryAnswerBytes)
        } catch {
            throw malformed("an answer")
        }
    }

    private func malformed(_ what: String) -> Refusal {
        Refusal(
            .unavailable, code: "registry.malformed", reason: "\(address) answers with \(what) that does not parse",
            remedy: "check the address; it may be another kind of server, or another version")
    }

    private static func hashes(_ json: JSONValue?) -> [ContentHash]? {
        guard let elements = json?.elements, elements.count <= MerkleProof.maximumHashes else { return nil }
        let hashes = elements.compactMap { $0.text.flatMap { ContentHash($0) } }
        return hashes.count == elements.count ? hashes : nil
    }
}
