import FederationCore
import FederationCrypto
public import FederationModel
import Logging
import Metrics

/// Uses several registries at once: registers this server with each, says that it is alive, and reads what they list.
///
/// A registry is believed nothing but what it has signed of its log; what it lists counts as far as the listed servers have
/// signed it, and only with the card that its log names to everybody. Nothing but two signed heads that contradict each other
/// is held against it for good. What was read is kept with the server's own registry, so a server works on while every
/// registry is down, and after a restart.
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
    /// Servers that were left out in this round, by address, because their registry has no more room here.
    private var skipped: [String: Int] = [:]
    /// What this round must wait with until this machine's clock has come so far. A registry may answer with any code.
    private var ahead: [String: Refusal] = [:]

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
            switch await visit(address) {
            case .done: failures = 0
            // Clocks a second apart are enough for it, and a server that registers all the time: no reason to appear less often.
            case .waits: failures = 0
            case .failed, .overtaken: failures += 1
            }
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

    /// One round with one registry. False when something of it failed, which ``FederationServer/sources()`` tells, and when the
    /// registry was readmitted meanwhile, so that the round counts for nothing.
    public func round(_ address: String) async -> Bool {
        await visit(address) == .done
    }

    /// How a round ended.
    private enum RoundEnd: Hashable {
        case done
        /// Only for this machine's clock to reach a card's.
        case waits
        case failed
        /// By a readmission: it counts for nothing.
        case overtaken
    }

    private func visit(_ address: String) async -> RoundEnd {
        let round = await server.beginRound(with: address)
        var failure: Refusal?
        var waits = false
        do {
            let registry = try await meet(address)
            // A registry that does not want this server may still be read.
            do {
                try await appear(at: address, of: registry)
            } catch {
                failure = error
                await server.update(address) { $0.isRegistered = false }
            }
            try await follow(round, registry)
        } catch {
            waits = failure == nil && ahead[address] == error
            // What is wrong with its log matters more than that it does not take this server; and a clock that is behind may be
            // why it does not.
            failure = error
        }
        ahead[address] = nil
        if let skipped = skipped.removeValue(forKey: address) {
            server.logger.warning(
                "there is no more room for what the registry \(address) lists: \(skipped) servers were left out",
                metadata: ["code": "registry.noRoom"])
        }
        let now = clock.now().timestamp
        let counts = await server.update(in: round) { [failure] source in
            source.lastError = failure
            if failure == nil { source.lastContact = now }
        }
        guard counts else { return .overtaken }
        guard let failure else { return .done }
        server.logger.info("the registry \(address) failed: \(failure)")
        Counter(label: "aether_registry_failures_total", dimensions: [("code", failure.code)]).increment()
        return waits ? .waits : .failed
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
        } catch  where ["server.alreadyRegistered", "server.hasLeft"].contains(error.code) {
            // A newer card of it is known.
        }
        await server.update(address) { $0.registry = card.id }
        return card.id
    }

    // MARK: Being listed

    private func appear(at address: String, of registry: ServerID) async throws(Refusal) {
        try await register(at: address)
        do {
            try await beat(at: address, of: registry)
        } catch  where error.code == "server.unknown" {
            // It has forgotten this server.
            registered[address] = nil
            try await register(at: address)
            try await beat(at: address, of: registry)
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

    private func beat(at address: String, of registry: ServerID) async throws(Refusal) {
        let statement = await server.heartbeatStatement(to: registry)
        _ = try await link.ask(
            RegistryRequest("POST", address, "/v1/servers/\(server.id)/heartbeat", statement: statement))
    }

    // MARK: Reading

    /// Reads what is new in a registry's log.
    private func follow(_ round: RegistryRound, _ registry: ServerID) async throws(Refusal) {
        let address = round.address
        let answers = RegistryAnswers(link: link, address: address)
        guard let binding = await server.binding(of: registry) else { return }
        let believed = await server.knownRegistry(address)
        try await server.checkFault(of: registry, at: address)
        // Without it the log is read from the beginning, and what was shown before belongs to nothing.
        if believed == nil { unlogged[address] = nil }
        unlogged[address]?.expectAll()
        let compact = try await answers.head()
        let head = try verified(compact, registry, binding.key, address)
        if let believed { try await check(head, compact, continues: believed, answers, round) }
        var known = believed ?? KnownRegistry(address: address, registry: registry, head: compact)
        known.head = compact
        try await server.remember(known, in: round)
        await server.update(in: round) { [head] source in
            source.head = compact
            source.size = Int(clamping: head.size)
        }
        for _ in 0..<configuration.pagesPerRound where known.frontier.count < head.size {
            try await readPage(of: head, &known, answers, round)
        }
        if known.frontier.count >= head.size { try await settleUnlogged(head, answers, round) }
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

    /// Refuses a head whose log is not known to continue the one that was believed, whichever key has signed that one.
    ///
    /// Only what the registry has signed is held against it for good. A proof that does not fit and an old head may be the
    /// work of whoever stands in between, so they are refused for as long as they are shown, and the believed head stays.
    private func check(
        _ head: TreeHead, _ compact: String, continues known: KnownRegistry, _ answers: RegistryAnswers,
        _ round: RegistryRound
    ) async throws(Refusal) {
        let address = answers.address
        guard let before = try? TreeHead.unverified(known.head) else {
            throw Self.unproven(address, "has a stored head that does not parse")
        }
        switch head.relation(to: before) {
        case .same:
            return
        case .needsProof:
            let proof = try await answers.consistency(from: before.size, to: head.size)
            guard head.continues(before, proof: proof) else {
                throw Self.unproven(
                    address,
                    "does not prove that its log of \(head.size) entries continues that of \(before.size)")
            }
        case .contradicts:
            // One that a void key has signed may be a thief's, so it proves nothing; the key may have become void just now.
            let binding = await server.binding(of: known.registry)
            let keys = binding.map { $0.isDead ? [] : [$0.key] + $0.retired.map(\.key) } ?? []
            for signed in [known.head, compact] {
                guard keys.contains(where: { (try? TreeHead.verify(signed, registry: known.registry, key: $0)) != nil })
                else {
                    throw Self.unproven(
                        address, "shows another log than the one that it had signed, one of them under a key now void")
                }
            }
            throw try await contradiction(known.head, compact, round)
        case .shrunk:
            throw Refusal(
                .conflict, code: "registry.olderHead",
                reason: "\(address) shows a log of \(head.size) entries and had \(before.size) before",
                remedy: "it may be an old answer; if it stays: aether registry audit \(address), then readmit")
        }
    }

    private static func unproven(_ address: String, _ what: String) -> Refusal {
        Refusal(
            .conflict, code: "registry.unproven", reason: "\(address) \(what)",
            remedy: "if it stays: aether registry audit \(address); to begin anew: aether registry readmit \(address)")
    }

    /// The registry has signed two logs of one size: what it lists counts no more, also after a restart, and both heads are
    /// kept.
    private func contradiction(
        _ earlier: String, _ now: String, _ round: RegistryRound
    ) async throws(Refusal) -> Refusal {
        try await server.check(round)
        let address = round.address
        Counter(label: "aether_registry_contradictions_total").increment()
        let code = "registry.contradiction"
        let what = "has signed two different logs of one size"
        server.logger.error(
            "the registry \(address) \(what); it is trusted no more",
            metadata: ["code": "\(code)", "evidence": "\(earlier) \(now)"])
        let fault = RegistryFault(code: code, evidence: [earlier, now], seenAt: clock.now().timestamp)
        try await server.condemn(in: round, for: fault)
        return Refusal(
            .conflict, code: code, reason: "\(address) \(what)",
            remedy: "look into it: aether registry audit \(address)")
    }

    private func readPage(
        of head: TreeHead, _ known: inout KnownRegistry, _ answers: RegistryAnswers, _ round: RegistryRound
    ) async throws(Refusal) {
        let wanted = min(configuration.pageEntries, Int(clamping: head.size) - known.frontier.count)
        let page = try await answers.entries(from: known.frontier.count, limit: wanted, withCards: true)
        var frontier = known.frontier
        var newest: [ServerID: (listed: FederationServer.Listed, place: UnloggedCards.Place)] = [:]
        var named: [(server: ServerID, place: UnloggedCards.Place)] = []
        var revocations: [ServerID: [String]] = [:]
        for (index, json) in page.entries where index < head.size {
            guard index == frontier.count, let entry = RegistryLogEntry(json) else {
                throw Self.badLog(answers.address)
            }
            let place = UnloggedCards.Place(index: index, entry: json, card: entry.card)
            frontier.append(leafHash: place.leaf)
            if let revocation = entry.revocation { revocations[entry.server, default: []].append(revocation) }
            named.append((entry.server, place))
            let listed = FederationServer.Listed(
                entry, card: page.cards[entry.server], revocations: revocations[entry.server] ?? [])
            newest[entry.server] = (listed, place)
        }
        guard frontier.count > known.frontier.count else { throw Self.badLog(answers.address) }
        // Nothing of a page counts before the signed head is known to cover it. What was read before was covered too, so it is
        // this page, or its proof, that is wrong.
        guard try await leads(frontier, to: head, answers) else { throw Self.badLog(answers.address) }
        let order = newest.keys.sorted()
        try await take(order.compactMap { newest[$0]?.listed }, of: head, in: round)
        var waiting = unlogged[answers.address] ?? UnloggedCards()
        for (server, place) in named { waiting.explain(server, by: place) }
        for server in order {
            guard let (listed, place) = newest[server], let hash = listed.hash else { continue }
            if listed.isLogged { waiting.settle(server) } else { waiting.note(hash, of: server, at: place) }
        }
        unlogged[answers.address] = waiting
        known.frontier = frontier
        try await server.remember(known, in: round)
        await server.update(in: round) { [frontier] in $0.read = frontier.count }
    }

    /// - Throws: `registry.clock` for a card that is not valid yet by this server's clock and is by the registry's: it would be
    ///   missed till the server shows another one, so the page is read again. One that is ahead of both clocks holds nobody up.
    private func take(
        _ listed: [FederationServer.Listed], of head: TreeHead, in round: RegistryRound
    ) async throws(Refusal) {
        let taken = try await server.take(listed, in: round)
        if taken.refused > 0 {
            Counter(label: "aether_registry_cards_refused_total").increment(by: Int64(taken.refused))
        }
        if taken.skipped > 0 {
            Counter(label: "aether_registry_servers_skipped_total").increment(by: Int64(taken.skipped))
            skipped[round.address, default: 0] += taken.skipped
        }
        if let issued = taken.firstAhead, issued <= head.issuedAt + Limits.clockSkew {
            let seconds = (issued.milliseconds - clock.now().timestamp.milliseconds) / 1_000
            let refusal = Refusal(
                .conflict, code: Self.clock,
                reason: "\(round.address) lists a card that was issued \(seconds) s ahead of this machine's clock",
                remedy: "set this machine's clock, or tell the registry's operator; a few seconds pass by themselves")
            ahead[round.address] = refusal
            throw refusal
        }
    }

    /// Asks once more for the card of every server of which one was shown that the log should have named by now.
    ///
    /// - Throws: `registry.unloggedCard` for as long as such a card is shown.
    private func settleUnlogged(
        _ head: TreeHead, _ answers: RegistryAnswers, _ round: RegistryRound
    ) async throws(Refusal) {
        let address = answers.address
        // One that waits for a clock keeps none of the others waiting.
        var ahead: Refusal?
        for (server, place) in unlogged[address]?.overdue ?? [] {
            let page = try await answers.entries(from: place.index, limit: 1, withCards: true)
            guard let (index, json) = page.entries.first, let entry = RegistryLogEntry(json),
                UnloggedCards.Place(index: index, entry: json, card: entry.card) == place
            else { throw Self.badLog(address) }
            let listed = FederationServer.Listed(entry, card: page.cards[server], revocations: [])
            guard listed.card == nil || listed.isLogged else {
                throw Refusal(
                    .conflict, code: "registry.unloggedCard",
                    reason: "\(address) shows a card of \(server) that its log does not name",
                    remedy: "it may come from somebody in between; if it stays: aether registry audit \(address)")
            }
            do throws(Refusal) {
                try await take([listed], of: head, in: round)
            } catch {
                guard error.code == Self.clock else { throw error }
                ahead = error
                continue
            }
            unlogged[address]?.settle(server)
        }
        if let ahead { throw ahead }
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

    private static let clock = "registry.clock"

    private static func badLog(_ address: String) -> Refusal {
        Refusal(
            .conflict, code: "registry.badLog",
            reason: "the entries that \(address) shows are not those of its signed log",
            remedy: "look into it: aether registry audit \(address)")
    }
}
