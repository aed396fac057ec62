import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import TestKit
import Testing

@testable import FederationHTTP

@Suite("An audit of a registry", .timeLimit(.minutes(2 * patience)))
struct RegistryAuditTests {
    /// Audits a registry through its socket.
    private func audit(
        _ registry: TestServer, _ earlier: RegistryAudit? = nil, comparing others: [JSONValue] = [],
        tamper: @escaping TestLink.Tamper = { $1 }
    ) async throws -> RegistryAuditor.Report {
        try await RegistryAuditor(
            address: registry.address, link: TestLink(tamper: tamper), clock: registry.clock
        ).run(earlier, comparing: others)
    }

    /// A registry with some servers, one of which has rotated its key.
    private func fill(_ registry: TestServer) async throws {
        for number in 0..<6 {
            _ = try await registry.server.register(try Stranger("s\(number)", port: UInt16(7_900 + number)).card)
        }
        var rotating = try Stranger("rotating", port: 7_950)
        try rotating.commit(toNext: "second")
        _ = try await registry.server.register(rotating.card)
        try rotating.rotate(to: "second")
        _ = try await registry.server.register(rotating.card)
        _ = try await registry.server.suspend(ServerID(unchecked: "s1"), reason: "spam")
        try await registry.server.deregister(ServerID(unchecked: "s2"))
    }

    @Test("finds nothing wrong with an honest registry, reads only what is new, and keeps its state as JSON")
    func honest() async throws {
        try await TestServer.run("registry", registryAccess: .signed) { registry async throws in
            let empty = try await audit(registry)
            #expect(empty.findings.isEmpty && empty.head.size == 0)
            try await fill(registry)
            let first = try await audit(registry, empty.audit)
            #expect(first.findings.isEmpty, "\(first.findings)")
            #expect(first.entriesRead == 10 && first.serversChecked == 6 && first.proofsChecked == 6)
            let kept = try #require(RegistryAudit(try JSONValue.parse(first.audit.json.serialized())))
            #expect(kept == first.audit)
            var newer = try Stranger("s3", port: 7_903)
            newer.sequence = 2
            _ = try await registry.server.register(newer.card)
            let second = try await audit(registry, kept, comparing: [first.audit.json, empty.audit.json])
            #expect(second.findings.isEmpty && second.entriesRead == 1 && second.headsCompared == 2)
            // The same again, and from the beginning.
            #expect(try await audit(registry, second.audit).entriesRead == 0)
            #expect(try await audit(registry).audit.subjects == second.audit.subjects)
        }
    }

    @Test("catches a registry that shows different keys to two people: by comparing, and by asking again")
    func equivocation() async throws {
        // One identity, two stores.
        try await TestServer.run("registry", registryAccess: .signed) { one async throws in
            try await TestServer.run("registry", registryAccess: .signed) { other async throws in
                let honest = try Stranger("beta")
                let forged = try Stranger("beta", key: "thief")
                _ = try await one.server.register(honest.card)
                _ = try await other.server.register(forged.card)
                let ada = try await audit(one)
                let bob = try await audit(other)
                // Each alone sees nothing.
                #expect(ada.findings.isEmpty && bob.findings.isEmpty)
                let caught = try await audit(other, bob.audit, comparing: [ada.audit.json])
                #expect(caught.findings.map(\.code) == ["log.forked"])
                // The evidence is two signed heads, which anybody can check.
                let heads = try caught.findings[0].evidence.map {
                    try TreeHead.verify($0, registry: one.id, key: one.identity.publicKey)
                }
                #expect(heads.count == 2 && heads[0].size == heads[1].size && heads[0].root != heads[1].root)
                #expect(try await audit(other, ada.audit).findings.map(\.code) == ["log.forked"])
                // One log is longer now: no proof can join them.
                _ = try await other.server.register(try Stranger("gamma", port: 7_901).card)
                #expect(try await audit(other, ada.audit).findings.map(\.code) == ["log.inconsistent"])
                #expect(
                    try await audit(other, comparing: [ada.audit.json]).findings.map(\.code) == ["log.inconsistent"])
                let longer = try await audit(other)
                #expect(try await audit(one, longer.audit).findings.map(\.code) == ["log.shrunk"])
                #expect(try await audit(one, comparing: [longer.audit.json]).findings.map(\.code) == ["log.withheld"])
                // A state is not overwritten by what contradicts it.
                #expect(try await audit(other, ada.audit).audit == ada.audit)
            }
        }
    }

    /// What a registry, or somebody in between, may change in its answers.
    struct Lie: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let codes: [String]
        let tamper: TestLink.Tamper
    }

    static func changing(
        _ path: String, _ member: String, _ change: @escaping @Sendable ([JSONValue]) -> [JSONValue]
    ) -> TestLink.Tamper {
        { request, json in
            guard request.path.hasPrefix(path), var members = json.members, let elements = members[member]?.elements
            else { return json }
            members[member] = .array(change(elements))
            return .object(members)
        }
    }

    static func replacing(_ name: String, with value: JSONValue, in json: JSONValue) -> JSONValue {
        var members = json.members ?? [:]
        members[name] = value
        return .object(members)
    }

    static func entry(_ id: String, _ change: @escaping @Sendable (JSONValue) -> JSONValue) -> TestLink.Tamper {
        changing("/v1/log/entries", "entries") { entries in
            entries.map { element in
                guard let entry = element["entry"], entry["id"]?.text == id else { return element }
                return replacing("entry", with: change(entry), in: element)
            }
        }
    }

    static let lies: [Lie] = [
        Lie(
            testDescription: "another key in an entry", codes: ["log.rootMismatch"],
            tamper: entry("s3") { replacing("key", with: .string(String(repeating: "ab", count: 32)), in: $0) }),
        Lie(
            testDescription: "another time in an entry", codes: ["log.rootMismatch"],
            tamper: entry("s3") { replacing("time", with: .integer(1), in: $0) }),
        Lie(
            testDescription: "an entry with more in it", codes: ["log.rootMismatch"],
            tamper: entry("s3") { replacing("note", with: .bool(true), in: $0) }),
        Lie(
            testDescription: "an entry that does not parse", codes: ["entry.malformed", "log.rootMismatch"],
            tamper: entry("s3") { replacing("kind", with: .string("invented"), in: $0) }),
        Lie(
            testDescription: "an entry left out", codes: ["entry.misplaced"],
            tamper: changing("/v1/log/entries", "entries") { $0.filter { $0["index"]?.integer != 3 } }),
        Lie(
            testDescription: "no entries", codes: ["entries.withheld"],
            tamper: changing("/v1/log/entries", "entries") { _ in [] }),
        Lie(
            testDescription: "a rotation without its proof", codes: ["key.changed", "log.rootMismatch"],
            tamper: entry("rotating") {
                $0["kind"]?.text == "rotated" ? replacing("proof", with: .array([]), in: $0) : $0
            }),
        Lie(
            testDescription: "a server left out of the listing", codes: ["server.omitted"],
            tamper: changing("/v1/servers", "servers") { $0.filter { $0["id"]?.text != "s4" } }),
        Lie(
            testDescription: "a server that the log does not know", codes: ["card.unlogged"],
            tamper: changing("/v1/servers", "servers") { elements in
                let card = (try? Stranger("stray").card) ?? ""
                return elements + [.object(["id": .string("stray"), "card": .string(card)])]
            }),
        Lie(
            testDescription: "a listing without an end", codes: ["listing.endless"],
            tamper: { request, json in
                guard request.path.hasPrefix("/v1/servers?") else { return json }
                let page = request.path.split(separator: "=").last.flatMap { Int($0.dropFirst()) } ?? 0
                let servers = (1...100).map { JSONValue.object(["id": .string("z\(page + $0)")]) }
                return .object(["servers": .array(servers), "next": .string("z\(page + 100)")])
            }),
        Lie(
            testDescription: "another card of a listed server", codes: ["card.unlogged"],
            tamper: changing("/v1/servers", "servers") { elements in
                elements.map { element in
                    guard element["id"]?.text == "s4", var other = try? Stranger("s4", port: 7_904) else {
                        return element
                    }
                    other.sequence = 9
                    return replacing("card", with: .string(other.card), in: element)
                }
            }),
        Lie(
            testDescription: "somebody else's card under a listed id", codes: ["card.refused"],
            tamper: changing("/v1/servers", "servers") { elements in
                let other = elements.last?["card"] ?? .null
                return elements.map { $0["id"]?.text == "s4" ? replacing("card", with: other, in: $0) : $0 }
            }),
        Lie(
            testDescription: "a listed server without a card", codes: ["card.missing"],
            tamper: changing("/v1/servers", "servers") { elements in
                elements.map { $0["id"]?.text == "s4" ? replacing("card", with: .null, in: $0) : $0 }
            }),
        Lie(
            testDescription: "a proof of inclusion for another entry", codes: ["entry.unproven"],
            tamper: { request, json in
                request.path == "/v1/log/inclusion?server=s4" ? replacing("index", with: .integer(2), in: json) : json
            }),
    ]

    @Test("catches every lie in what a registry shows", arguments: lies)
    func lie(_ lie: Lie) async throws {
        try await TestServer.run("registry", registryAccess: .signed) { registry async throws in
            try await fill(registry)
            let report = try await audit(registry, tamper: lie.tamper)
            #expect(report.findings.map(\.code) == lie.codes, "\(report.findings)")
        }
    }

    /// A registry that takes the page of a listing first and its cards then, and that somebody leaves, or is made to leave,
    /// between.
    private struct Left: RegistryLink {
        let registry: TestServer
        let id: ServerID
        let byOwnWord: Bool

        func ask(_ request: RegistryRequest) async throws(Refusal) -> [UInt8] {
            guard request.path.hasPrefix("/v1/servers?") else { return try await TestLink().ask(request) }
            let tamper = RegistryAuditTests.changing("/v1/servers", "servers") { [id] elements in
                elements.map { element in
                    element["id"]?.text == id.rawValue
                        ? RegistryAuditTests.replacing("card", with: .null, in: element) : element
                }
            }
            let answer = try await TestLink(tamper: tamper).ask(request)
            if byOwnWord {
                try await registry.server.deregister(id)
            } else {
                _ = try await registry.server.suspend(id, reason: "spam")
            }
            return answer
        }
    }

    /// Would fail if any entry of that moment excused a missing card: a registry may write one of its own at any time.
    @Test(
        "does not hold it against a registry that somebody is listed without a card who leaves at that moment, and else does",
        arguments: [true, false])
    func leavingMeanwhile(byOwnWord: Bool) async throws {
        try await TestServer.run("registry", registryAccess: .signed) { registry async throws in
            try await fill(registry)
            let link = Left(registry: registry, id: ServerID(unchecked: "s4"), byOwnWord: byOwnWord)
            let auditor = RegistryAuditor(address: registry.address, link: link, clock: registry.clock)
            let report = try await auditor.run(nil, comparing: [])
            #expect(report.findings.map(\.code) == (byOwnWord ? [] : ["card.missing"]), "\(report.findings)")
            #expect(report.entriesRead == 11)
        }
    }

    @Test("does not begin to read a log that is said to be longer than anybody could read")
    func endless() async throws {
        try await TestServer.run("registry", registryAccess: .signed) { registry async throws in
            let identity = registry.identity
            let head = TreeHead(
                issuer: identity.id, size: 1 << 40, root: ContentHash.of([]),
                issuedAt: registry.clock.now().timestamp)
            let refusal = await #expect(throws: Refusal.self) {
                try await audit(registry) { request, json in
                    request.path == "/v1/log/head"
                        ? Self.replacing("head", with: .string(head.issue(by: identity)), in: json) : json
                }
            }
            #expect(refusal?.code == "audit.logTooLong")
        }
    }

    @Test("catches a registry whose own log gives an id another key without proof")
    func keyChange() async throws {
        let registry = try Stranger("registry")
        var audit = RegistryAudit(
            registry: registry.id,
            binding: KeyBinding(server: registry.id, key: registry.keys.publicKey, since: ManualClock.start))
        func entry(_ kind: RegistryLogEntry.Kind, _ stranger: Stranger, proof: [String] = []) -> JSONValue {
            RegistryLogEntry(
                kind, server: stranger.id, key: stranger.keys.publicKey, commitment: stranger.commitment,
                sequence: stranger.sequence, card: ContentHash.of(Array(stranger.card.utf8)), proof: proof,
                time: ManualClock.start
            ).json
        }
        func codes(_ json: JSONValue) -> [String] {
            audit.take(json, at: audit.frontier.count).map(\.code)
        }
        let recovery = try Stranger.identity("beta", "recovery")
        var beta = try Stranger("beta")
        try beta.commit(toNext: "second")
        beta.commitment.recovery = recovery.publicKey.commitment
        #expect(codes(entry(.registered, beta)) == [])
        beta.sequence = 2
        #expect(codes(entry(.updated, beta)) == [])
        #expect(codes(entry(.updated, beta)) == ["card.backwards"])
        // Another key, called an update, a rotation or a return after a deregistration.
        for kind in [RegistryLogEntry.Kind.updated, .rotated, .registered, .suspended] {
            var copy = audit
            let thief = try Stranger("beta", key: "thief")
            #expect(copy.take(entry(kind, thief), at: copy.frontier.count).map(\.code) == ["key.changed"])
        }
        // The thief of the present key signs a rotation to a key that it was not committed to.
        var stolen = beta
        try stolen.rotate(to: "thief")
        #expect(
            {
                var copy = audit;
                return copy.take(entry(.rotated, stolen, proof: stolen.rotations), at: copy.frontier.count).map(\.code)
            }()
                == ["key.changed"])
        // Nor may the same key commit itself anew.
        var changed = beta
        changed.commitment.next = ContentHash.of([1])
        #expect(
            {
                var copy = audit; return copy.take(entry(.updated, changed), at: copy.frontier.count).map(\.code)
            }()
                == ["key.changed"])
        try beta.rotate(to: "second")
        #expect(codes(entry(.rotated, beta, proof: beta.rotations)) == [])
        // The owner takes the keys back, for another key and then for good.
        let third = try Stranger.identity("beta", "third")
        let revocation = KeyRevocation(
            issuer: beta.id, number: 1,
            replacement: .init(
                key: third.publicKey, commitment: KeyCommitment(recovery: recovery.publicKey.commitment)),
            issuedAt: ManualClock.start
        ).issue(by: recovery)
        beta.keys = third
        beta.rotations = []
        #expect(codes(entry(.revoked, beta, proof: [revocation])) == [])
        let end = KeyRevocation(issuer: beta.id, number: 2, replacement: nil, issuedAt: ManualClock.start)
            .issue(by: recovery)
        #expect(codes(entry(.revoked, beta, proof: [end])) == [])
        #expect(codes(entry(.updated, beta)) == ["key.changed"])
    }

    @Test("refuses a registry that shows another key or another id than the pinned one, or signs its head with another")
    func otherRegistry() async throws {
        try await TestServer.run("registry", registryAccess: .signed) { registry async throws in
            let stranger = try Stranger("registry", key: "thief")
            func pinned(_ id: String, _ key: PublicKey) -> RegistryAudit {
                RegistryAudit(
                    registry: ServerID(unchecked: id),
                    binding: KeyBinding(server: ServerID(unchecked: id), key: key, since: ManualClock.start))
            }
            func code(_ earlier: RegistryAudit?, _ tamper: @escaping TestLink.Tamper = { $1 }) async -> String? {
                do {
                    _ = try await audit(registry, earlier, tamper: tamper)
                    return nil
                } catch {
                    return (error as? Refusal)?.code
                }
            }
            #expect(await code(pinned("registry", registry.identity.publicKey)) == nil)
            #expect(await code(pinned("registry", stranger.keys.publicKey)) == "registry.keyChanged")
            #expect(await code(pinned("other", registry.identity.publicKey)) == "registry.changed")
            let head = TreeHead(issuer: stranger.id, size: 0, root: MerkleHash.empty, issuedAt: ManualClock.start)
                .issue(by: stranger.keys)
            let forged: TestLink.Tamper = { request, json in
                request.path == "/v1/log/head" ? Self.replacing("head", with: .string(head), in: json) : json
            }
            #expect(await code(nil, forged) == "head.badSignature")
        }
    }
}
