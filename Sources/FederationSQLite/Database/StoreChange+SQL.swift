import FederationCore
import FederationModel
import GRDB

extension StoreChange {
    /// Applies the change within the transaction that is open.
    func apply(to database: Database) throws {
        switch self {
        case .putServer(let server, let card): try ServerRow(server: server, card: card).save(database)
        case .removeServer(let id): try ServerRow.delete(id.rawValue, database)
        case .putTombstone(let tombstone): try tombstone.save(database)
        case .removeTombstone(let id): try ServerTombstone.delete(id.rawValue, database)
        case .putPeer(let peer): try peer.save(database)
        case .removePeer(let id): try PeerRecord.delete(id.rawValue, database)
        case .putRoute(let route): try route.save(database)
        case .removeRoute(let portal): try PortalRoute.delete(portal.rawValue, database)
        case .putWorld(let world): try world.save(database)
        case .removeWorld(let id): try WorldRecord.delete(id.rawValue, database)
        case .putPlayer(let player): try player.save(database)
        case .removePlayer(let id): try PlayerRecord.delete(id.description, database)
        case .putHandoff(let handoff): try handoff.save(database)
        case .removeHandoff(let id): try HandoffRecord.delete(id.description, database)
        case .putDecisions(let server, let count): try DecisionsRow(server: server, count: count).save(database)
        case .putPassage(let passage): try passage.save(database)
        case .putReclaim(let reclaim): try reclaim.save(database)
        case .putRecall(let player, let epoch): try RecallRow(player: player, epoch: epoch).save(database)
        case .putCardSequence(let sequence): try NodeRow(cardSequence: sequence).save(database)
        case .putBinding(let binding): try binding.save(database)
        case .putEquivocation(let equivocation): try equivocation.save(database)
        case .putOwnKeys(let keys): try keys.save(database)
        case .registry(.appendLog(let record)): try record.save(database)
        case .registry(.putListing(let listing)): try listing.save(database)
        case .registry(.removeListing(let listing)): try listing.remove(database)
        case .registry(.putRegistry(let known)): try known.save(database)
        case .registry(.removeRegistry(let address)): try KnownRegistry.delete(address, database)
        case .registry(.putBrought(let registry, let count)):
            try BroughtRow(registry: registry, count: count).save(database)
        case .trust(.putPolicy(let policy)): try PolicyRow(policy: policy).save(database)
        case .trust(.putIntroduction(let heard)): try heard.save(database)
        case .trust(.removeIntroduction(let introducer, let subject)):
            try HeardIntroduction.delete(HeardIntroduction.rowKey(introducer, subject), database)
        }
    }
}

extension StoredState {
    /// Reads everything, within one transaction.
    init(_ database: Database) throws {
        self.init()
        try ServerRow.loadEach(database) { row in
            servers.append(row.server)
            if let card = row.card { cards[row.server.id] = card }
        }
        tombstones = try ServerTombstone.loadAll(database)
        peers = try PeerRecord.loadAll(database)
        routes = try PortalRoute.loadAll(database)
        worlds = try WorldRecord.loadAll(database)
        // `name@home` by bytes is not the order by name, then home: '-' and '.' come before '@'.
        players = try PlayerRecord.loadAll(database).sorted { $0.player < $1.player }
        try HandoffRecord.loadEach(database) { handoffs.append($0) }
        for row in try DecisionsRow.loadAll(database) { decisions[row.server] = row.count }
        for row in try RecallRow.loadAll(database) { recalls[row.player] = row.epoch }
        passages = try Passage.loadAll(database).sorted { ($0.origin, $0.player) < ($1.origin, $1.player) }
        reclaims = try ReclaimRecord.loadAll(database).sorted { $0.player < $1.player }
        bindings = try KeyBinding.loadAll(database)
        equivocations = try Equivocation.loadAll(database)
        ownKeys = try OwnKeys.loadAll(database).first ?? OwnKeys()
        logHashes = try RegistryLogRecord.loadHashes(database)
        listings = try RegistryListing.loadAll(database).sorted()
        registries = try KnownRegistry.loadAll(database)
        for row in try BroughtRow.loadAll(database) { brought[row.registry] = row.count }
        policy = try PolicyRow.loadAll(database).first?.policy ?? TrustPolicy()
        introductions = try HeardIntroduction.loadAll(database).sorted {
            ($0.subject, $0.introducer) < ($1.subject, $1.introducer)
        }
        cardSequence = try NodeRow.loadAll(database).first?.cardSequence ?? 0
    }
}

/// What there is only one of.
struct NodeRow: StoredRow {
    let cardSequence: UInt64

    static let table = Table("node", ["id", "card_sequence"])

    var columnValues: [(any DatabaseValueConvertible)?] { [1, Int64(bitPattern: cardSequence)] }

    init(cardSequence: UInt64) {
        self.cardSequence = cardSequence
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        _ = try reader.integer()
        cardSequence = try reader.unsigned()
    }
}
