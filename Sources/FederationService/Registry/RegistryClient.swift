import FederationCore
import FederationCrypto
public import FederationModel
import Logging
import Metrics

/// Uses several registries at once: registers this server with each, says that it is alive, and reads what they list.
///
/// A registry is believed nothing but what it has signed of its log; what it lists counts as far as the listed servers have
/// signed it, and only with the card that its log names to everybody. What was read is kept with the server's own registry, so a server works on while every registry is down, and
/// after a restart.
public actor RegistryClient {
    public struct Configuration: Hashable, Sendable {
        /// Between two rounds with one registry, give or take a fifth.
        public var interval: Duration
        /// Pauses after a failure: the first, and the longest.
        public var firstPause: Duration
        public var longestPause: Duration
        /// Entries on one page, and pages in one round.
        public var pageEntries: Int
        public var pagesPerRound: Int

        public init(
            interval: Duration = .seconds(30), firstPause: Duration = .seconds(5),
            longestPause: Duration = .seconds(300), pageEntries: Int = 100, pagesPerRound: Int = 50
        ) {
            self.interval = interval
            self.firstPause = firstPause
            self.longestPause = longestPause
            self.pageEntries = pageEntries
            self.pagesPerRound = pagesPerRound
        }
    }

    private let server: FederationServer
    private let addresses: [String]
    private let link: any RegistryLink
    private let clock: any FederationClock
    private let entropy: any EntropySource
    private let configuration: Configuration
    /// The card that each registry has taken.
    private var registered: [String: String] = [:]
    /// By the registry's address.
    private var unlogged: [String: UnloggedCards] = [:]

    public init(
        server: FederationServer, addresses: [String], link: any RegistryLink,
        configuration: Configuration = Configuration(), clock: any FederationClock = SystemClock(),
        entropy: any EntropySource = SystemEntropy()
    ) {
        self.server = server
        self.addresses = Array(addresses.prefix(Limits.registries))
        self.link = link
        self.configuration = configuration
        self.clock = clock
        self.entropy = entropy
    }

    /// Forgets what registries list that are used no more, and then goes on until the task is cancelled.
    public func run() async {
        do throws(Refusal) {
            try await server.use(only: addresses)
        } catch {
            server.logger.error("what other registries listed is still remembered", metadata: ["code": "\(error.code)"])
        }
        await withTaskGroup { group in
            for address in addresses {
                group.addTask { await self.keep(address) }
            }
        }
    }

    private func keep(_ address: String) async {
        var failures = 0
        while !Task.isCancelled {
            failures = await round(address) ? 0 : failures + 1
            do {
                try await clock.sleep(until: clock.now().instant + pause(after: failures))
            } catch {
                return
            }
        }
    }

    /// The interval with jitter, or after failures the backoff, between half of it and all of it.
    private func pause(after failures: Int) -> Duration {
        let random = Double(entropy.bytes(2).reduce(0) { $0 << 8 | Int($1) }) / 65_536
        guard failures > 0 else { return configuration.interval * (0.8 + 0.4 * random) }
        let longest = configuration.firstPause * Double(1 << min(failures - 1, 16))
        return min(longest, configuration.longestPause) * (0.5 + 0.5 * random)
    }

    /// One round with one registry. False when something of it failed, which ``FederationServer/sources()`` tells.
    public func round(_ address: String) async -> Bool {
        await server.use([address])
        var failure: Refusal?
        do {
            let registry = try await meet(address)
            // A registry that does not want this server may still be read.
            do {
                try await appear(at: address)
            } catch {
                failure = error
                await server.update(address) { $0.isRegistered = false }
            }
            try await follow(address, registry)
        } catch {
            failure = failure ?? error
        }
        let now = clock.now().timestamp
        await server.update(address) { [failure] source in
            source.lastError = failure
            if failure == nil { source.lastContact = now }
        }
        if let failure {
            server.logger.info("the registry \(address) failed: \(failure)")
            Counter(label: "aether_registry_failures_total", dimensions: [("code", failure.code)]).increment()
        }
        return failure == nil
    }

    /// Leaves a registry: the server is listed there no more.
    public func leave(_ address: String) async throws(Refusal) {
        let registry = try await meet(address)
        let statement = await server.deregistrationStatement(for: registry)
        _ = try await link.ask(RegistryRequest("DELETE", address, "/v1/servers/\(server.id)", statement: statement))
        registered[address] = nil
        await server.update(address) { $0.isRegistered = false }
    }

    // MARK: Who it is

    /// Whose registry answers at an address. Its key is bound to its id as every server's is.
    private func meet(_ address: String) async throws(Refusal) -> ServerID {
        let compact = try await RegistryAnswers(link: link, address: address).card()
        let card: ServerCard
        do {
            card = try ServerCard.verify(compact, at: clock.now().timestamp)
        } catch {
            throw Refusal(
                .invalid, code: "registry.badCard", reason: "the card of \(address) \(error.reason)",
                remedy: "compare the clocks of both machines; else tell the registry's operator")
        }
        guard card.id != server.id else {
            throw Refusal(
                .conflict, code: "registry.self", reason: "\(address) is this server itself",
                remedy: "take it out of 'registries'")
        }
        if let known = await server.knownRegistry(address), known.registry != card.id {
            throw Refusal(
                .conflict, code: "registry.changed",
                reason: "\(address) was the registry of \(known.registry) and says now that it is \(card.id)",
                remedy: "ask its operator; if that is right, name it by another address")
        }
        do {
            _ = try await server.register(compact)
        } catch  where error.code == "server.alreadyRegistered" {
            // A newer card of it is known.
        }
        await server.update(address) { $0.registry = card.id }
        return card.id
    }

    // MARK: Being listed

    private func appear(at address: String) async throws(Refusal) {
        try await register(at: address)
        do {
            try await beat(at: address)
        } catch  where error.code == "server.unknown" {
            // It has forgotten this server.
            registered[address] = nil
            try await register(at: address)
            try await beat(at: address)
        }
    }

    private func register(at address: String) async throws(Refusal) {
        guard let card = await server.card(), registered[address] != card.compact else { return }
        do {
            _ = try await link.ask(RegistryRequest("POST", address, "/v1/servers", statement: card.compact))
        } catch  where error.code == "server.alreadyRegistered" {
            // It has this card or a newer one.
        }
        registered[address] = card.compact
        await server.update(address) { $0.isRegistered = true }
    }

    private func beat(at address: String) async throws(Refusal) {
        let statement = await server.heartbeatStatement(to: server.knownRegistry(address)?.registry)
        _ = try await link.ask(
            RegistryRequest("POST", address, "/v1/servers/\(server.id)/heartbeat", statement: statement))
    }

    // MARK: Reading

    /// Reads what is new in a registry's log.
    private func follow(_ address: String, _ registry: ServerID) async throws(Refusal) {
        let answers = RegistryAnswers(link: link, address: address)
        guard let key = await server.binding(of: registry)?.key else { return }
        if let fault = await server.knownRegistry(address)?.fault {
            throw Refusal(
                .conflict, code: "registry.faulty", reason: "\(address) was caught before: \(fault.code)",
                remedy: "ask its operator; to read it again from the beginning: aether registry readmit \(address)")
        }
        unlogged[address]?.expectAll()
        let compact = try await answers.head()
        let head = try verified(compact, registry, key, address)
        var known =
            await server.knownRegistry(address) ?? KnownRegistry(address: address, registry: registry, head: compact)
        if let before = try? TreeHead.verify(known.head, registry: registry, key: key) {
            try await check(head, compact, continues: before, known.head, answers)
        }
        // Also when the earlier head is signed with a key that the registry has rotated away from.
        guard known.frontier.count < head.size || known.frontier.root == head.root else {
            throw try await contradiction(address, known.head, compact)
        }
        known.head = compact
        try await server.remember(known)
        await server.update(address) { [head] source in
            source.head = compact
            source.size = Int(clamping: head.size)
        }
        for _ in 0..<configuration.pagesPerRound where known.frontier.count < head.size {
            try await readPage(of: head, &known, answers)
        }
        if known.frontier.count >= head.size, let (listed, card) = unlogged[address]?.overdue {
            unlogged[address] = nil
            throw try await caught(
                address, "registry.unloggedCard", "has shown a card of \(listed) that its log does not name",
                evidence: [card, compact])
        }
    }

    private func verified(
        _ compact: String, _ registry: ServerID, _ key: PublicKey, _ address: String
    ) throws(Refusal) -> TreeHead {
        do {
            return try TreeHead.verify(compact, registry: registry, key: key)
        } catch {
            throw Refusal(
                .forbidden, code: "registry.badHead",
                reason: "the head that \(address) shows of its log \(error.reason)",
                remedy: "ask its operator; its key may have changed without a rotation")
        }
    }

    private func check(
        _ head: TreeHead, _ compact: String, continues before: TreeHead, _ earlier: String, _ answers: RegistryAnswers
    ) async throws(Refusal) {
        switch head.relation(to: before) {
        case .same:
            return
        case .needsProof:
            let proof = try await answers.consistency(from: before.size, to: head.size)
            if head.continues(before, proof: proof) { return }
        case .contradicts, .shrunk:
            break
        }
        throw try await contradiction(answers.address, earlier, compact)
    }

    private func contradiction(_ address: String, _ earlier: String, _ now: String) async throws(Refusal) -> Refusal {
        Counter(label: "aether_registry_contradictions_total").increment()
        return try await caught(
            address, "registry.contradiction", "has signed a log that does not continue the one that was read before",
            evidence: [earlier, now])
    }

    /// The registry was caught: what it lists counts no more, also after a restart, and the evidence is kept.
    private func caught(
        _ address: String, _ code: String, _ what: String, evidence: [String]
    ) async throws(Refusal) -> Refusal {
        server.logger.error(
            "the registry \(address) \(what); it is trusted no more",
            metadata: ["code": "\(code)", "evidence": "\(evidence.joined(separator: " "))"])
        let fault = RegistryFault(code: code, evidence: evidence, seenAt: clock.now().timestamp)
        try await server.condemn(address, for: fault)
        return Refusal(
            .conflict, code: code, reason: "\(address) \(what)",
            remedy: "look into it: aether registry audit \(address)")
    }

    private func readPage(
        of head: TreeHead, _ known: inout KnownRegistry, _ answers: RegistryAnswers
    ) async throws(Refusal) {
        let wanted = min(configuration.pageEntries, Int(clamping: head.size) - known.frontier.count)
        let page = try await answers.entries(from: known.frontier.count, limit: wanted, withCards: true)
        var frontier = known.frontier
        var entries: [RegistryLogEntry] = []
        var newest: [ServerID: FederationServer.Listed] = [:]
        var revocations: [ServerID: [String]] = [:]
        for (index, json) in page.entries where index < head.size {
            guard index == frontier.count, let entry = RegistryLogEntry(json) else {
                throw Self.badLog(answers.address)
            }
            frontier.append(json.serialized())
            if entry.kind == .revoked { revocations[entry.server, default: []] += entry.proof.suffix(1) }
            entries.append(entry)
            newest[entry.server] = FederationServer.Listed(
                server: entry.server, kind: entry.kind, key: entry.key, named: entry.card,
                card: page.cards[entry.server], revocations: revocations[entry.server] ?? [])
        }
        guard frontier.count > known.frontier.count else { throw Self.badLog(answers.address) }
        // Nothing of a page counts before the signed head is known to cover it.
        guard try await leads(frontier, to: head, answers) else {
            // Something that was read before may be what is wrong: everything is read again.
            known.frontier = MerkleFrontier()
            try await server.remember(known)
            throw Self.badLog(answers.address)
        }
        let listed = newest.keys.sorted().compactMap { newest[$0] }
        for entry in entries { unlogged[answers.address]?.explain(by: entry) }
        for one in listed where !one.isLogged {
            guard let card = one.card, let hash = one.hash else { continue }
            unlogged[answers.address, default: UnloggedCards()].note(card, hash, of: one.server)
        }
        let refused = try await server.take(listed, from: answers.address)
        if refused > 0 {
            Counter(label: "aether_registry_cards_refused_total").increment(by: Int64(refused))
        }
        known.frontier = frontier
        try await server.remember(known)
        await server.update(answers.address) { [frontier] in $0.read = frontier.count }
    }

    /// Whether what was read is what the head is signed for, or the beginning of it.
    private func leads(
        _ frontier: MerkleFrontier, to head: TreeHead, _ answers: RegistryAnswers
    ) async throws(Refusal) -> Bool {
        guard frontier.count < head.size else { return frontier.root == head.root }
        let read = TreeHead(
            issuer: head.issuer, size: UInt64(frontier.count), root: frontier.root, issuedAt: head.issuedAt)
        return head.continues(read, proof: try await answers.consistency(from: read.size, to: head.size))
    }

    private static func badLog(_ address: String) -> Refusal {
        Refusal(
            .conflict, code: "registry.badLog",
            reason: "the entries that \(address) shows are not those of its signed log",
            remedy: "look into it: aether registry audit \(address)")
    }
}
