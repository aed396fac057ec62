import FederationCrypto
import FederationModel

/// The body of a registry's answer, read as what was asked for. Nothing of it is believed yet.
struct RegistryAnswer: Sendable {
    /// What was asked for, in words, and does not parse.
    struct Malformed: Error, Hashable {
        let what: String
    }

    /// A page of the log.
    struct Page: Sendable {
        /// Each with its place in the log.
        var entries: [(index: Int, json: JSONValue)] = []
        var cards: [ServerID: String] = [:]
    }

    /// The proof that an entry is in the log.
    struct Inclusion: Sendable {
        let index: Int
        let entry: JSONValue
        let proof: [ContentHash]
        let head: String
    }

    /// A page of the listing: ids with their cards, and where to go on.
    typealias Listing = (servers: [(id: ServerID, card: String?)], next: String?)

    let json: JSONValue

    init(_ bytes: [UInt8]) throws(Malformed) {
        do {
            json = try JSONValue.parse(bytes, maximumBytes: Limits.registryAnswerBytes)
        } catch {
            throw Malformed(what: "an answer")
        }
    }

    /// The registry's own card, as compact JWS.
    func card() throws(Malformed) -> String {
        guard let card = ServerCard.compact(flattened: json) else { throw Malformed(what: "its card") }
        return card
    }

    func head() throws(Malformed) -> String {
        guard let head = json["head"]?.text else { throw Malformed(what: "the head of its log") }
        return head
    }

    /// At most ``MerkleProof/maximumHashes``.
    func consistency() throws(Malformed) -> [ContentHash] {
        guard let proof = Self.hashes(json["proof"]) else { throw Malformed(what: "a proof of consistency") }
        return proof
    }

    /// At most `limit` entries.
    func entries(limit: Int) throws(Malformed) -> Page {
        guard let elements = json["entries"]?.elements, elements.count <= limit else {
            throw Malformed(what: "entries of its log")
        }
        var page = Page()
        for element in elements {
            guard let index = element["index"]?.integer, let entry = element["entry"], entry.members != nil else {
                throw Malformed(what: "an entry of its log")
            }
            page.entries.append((Int(index), entry))
        }
        for (name, value) in json["cards"]?.members ?? [:] {
            if let id = ServerID(rawValue: name), let card = value.text { page.cards[id] = card }
        }
        return page
    }

    func inclusion() throws(Malformed) -> Inclusion {
        guard let index = json["index"]?.integer, let entry = json["entry"], let proof = Self.hashes(json["proof"]),
            let head = json["head"]?.text
        else { throw Malformed(what: "a proof of inclusion") }
        return Inclusion(index: Int(index), entry: entry, proof: proof, head: head)
    }

    /// - Parameter after: the cursor that was asked for.
    func listing(after: String?) throws(Malformed) -> Listing {
        let malformed = Malformed(what: "its listing")
        guard let elements = json["servers"]?.elements else { throw malformed }
        var servers: [(id: ServerID, card: String?)] = []
        for element in elements {
            guard let id = element["id"]?.text.flatMap({ ServerID(rawValue: $0) }) else { throw malformed }
            servers.append((id, element["card"]?.text))
        }
        let next = json["next"]?.text
        // A cursor that stays or goes back would keep a reader for ever.
        if let next, next <= after ?? "" || next < servers.last?.id.rawValue ?? "" { throw malformed }
        return (servers, next)
    }

    private static func hashes(_ json: JSONValue?) -> [ContentHash]? {
        guard let elements = json?.elements, elements.count <= MerkleProof.maximumHashes else { return nil }
        let hashes = elements.compactMap { $0.text.flatMap { ContentHash($0) } }
        return hashes.count == elements.count ? hashes : nil
    }
}
