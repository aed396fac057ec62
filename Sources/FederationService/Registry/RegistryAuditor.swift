public import FederationCore
public import FederationCrypto
public import FederationModel

/// Audits a registry from outside: reads its signed head, its log and its listing, and compares what it is shown with what
/// it was shown before and with what others were shown.
public struct RegistryAuditor: Sendable {
    /// What came of an audit.
    public struct Report: Sendable {
        public let registry: ServerID
        public let head: TreeHead
        /// Entries read this time.
        public let entriesRead: Int
        /// Servers whose listed cards were checked.
        public let serversChecked: Int
        /// Proofs of inclusion that were asked for and verified.
        public let proofsChecked: Int
        /// Heads that others were shown.
        public let headsCompared: Int
        /// Empty when the registry is honest as far as can be seen from here.
        public let findings: [AuditFinding]
        /// What the next audit begins with. After a contradiction it stays as it was, with the head that was contradicted.
        public let audit: RegistryAudit
    }

    /// Proofs of inclusion that one audit asks for. Whatever it reads anew is proved by the root as well.
    public static let proofs = 64
    private static let pageEntries = 500
    /// New entries that one audit reads at most: some gigabytes of memory.
    public static let entries = 5_000_000

    private let answers: RegistryAnswers
    private let clock: any FederationClock

    public init(address: String, link: any RegistryLink, clock: any FederationClock = SystemClock()) {
        answers = RegistryAnswers(link: link, address: address)
        self.clock = clock
    }

    /// - Parameters:
    ///   - earlier: what the last audit has left; nil for the first, which pins the registry's key.
    ///   - others: documents of any form with heads in them that others were shown.
    /// - Throws: when the registry does not answer, or answers nothing that could be audited.
    public func run(_ earlier: RegistryAudit?, comparing others: [JSONValue]) async throws(Refusal) -> Report {
        var run = Run(audit: try await begin(earlier))
        let first = run.audit
        let head = try await takeHead(&run)
        if run.findings.isEmpty {
            try await readEntries(to: head.head, &run)
            if run.findings.isEmpty { try await checkListing(&run) }
            if run.findings.isEmpty { try await checkProofs(&run) }
        }
        let shown = run.audit.head.flatMap { compact in run.audit.verified(compact).map { ($0, compact) } } ?? head
        try await compare(shown, with: others, &run)
        let isContradiction = run.findings.contains { $0.code.hasPrefix("log.") || $0.code.hasPrefix("registry.") }
        return Report(
            registry: run.audit.registry, head: shown.0, entriesRead: run.audit.frontier.count - first.frontier.count,
            serversChecked: run.servers, proofsChecked: run.proofs, headsCompared: run.compared,
            findings: run.findings, audit: isContradiction && earlier != nil ? first : run.audit)
    }

    /// An audit on its way.
    private struct Run {
        var audit: RegistryAudit
        var findings: [AuditFinding] = []
        var servers = 0
        var proofs = 0
        var compared = 0
    }

    /// Reads the registry's own card and pins its key, or sees that it follows from the pinned one.
    private func begin(_ earlier: RegistryAudit?) async throws(Refusal) -> RegistryAudit {
        let compact = try await answers.card()
        let now = clock.now().timestamp
        do {
            let card = try ServerCard.verify(compact, at: now)
            guard var audit = earlier else {
                return RegistryAudit(registry: card.id, binding: try KeyBinding(first: card, at: now))
            }
            if let finding = audit.take(card, compact, at: now).first {
                throw Refusal(
                    .forbidden, code: finding.code, reason: finding.message,
                    remedy: "ask its operator; if that is right, begin anew with another --state file")
            }
            return audit
        } catch let refusal as Refusal {
            throw refusal
        } catch let failure as StatementFailure {
            throw Refusal(
                .invalid, code: "registry.badCard", reason: "the registry's own card \(failure.reason)",
                remedy: "compare the clocks of both machines; else tell its operator")
        } catch {
            throw Refusal(
                .invalid, code: "registry.badCard", reason: "the registry's own card is refused: \(error)",
                remedy: "tell its operator")
        }
    }

    /// Takes the head that the registry shows now, when it goes with the one that it showed before.
    private func takeHead(_ run: inout Run) async throws(Refusal) -> (head: TreeHead, compact: String) {
        let compact = try await answers.head()
        guard let head = run.audit.verified(compact) else {
            throw Refusal(
                .forbidden, code: "head.badSignature",
                reason: "the head of the log is not signed with the pinned key of \(run.audit.registry)",
                remedy: "do not use this registry; ask its operator")
        }
        if let known = run.audit.head, let before = run.audit.verified(known) {
            if head.relation(to: before) == .shrunk {
                run.findings.append(
                    AuditFinding(
                        "log.shrunk", "the log had \(before.size) entries and has \(head.size) now",
                        evidence: [known, compact]))
            } else {
                let proof = await consistency(before, head)
                if let finding = RegistryAudit.compare((before, known), (head, compact), proof: proof) {
                    run.findings.append(finding)
                }
            }
        }
        if run.findings.isEmpty { run.audit.believe(compact) }
        return (head, compact)
    }

    private func consistency(_ early: TreeHead, _ late: TreeHead) async -> [ContentHash]? {
        guard early.size < late.size else { return [] }
        return try? await answers.consistency(from: early.size, to: late.size)
    }

    /// Reads every new entry up to a head, and sees whether its root follows from them.
    private func readEntries(to head: TreeHead, _ run: inout Run) async throws(Refusal) {
        let new = head.size - min(head.size, UInt64(run.audit.frontier.count))
        guard new <= UInt64(Self.entries) else {
            throw Refusal(
                .overloaded, code: "audit.logTooLong",
                reason: "the log is said to have \(new) new entries; an audit reads \(Self.entries) at most",
                remedy: "ask the registry's operator how many servers it has had")
        }
        while run.audit.frontier.count < head.size {
            let wanted = min(Self.pageEntries, Int(clamping: head.size) - run.audit.frontier.count)
            let page = try await answers.entries(from: run.audit.frontier.count, limit: wanted, withCards: false)
            guard !page.entries.isEmpty else {
                run.findings.append(
                    AuditFinding(
                        "entries.withheld",
                        "the log has \(head.size) entries and only \(run.audit.frontier.count) of them are shown",
                        evidence: [run.audit.head].compactMap(\.self)))
                return
            }
            for (index, json) in page.entries {
                let findings = run.audit.take(json, at: index)
                run.findings += findings
                if findings.contains(where: { $0.code == "entry.misplaced" }) { return }
            }
        }
        if run.audit.frontier.root != head.root {
            run.findings.append(
                AuditFinding(
                    "log.rootMismatch",
                    "the entries that the registry shows are not those of the log that it has signed",
                    evidence: [run.audit.head].compactMap(\.self)))
        }
    }

    /// Checks every listed card against the log, and that the log's servers are listed.
    private func checkListing(_ run: inout Run) async throws(Refusal) {
        let before = Set(run.audit.listedByLog)
        var listed: [ServerID: String?] = [:]
        var cursor: String?
        repeat {
            let page = try await answers.listing(after: cursor)
            for (id, card) in page.servers { listed[id] = .some(card) }
            // Each of them has an entry in the log, which grows a little meanwhile.
            guard listed.count <= run.audit.frontier.count + Self.pageEntries else {
                run.findings.append(
                    AuditFinding(
                        "listing.endless",
                        "\(listed.count) servers are listed and more are to come, but the log has \(run.audit.frontier.count) entries",
                        evidence: [run.audit.head].compactMap(\.self)))
                return
            }
            cursor = page.next
        } while cursor != nil
        // What was logged while the listing was read may be in it, or not.
        let old = run.audit.subjects
        let size = run.audit.frontier.count
        let head = try await takeHead(&run)
        guard run.findings.isEmpty else { return }
        var later: [ServerID: Set<ContentHash>] = [:]
        try await readEntries(to: head.head, &run)
        if run.audit.frontier.count > size {
            for (id, subject) in run.audit.subjects where subject.index >= size {
                later[id] = Set([subject.card, old[id]?.card].compactMap(\.self))
            }
        }
        let now = clock.now().timestamp
        for id in listed.keys.sorted() {
            run.servers += 1
            let findings = run.audit.check(listed: id, listed[id] ?? nil, later: later[id] ?? [], at: now)
            // Several entries about one server in the meantime, or it left by its own word while it was listed: the next audit
            // sees what became of it.
            switch findings.first?.code {
            case "card.unlogged" where later[id] != nil: continue
            case "card.missing" where later[id] != nil && run.audit.subjects[id]?.kind == .deregistered: continue
            default: break
            }
            run.findings += findings
        }
        for id in run.audit.listedByLog where before.contains(id) && listed[id] == nil && later[id] == nil {
            run.findings.append(
                AuditFinding("server.omitted", server: id, "\(id) is in the log and is not listed"))
        }
    }

    /// Asks for proofs that the newest entries about some servers are in the log.
    private func checkProofs(_ run: inout Run) async throws(Refusal) {
        guard let compact = run.audit.head, let ours = run.audit.verified(compact) else { return }
        for id in run.audit.listedByLog.prefix(Self.proofs) {
            let inclusion = try await answers.inclusion(of: id)
            guard let head = run.audit.verified(inclusion.head), let size = Int(exactly: head.size),
                MerkleProof.isIncluded(
                    MerkleHash.leaf(inclusion.entry.serialized()), at: inclusion.index, size: size, root: head.root,
                    proof: inclusion.proof),
                RegistryLogEntry(inclusion.entry)?.server == id
            else {
                run.findings.append(
                    AuditFinding(
                        "entry.unproven", server: id,
                        "the registry does not prove that its entry about \(id) is in its log",
                        evidence: [inclusion.head]))
                continue
            }
            let proof = ours.size <= head.size ? await consistency(ours, head) : await consistency(head, ours)
            if let finding = RegistryAudit.compare((ours, compact), (head, inclusion.head), proof: proof) {
                run.findings.append(finding)
                return
            }
            run.proofs += 1
        }
    }

    // MARK: What others were shown

    private func compare(
        _ shown: (head: TreeHead, compact: String), with others: [JSONValue], _ run: inout Run
    ) async throws(Refusal) {
        var seen: Set<String> = []
        for compact in others.flatMap(Self.statements) where seen.insert(compact).inserted {
            guard let other = run.audit.verified(compact) else { continue }
            run.compared += 1
            let (early, late) = other.size <= shown.head.size ? (other, shown.head) : (shown.head, other)
            let proof = await consistency(early, late)
            if other.size > shown.head.size, proof == nil {
                run.findings.append(
                    AuditFinding(
                        "log.withheld",
                        "somebody was shown \(other.size) entries, of which the registry shows \(shown.head.size) here and does not prove the rest",
                        evidence: [shown.compact, compact]))
            } else if let finding = RegistryAudit.compare(shown, (other, compact), proof: proof) {
                run.findings.append(finding)
            }
        }
    }

    /// Every text in a document that may be a compact JWS.
    private static func statements(in json: JSONValue) -> [String] {
        switch json {
        case .null, .bool, .integer, .number: []
        case .string(let text): text.utf8.count { $0 == 0x2E } == 2 ? [text] : []
        case .array(let elements): elements.flatMap(statements)
        case .object(let members): members.keys.sorted().flatMap { members[$0].map(statements) ?? [] }
        }
    }
}
