import FederationCore
import FederationCrypto
import FederationModel

@testable import FederationService

/// What a registry answers, and a card as a web server may hold it. The first byte chooses what was asked for; the rest is
/// the body.
public enum RegistryTarget: FuzzTarget {
    public static let name = "registry"

    private enum Question: UInt8, CaseIterable {
        case card
        case head
        case consistency
        case entries
        case inclusion
        case listing
        /// Not of a registry: ``ServerCard/compact(in:)``.
        case document
    }

    /// Of a page of entries, and the cursor of a page of the listing.
    private static let pageEntries = 8
    private static let cursor = "b"

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        var source = ByteSource(input)
        let question = Question.allCases[Int(source.byte()) % Question.allCases.count]
        let body = source.remaining()
        if question == .document { return try checkDocument(body) }
        do {
            let answer = try RegistryAnswer(body)
            switch question {
            case .card: return try checkCard(try answer.card())
            case .head: return try checkHead(try answer.head())
            case .consistency: return try checkConsistency(try answer.consistency())
            case .entries: return try checkEntries(try answer.entries(limit: pageEntries))
            case .inclusion: return try checkInclusion(try answer.inclusion())
            case .listing: return try checkListing(try answer.listing(after: cursor))
            case .document: return false
            }
        } catch let malformed as RegistryAnswer.Malformed {
            try require(!malformed.what.isEmpty, "a failure that says nothing")
            return false
        } catch let violation as Violation {
            throw violation
        } catch {
            throw Violation("another error than a registry's answer has: \(error)")
        }
    }

    // MARK: Cards

    /// Compact or flattened, a document is the same card; and what verifies was signed by the key that it names.
    private static func checkDocument(_ body: [UInt8]) throws(Violation) -> Bool {
        guard let text = ServerCard.compact(in: body) else { return false }
        try require(text.utf8.count <= body.count + 2, "a card that is longer than its document")
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        if parts.count == 3 {
            let members = ["protected": parts[0], "payload": parts[1], "signature": parts[2]].mapValues {
                JSONValue.string($0)
            }
            let again = ServerCard.compact(in: JSONValue.object(members).serialized())
            try require(again == text, "flattened, the document is another one")
        }
        return try checkCard(text)
    }

    private static func checkCard(_ text: String) throws(Violation) -> Bool {
        guard let card = try? ServerCard.verify(text, at: Subjects.time) else { return true }
        let again = try? ServerCard.verifySignature(text)
        try require(again == card, "a card that is read as another one the second time")
        return true
    }

    // MARK: The log

    private static func checkHead(_ compact: String) throws(Violation) -> Bool {
        let subjects = try Subjects.required()
        guard
            let head = try? TreeHead.verify(compact, registry: Subjects.alphaID, key: subjects.alpha.publicKey)
        else { return true }
        try require(head.relation(to: head) == .same, "a head that is not the same as itself")
        return true
    }

    private static func checkConsistency(_ proof: [ContentHash]) throws(Violation) -> Bool {
        try require(proof.count <= MerkleProof.maximumHashes, "a proof of \(proof.count) hashes")
        let root = ContentHash.of([1])
        for (earlier, later) in [(3, 7), (4, 9), (1, Int.max)] {
            let proves = MerkleProof.isConsistent(
                MerkleHash.empty, size: earlier, with: root, size: later, proof: proof)
            try require(!proves, "a proof of what nobody has computed")
        }
        return true
    }

    private static func checkEntries(_ page: RegistryAnswer.Page) throws(Violation) -> Bool {
        let count = page.entries.count
        try require(count <= pageEntries, "\(count) entries where \(pageEntries) were asked for")
        let subjects = try Subjects.required()
        var audit = RegistryAudit(
            registry: Subjects.alphaID,
            binding: KeyBinding(
                server: Subjects.alphaID, key: subjects.alpha.publicKey, commitment: KeyCommitment(),
                since: Subjects.time))
        for (index, json) in page.entries {
            let due = audit.frontier.count
            let findings = audit.take(json, at: index)
            let read = audit.frontier.count
            try require(read == due + (index == due ? 1 : 0), "an entry that was counted where it does not belong")
            guard let entry = RegistryLogEntry(json) else {
                try require(!findings.isEmpty, "an entry that does not parse, and nobody says so")
                continue
            }
            try require(RegistryLogEntry(entry.json) == entry, "written and read again, an entry is another one")
        }
        return true
    }

    private static func checkInclusion(_ inclusion: RegistryAnswer.Inclusion) throws(Violation) -> Bool {
        try require(inclusion.proof.count <= MerkleProof.maximumHashes, "a proof of too many hashes")
        let leaf = MerkleHash.leaf(inclusion.entry.serialized())
        for size in [0, 1, 5, Int.max] {
            let proves = MerkleProof.isIncluded(
                leaf, at: inclusion.index, size: size, root: MerkleHash.empty, proof: inclusion.proof)
            try require(!proves, "a proof that leads to the root of nothing")
        }
        return true
    }

    /// A reader that goes on where it is told to comes to an end.
    private static func checkListing(_ page: RegistryAnswer.Listing) throws(Violation) -> Bool {
        guard let next = page.next else { return true }
        try require(next > cursor, "a cursor that does not go on")
        try require(next >= page.servers.last?.id.rawValue ?? "", "a cursor that goes back behind what was shown")
        return true
    }

    public static func seeds() throws -> [[UInt8]] {
        let subjects = try Subjects.required()
        let hash = ContentHash.of([1])
        let beta = subjects.beta.publicKey
        let entry = RegistryLogEntry(
            .registered, server: Subjects.betaID, key: beta,
            commitment: KeyCommitment(next: hash, recovery: hash), sequence: 1, card: hash, time: Subjects.time
        ).json
        let suspended = RegistryLogEntry(
            .suspended, server: Subjects.betaID, key: beta, commitment: KeyCommitment(), sequence: 0, card: nil,
            proof: ["a.b.c"], reason: "spam", time: Subjects.time
        ).json
        let proof = JSONValue.array([.string(hash.description), .string(hash.description)])
        let flattened = JSONValue.object([
            "protected": .string("a"), "payload": .string("b"), "signature": .string("c"),
        ])
        let head = TreeHead(issuer: Subjects.alphaID, size: 2, root: hash, issuedAt: Subjects.time)
        let bodies: [(Question, JSONValue)] = [
            (.card, flattened),
            (.head, .object(["head": .string(head.issue(by: subjects.alpha))])),
            (.consistency, .object(["from": .integer(1), "to": .integer(3), "proof": proof])),
            (
                .entries,
                .object([
                    "entries": .array([
                        .object(["index": .integer(0), "entry": entry]),
                        .object(["index": .integer(1), "entry": suspended]),
                    ]),
                    "cards": .object(["beta": .string("a.b.c")]), "next": .string("1"),
                ])
            ),
            (
                .inclusion,
                .object(["index": .integer(3), "entry": entry, "proof": proof, "head": .string("a.b.c")])
            ),
            (
                .listing,
                .object([
                    "servers": .array([.object(["id": .string("beta"), "card": .string("a.b.c")])]),
                    "next": .string("beta"),
                ])
            ),
            (.document, flattened),
        ]
        return bodies.map { [$0.rawValue] + $1.serialized() } + [[Question.document.rawValue] + Array(" a.b.c\n".utf8)]
    }
}
