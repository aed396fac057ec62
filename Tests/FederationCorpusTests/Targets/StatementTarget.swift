import Crypto
import FederationModel

@testable import FederationCrypto

/// Signed documents: tokens, cards, receipts, tickets, heartbeats, key changes, introductions, inquiries, deregistrations,
/// heads of logs. The first byte chooses the document and what the
/// rest of the input is: the whole text, the claims that the right key signs, the header that it signs, or how that
/// header goes on after its three members.
public enum StatementTarget: FuzzTarget {
    public static let name = "statement"

    private enum Part: UInt8, CaseIterable {
        case text
        case claims
        case header
        case headerEnd
    }

    /// A kind of document, and one of it.
    private struct Document: Sendable {
        let type: any SignedStatement.Type
        let sample: @Sendable (Subjects) throws -> any SignedStatement

        init(
            _ type: any SignedStatement.Type,
            _ sample: (@Sendable (Subjects) throws -> any SignedStatement)? = nil
        ) {
            self.type = type
            let use = type.use
            self.sample = sample ?? { try StatementSamples.sample(use, $0) }
        }

        func genuine(_ subjects: Subjects) throws(Violation) -> any SignedStatement {
            do {
                return try sample(subjects)
            } catch {
                throw Violation("there is no sample of \(type.use)")
            }
        }
    }

    private static let documents = [
        Document(SessionToken.self), Document(ServerCard.self), Document(AdmissionReceipt.self),
        Document(ClientTicket.self), Document(HeartbeatStatement.self), Document(KeyRotation.self),
        Document(KeyRevocation.self), Document(Introduction.self), Document(Inquiry.self),
        Document(InquiryAnswer.self), Document(DeregistrationStatement.self), Document(TreeHead.self),
        Document(ServerCard.self) { try StatementSamples.fullCard($0) },
    ]
    /// Documents that came together. Each group has the choices behind those of the groups before it, so that what was found
    /// earlier still means the same.
    private static let groups = [0..<5, 5..<8, 8..<10, 10..<13]
    private static let choices = documents.count * Part.allCases.count

    private static func choice(_ document: Int, _ part: Part) -> Int {
        let group = groups.first { $0.contains(document) } ?? groups[0]
        return group.lowerBound * Part.allCases.count + document - group.lowerBound + group.count * Int(part.rawValue)
    }

    private static func meaning(_ choice: Int) -> (document: Document, part: Part) {
        let parts = Part.allCases.count
        let choice = choice % choices
        let group = groups.last { $0.lowerBound * parts <= choice } ?? groups[0]
        let within = choice - group.lowerBound * parts
        return (documents[group.lowerBound + within % group.count], Part.allCases[within / group.count])
    }

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        let subjects = try Subjects.required()
        var source = ByteSource(input)
        let (document, part) = meaning(Int(source.byte()))
        let rest = source.remaining()
        switch part {
        case .text:
            guard let text = String(validating: rest, as: UTF8.self) else { return false }
            return try checkText(document, text, subjects)
        case .claims:
            let header = JSONValue.object(header(document.type.use, subjects)).serialized()
            return try checkClaims(document.type, try sign(header, rest, subjects), subjects)
        case .header:
            return try checkHeader(document, rest, subjects)
        case .headerEnd:
            let members = JSONValue.object(header(document.type.use, subjects)).serialized().dropLast()
            return try checkHeader(document, members + rest, subjects)
        }
    }

    /// Nothing verifies but what was signed, to the letter.
    private static func checkText(
        _ document: Document, _ text: String, _ subjects: Subjects
    ) throws(Violation) -> Bool {
        _ = try? SessionToken.unverifiedIssuer(text)
        _ = try? ServerCard.verify(text, at: Subjects.time)
        do {
            _ = try document.type.verified(text, issuer: Subjects.alphaID, key: subjects.alpha.publicKey)
        } catch {
            try require(!error.reason.isEmpty, "a failure that says nothing")
            return false
        }
        var issued: [String] = []
        for other in documents where other.type.use == document.type.use {
            issued.append(try other.genuine(subjects).issue(by: subjects.alpha))
        }
        guard let genuine = issued.first(where: { signedPart($0) == signedPart(text) }) else {
            throw Violation("a forged document: \(text)")
        }
        // Where signing draws no randomness (RFC 8032 §5.1.6) there is one signature only.
        #if !canImport(Darwin)
            try require(Array(text.utf8) == Array(genuine.utf8), "another signature over the same document: \(text)")
        #endif
        return true
    }

    /// What is read is what was meant: read, issued and read again, it is the same.
    private static func checkClaims<Document: SignedStatement>(
        _ document: Document.Type, _ text: String, _ subjects: Subjects
    ) throws(Violation) -> Bool {
        guard let read = try? Document.verified(text, issuer: Subjects.alphaID, key: subjects.alpha.publicKey) else {
            return false
        }
        let again: Document
        let issued = read.issue(by: subjects.alpha)
        do {
            again = try Document.verified(issued, issuer: Subjects.alphaID, key: subjects.alpha.publicKey)
        } catch {
            throw Violation("what was read is refused when it is issued again: \(error) \(issued)")
        }
        try require(again == read, "read, issued and read again, the document is another one: \(issued)")
        try require(again.issue(by: subjects.alpha) == issued, "one document has two texts")
        if let token = read as? SessionToken {
            try require(token.expiresAt - token.issuedAt <= Limits.tokenLifetime, "a token that lives too long")
            try require((0...Limits.snapshotBytes).contains(token.size ?? 0), "a snapshot of \(token.size ?? 0) bytes")
        }
        if let card = read as? ServerCard {
            try require(card.alternatives.count <= ServerCard.maximumAlternatives, "a card with too many endpoints")
            try require(card.rotations.count <= ServerCard.maximumRotations, "a card with too many rotations")
            try require(card.worlds.count <= ServerCard.maximumWorlds, "a card with too many worlds")
        }
        return true
    }

    /// The header has its three members and no other meaning.
    private static func checkHeader(
        _ document: Document, _ header: [UInt8], _ subjects: Subjects
    ) throws(Violation) -> Bool {
        let payload = JSONValue.object(try document.genuine(subjects).claims).serialized()
        let text = try sign(header, payload, subjects)
        do {
            _ = try document.type.verified(text, issuer: Subjects.alphaID, key: subjects.alpha.publicKey)
        } catch {
            return false
        }
        let expected = JSONValue.object(self.header(document.type.use, subjects))
        try require((try? JSONValue.parse(header)) == expected, "a document with another header")
        return true
    }

    private static func signedPart(_ text: String) -> [UInt8] {
        Array(text.utf8.prefix(text.utf8.count - 86))
    }

    // MARK: Documents

    private static func header(_ use: SignatureUse, _ subjects: Subjects) -> [String: JSONValue] {
        [
            "alg": .string("EdDSA"), "kid": .string(subjects.alpha.publicKey.description), "typ": .string(use.label),
        ]
    }

    /// Signs a document as it stands, whatever it says.
    private static func sign(
        _ header: [UInt8], _ payload: [UInt8], _ subjects: Subjects
    ) throws(Violation) -> String {
        let input = "\(Base64URL.encode(header)).\(Base64URL.encode(payload))"
        guard let signature = try? subjects.alphaKey.signature(for: Array(input.utf8)) else {
            throw Violation("a document cannot be signed")
        }
        return "\(input).\(Base64URL.encode(Array(signature)))"
    }

    public static func seeds() throws -> [[UInt8]] {
        let subjects = try Subjects.required()
        return try documents.indices.flatMap { index -> [[UInt8]] in
            let sample = try documents[index].genuine(subjects)
            let claims = JSONValue.object(sample.claims).serialized()
            let header = JSONValue.object(header(documents[index].type.use, subjects)).serialized()
            return zip(Part.allCases, [Array(sample.issue(by: subjects.alpha).utf8), claims, header, [0x7D]]).map {
                part, rest in
                [UInt8(choice(index, part))] + rest
            }
        }
    }
}

/// A document of each kind that alpha issues.
private enum StatementSamples {
    /// A card with everything that a card may have: alpha has rotated to its key and has taken keys back before.
    static func fullCard(_ subjects: Subjects) throws -> ServerCard {
        let time = Subjects.time
        let old = try ServerIdentity(id: Subjects.alphaID, seed: [UInt8](repeating: 3, count: 32))
        let recovery = try ServerIdentity(id: Subjects.alphaID, seed: [UInt8](repeating: 4, count: 32))
        let commitment = KeyCommitment(
            next: subjects.beta.publicKey.commitment, recovery: recovery.publicKey.commitment)
        let rotation = KeyRotation(
            issuer: Subjects.alphaID, to: subjects.alpha.publicKey, next: commitment.next, issuedAt: time)
        let revocation = KeyRevocation(
            issuer: Subjects.alphaID, number: 1,
            replacement: .init(
                key: old.publicKey,
                commitment: KeyCommitment(
                    next: subjects.alpha.publicKey.commitment, recovery: recovery.publicKey.commitment)),
            issuedAt: time)
        return ServerCard(
            id: Subjects.alphaID, name: "Alpha", endpoint: try present(Endpoint("wss://alpha.example:7700")),
            alternatives: [
                try present(Endpoint("ws://alpha.example:7701")), try present(Endpoint("wss://alpha2.example:7700")),
            ],
            publicKey: subjects.alpha.publicKey, commitment: commitment, rotations: [rotation.issue(by: old)],
            revocation: revocation.issue(by: recovery), sequence: 6, worlds: [try present(WorldID("a.b"))],
            contact: "ops@alpha.example", issued: time, expires: time + .seconds(3_600))
    }

    static func sample(_ use: SignatureUse, _ subjects: Subjects) throws -> any SignedStatement {
        let time = Subjects.time
        let player = try present(PlayerID("ada@alpha"))
        let handoff = try present(HandoffID(bytes: Array(1...16)))
        let world = try present(WorldID(rawValue: "plaza"))
        switch use {
        case .sessionToken:
            return SessionToken(
                issuer: Subjects.alphaID, player: player, audience: Subjects.betaID, handoff: handoff, issuedAt: time,
                notBefore: time, expiresAt: time + .seconds(60), world: world,
                portal: try present(PortalID(rawValue: "gate")), spawn: SpawnPoint("1,-2.5,0.25"), epoch: Epoch(7),
                snapshot: try present(ContentHash(bytes: Array(1...32))), size: 17, revision: 3,
                clientKey: subjects.beta.publicKey)
        case .serverCard:
            return ServerCard(
                id: Subjects.alphaID, name: "Alpha", endpoint: try present(Endpoint("wss://alpha.example:7700")),
                publicKey: subjects.alpha.publicKey, sequence: 5, worlds: [world, try present(WorldID("a.b"))],
                issued: time, expires: time + .seconds(3_600))
        case .admissionReceipt:
            return AdmissionReceipt(
                issuer: Subjects.alphaID, audience: Subjects.betaID, handoff: handoff, player: player, epoch: Epoch(7),
                issuedAt: time)
        case .clientTicket:
            return ClientTicket(
                issuer: Subjects.alphaID, player: player, world: world, epoch: Epoch(7),
                expiresAt: time + .seconds(60))
        case .heartbeat:
            return HeartbeatStatement(issuer: Subjects.alphaID, sequence: 9, issuedAt: time)
        case .keyRotation:
            return KeyRotation(
                issuer: Subjects.alphaID, to: subjects.beta.publicKey, next: subjects.beta.publicKey.commitment,
                issuedAt: time)
        case .keyRevocation:
            return KeyRevocation(
                issuer: Subjects.alphaID, number: 2,
                replacement: .init(
                    key: subjects.beta.publicKey,
                    commitment: KeyCommitment(next: subjects.alpha.publicKey.commitment, recovery: nil)),
                issuedAt: time)
        case .introduction:
            return Introduction(
                issuer: Subjects.alphaID, subject: Subjects.betaID, key: subjects.beta.publicKey,
                endpoint: try present(Endpoint("ws://beta.example:7700")), issuedAt: time,
                expiresAt: time + .seconds(3_600))
        case .treeHead:
            return TreeHead(issuer: Subjects.alphaID, size: 7, root: ContentHash.of([1]), issuedAt: time)
        case .deregistration:
            return DeregistrationStatement(
                issuer: Subjects.alphaID, registry: Subjects.betaID, sequence: 5, issuedAt: time)
        case .inquiry:
            return Inquiry(
                issuer: Subjects.alphaID, audience: Subjects.betaID, nonce: Array(1...16), worlds: [world],
                issuedAt: time)
        case .inquiryAnswer:
            let asked = Inquiry(
                issuer: Subjects.betaID, audience: Subjects.alphaID, nonce: Array(1...16), worlds: [world],
                issuedAt: time)
            let refusal = Refusal(.notFound, code: "world.unknown", reason: "there is none", remedy: "make one")
            return InquiryAnswer(
                to: asked, at: time, sequence: 5, versions: .current, suites: [1, 2],
                standing: .init(
                    sequence: 4, trust: "pinned", scopes: ["heartbeat"], refusal: .init(refusal), health: .degraded,
                    isConnected: true),
                findings: [.ok("dns", "found"), .wrong("tcp", "tcp.refused", "closed", "open it")],
                worlds: [.init(world, refusal: refusal), .init(world, refusal: nil)])
        case .handshake, .clientProof:
            throw MissingSeed()
        }
    }
}
