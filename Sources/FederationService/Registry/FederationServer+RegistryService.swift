public import FederationCore
public import FederationCrypto
public import FederationModel

/// What a registry offers to strangers: registration by signature, the log, and its proofs. Whoever reads it believes
/// nothing of it but what the listed servers and this one have signed.
extension FederationServer {
    /// Whether a registry log is kept here.
    public var keepsRegistryLog: Bool { node.configuration.servesRegistry || node.log.count > 0 }

    /// Entries that a search looks at before it lets others have their turn, offers of players above all. As many as a page may
    /// have, so that a listing is of one moment.
    static let searchedAtOnce = 1_000

    /// Servers that match, in order of id, after `cursor`; at most ``Limits/searchedServers`` entries are looked at. See
    /// ``ServerRegistry/search(_:after:limit:examining:)``.
    ///
    /// - Throws: `registry.busy` while ``Limits/longSearches`` others are under way.
    public func search(
        _ search: RegistrySearch, after cursor: ServerID?, limit: Int
    ) async throws(Refusal) -> (servers: [FederatedServer], next: ServerID?) {
        var (found, next) = node.registry.search(search, after: cursor, limit: limit, examining: Self.searchedAtOnce)
        guard found.count < limit, next != nil else { return (found, next) }
        guard searchesUnderWay < Limits.longSearches else {
            throw Refusal(
                .overloaded, code: "registry.busy", reason: "too many searches are under way at this moment",
                remedy: "try again in a few seconds", step: .registry)
        }
        searchesUnderWay += 1
        defer { searchesUnderWay -= 1 }
        var examined = Self.searchedAtOnce
        while let last = next, found.count < limit, examined < Limits.searchedServers {
            await Task.yield()
            let more = node.registry.search(
                search, after: last, limit: limit - found.count,
                examining: min(Self.searchedAtOnce, Limits.searchedServers - examined))
            found += more.servers
            next = more.next
            examined += Self.searchedAtOnce
        }
        return (found, next)
    }

    /// The same, each as it is at the end with the signed card that it was registered with, at one moment: who leaves between two
    /// questions would be shown without one.
    ///
    /// - Throws: as ``search(_:after:limit:)``.
    public func searchWithCards(
        _ search: RegistrySearch, after cursor: ServerID?, limit: Int
    ) async throws(Refusal) -> (servers: [(entry: FederatedServer, card: String?)], next: ServerID?) {
        let (servers, next) = try await self.search(search, after: cursor, limit: limit)
        return (servers.compactMap { node.registry.server($0.id) }.map { ($0, node.cards[$0.id]) }, next)
    }

    // MARK: Registration by strangers

    /// Registers a server for somebody of whom nothing is known but that they hold the card's key: besides what
    /// ``register(_:)`` checks, each address in the card that is new here must answer with a card of the same id and key.
    ///
    /// - Parameter caller: the network that it comes from, which gets no more than its share of what strangers may bring about.
    /// - Throws: as ``register(_:)``; `registry.full`; `endpoint.unproven` when an address does not answer so; `tls.failed` when
    ///   this server can ask no address over TLS.
    public func registerStranger(
        _ compact: String, from caller: AddressRange? = nil
    ) async throws(Refusal) -> FederatedServer {
        try checkReady()
        let card: ServerCard
        do {
            card = try ServerCard.verify(compact, at: clock.now().timestamp)
        } catch {
            throw Refusal(
                .invalid, code: "card.refused", reason: "the server card \(error.reason)",
                remedy: "fetch the card anew from the server's /.well-known/aether-federation")
        }
        // What will be refused anyway must not make this server dial anybody.
        try node.check(registering: compact, card, at: clock.now())
        try checkRoom(for: card.id)
        let entry = node.registry.server(card.id)
        let known = entry.map { [$0.endpoint] + $0.alternatives } ?? []
        let isSameKey = entry?.publicKey == card.publicKey
        // A contradiction lists no address, and is evidence whatever answers there.
        let isContradiction = isSameKey && entry?.recordSequence == card.sequence
        let unproven = isContradiction ? [] : card.endpoints.filter { !isSameKey || !known.contains($0) }
        if !unproven.isEmpty {
            guard proofsUnderWay < Limits.endpointProofs else {
                throw Refusal(
                    .overloaded, code: "registry.busy",
                    reason: "too many registrations are being proved at this moment",
                    remedy: "try again in a few seconds", step: .registry)
            }
            proofsUnderWay += 1
            defer { proofsUnderWay -= 1 }
            for endpoint in unproven { try await prove(card, at: endpoint, for: caller) }
        }
        // Others may have taken the place meanwhile.
        try checkRoom(for: card.id)
        return try await register(compact)
    }

    /// Whoever is known here already takes no more room.
    private func checkRoom(for server: ServerID) throws(Refusal) {
        guard node.registry.server(server) == nil, node.registry.tombstone(server) == nil else { return }
        // What other registries list has a bound of its own.
        let strangers = node.registry.count + node.registry.tombstoneCount - node.brought
        guard strangers < node.configuration.registeredServers else {
            throw Refusal(
                .overloaded, code: "registry.full", reason: "this registry has as many ids as it takes",
                remedy: "use another registry, or ask the operator for room: registry.maximumServers", step: .registry)
        }
    }

    /// Whether `endpoint` answers for the server of a card.
    private func prove(
        _ card: ServerCard, at endpoint: Endpoint, for caller: AddressRange?
    ) async throws(Refusal) {
        // One answer for every cause, so that nobody learns from it what listens where.
        let refusal = Refusal(
            .conflict, code: "endpoint.unproven",
            reason: "\(endpoint) does not answer with a card of \(card.id) and its key",
            remedy: "run the server there, reachable from here, before registering it", step: .registry)
        let denied = node.policy.deniedAddresses
        guard let cardSource else { throw refusal }
        let answer: String
        do throws(Refusal) {
            answer = try await cardSource.card(at: endpoint, forStrangerIn: caller, denied: denied)
        } catch {
            throw error.code == Refusal.cannotLook ? error : refusal
        }
        guard let shown = try? ServerCard.verify(answer, at: clock.now().timestamp), shown.id == card.id,
            shown.publicKey == card.publicKey, shown.endpoints.contains(endpoint)
        else { throw refusal }
    }

    /// Removes a server by its own signed wish; see ``FederationNode/deregister(_:statement:at:)``.
    public func deregister(_ id: ServerID, statement: String) async throws(Refusal) {
        try checkReady()
        try await commit(node.deregister(id, statement: statement, at: clock.now()))
    }

    // MARK: The log

    /// Part of the log.
    public struct LogPage: Sendable {
        public let records: [RegistryLogRecord]
        /// The cards that are listed now of the servers in it, as far as the log names them.
        public let cards: [ServerID: String]
        /// Whether more follows.
        public let hasMore: Bool
    }

    /// An entry with the proof that it is in the log under a head.
    public struct LogInclusion: Sendable {
        public let record: RegistryLogRecord
        public let proof: [ContentHash]
        public let head: String
    }

    /// The log's signed head, as compact JWS.
    public func logHead() throws(Refusal) -> (head: TreeHead, compact: String) {
        try checkLog()
        let now = clock.now().timestamp
        if let treeHead, treeHead.head.size == UInt64(durableLog), now < treeHead.head.issuedAt + Self.headLifetime,
            treeHead.head.issuedAt <= now + Limits.clockSkew,
            CompactJWS.unverifiedKey(treeHead.compact) == node.identity.publicKey
        {
            return treeHead
        }
        guard let root = node.log.root(size: durableLog) else {
            preconditionFailure("what is durable is in the log")
        }
        let head = TreeHead(issuer: id, size: UInt64(durableLog), root: root, issuedAt: now)
        let fresh = (head: head, compact: head.issue(by: node.identity))
        treeHead = fresh
        return fresh
    }

    /// Up to `limit` entries from the one at `first` on, bounded in bytes.
    public func logPage(from first: Int, limit: Int, withCards: Bool) async throws(Refusal) -> LogPage {
        try checkLog()
        let size = durableLog
        guard first < size else { return LogPage(records: [], cards: [:], hasMore: false) }
        let records = try await fromStore { [store] in
            try await store.logRecords(from: first, limit: min(limit, size - first))
        }
        var page: [RegistryLogRecord] = []
        var cards: [ServerID: String] = [:]
        var bytes = 0
        for record in records {
            let card =
                withCards && cards[record.server] == nil ? try await loggedCard(with: record, before: size) : nil
            bytes += record.leaf.count + (card?.utf8.count ?? 0) + 256
            guard bytes <= Self.pageBytes || page.isEmpty else { break }
            page.append(record)
            if let card { cards[record.server] = card }
        }
        return LogPage(records: page, cards: cards, hasMore: first + page.count < size)
    }

    /// The card that is listed now of the server that `record` is about, when the newest of the first `size` entries about it
    /// names it. One whose entry is not durable yet may never be logged, and then it is no card of this registry's. That of a
    /// suspended server is not shown: whoever begins to read may be far from the entry that says so.
    private func loggedCard(with record: RegistryLogRecord, before size: Int) async throws(Refusal) -> String? {
        guard let card = node.cards[record.server], !node.registry.isSuspended(record.server) else { return nil }
        let hash = ContentHash.of(Array(card.utf8))
        if Self.card(in: record) == hash { return card }
        let newest = try await fromStore { [store] in try await store.newestLogRecord(of: record.server, before: size) }
        guard let newest, Self.card(in: newest) == hash else { return nil }
        return card
    }

    private static func card(in record: RegistryLogRecord) -> ContentHash? {
        (try? JSONValue.parse(record.leaf)).flatMap(RegistryLogEntry.init)?.card
    }

    /// The newest entry about a server, proved under the newest head.
    public func logInclusion(of server: ServerID) async throws(Refusal) -> LogInclusion {
        let head = try logHead()
        let size = Int(head.head.size)
        let record = try await fromStore { [store] in try await store.newestLogRecord(of: server, before: size) }
        guard let record, let proof = node.log.inclusionProof(of: record.index, size: size) else {
            throw Refusal(
                .notFound, code: "log.unknown", reason: "the log says nothing about \(server)",
                remedy: "see aether registry list")
        }
        return LogInclusion(record: record, proof: proof, head: head.compact)
    }

    /// The proof that the log of the size `later` (nil for all of it) continues that of the size `earlier`.
    public func logConsistency(from earlier: Int, to later: Int?) throws(Refusal) -> (to: Int, proof: [ContentHash]) {
        try checkLog()
        let size = later ?? durableLog
        guard earlier >= 0, earlier <= size, size <= durableLog else {
            throw Refusal(
                .invalid, code: "log.range", reason: "the log has \(durableLog) entries",
                remedy: "ask with 0 ≤ from ≤ to ≤ \(durableLog)")
        }
        return (size, earlier == 0 ? [] : node.log.consistencyProof(from: earlier, to: size) ?? [])
    }

    private func checkLog() throws(Refusal) {
        guard keepsRegistryLog else {
            throw Refusal(
                .notFound, code: "registry.off", reason: "\(id) serves no registry",
                remedy: "ask a server that runs with --registry")
        }
    }

    private func fromStore<Value: Sendable>(
        _ read: @Sendable () async throws -> Value
    ) async throws(Refusal) -> Value {
        do {
            return try await read()
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw Refusal(
                .unavailable, code: "store.failed", reason: "the registry log cannot be read: \(error)",
                remedy: "see to the disk of the data directory")
        }
    }

    /// After so long a head is signed anew, so that its date says that the log is alive.
    private static let headLifetime: Duration = .seconds(60)
    /// Bytes of one page, so that it fits into ``Limits/registryAnswerBytes`` with what JSON adds.
    private static let pageBytes = 3 << 18
}
