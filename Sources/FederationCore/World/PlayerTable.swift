public import FederationModel

/// The players whom one server keeps or has kept, and the rules by which a world may change them.
public struct PlayerTable: Sendable {
    /// Why a change was refused. Nothing changed.
    public enum Failure: Error, Hashable, Sendable {
        case notFound(PlayerID)
        /// Somebody else's player who never came through a portal to this server.
        case foreign(PlayerID)
        /// The player's handoff is undecided; the state cannot change.
        case frozen(PlayerID, HandoffID)
        /// The player is on another server.
        case departed(PlayerID, to: ServerID)
        /// The player is not playing here.
        case notPlaying(PlayerID)
        case wrongWorld(PlayerID, actual: WorldID)
        case staleEpoch(PlayerID, offered: Epoch, known: Epoch)
        /// A write about a player who has travelled must say which epoch it is about.
        case epochMissing(PlayerID, known: Epoch)
        /// Nothing to take back: the player is not on another server.
        case notAway(PlayerID)
        /// The player's home is another server.
        case notHome(PlayerID)
        case stateTooLarge(Int)
        case full
    }

    /// nil in the product; see ``FederationNode/plant(_:)``.
    var plantedBug: PlantedBug?
    private var players: [PlayerID: PlayerRecord] = [:]
    private var byWorld: [WorldID: Set<PlayerID>] = [:]
    /// Everybody, in order.
    private var order = OrderedKeys<PlayerID>()
    /// Bytes of all states held.
    public private(set) var stateBytes = 0

    public init() {}

    public init(restoring stored: [PlayerRecord]) {
        for record in stored { put(record) }
    }

    public subscript(_ player: PlayerID) -> PlayerRecord? { players[player] }

    /// Players who are in a world, sorted.
    public func players(in world: WorldID) -> [PlayerRecord] {
        (byWorld[world] ?? []).sorted().compactMap { players[$0] }
    }

    /// Players in order of id after `cursor`, at most `limit`, wherever they are.
    public func list(after cursor: PlayerID? = nil, limit: Int) -> [PlayerRecord] {
        order.page(after: cursor, limit: limit).compactMap { players[$0] }
    }

    /// How many players are known here, wherever they are.
    public var count: Int { players.count }

    /// How many players are in worlds here.
    public var countHere: Int { byWorld.values.reduce(0) { $0 + $1.count } }

    /// Enters a player of this server, brings back one who left from here, or replaces the state of one who is playing.
    ///
    /// - Parameters:
    ///   - epoch: what the world server believes; an older one is refused. nil when it has no belief yet, which is accepted
    ///     until the player has travelled.
    ///   - home: this server.
    /// - Throws: `foreign`, `frozen`, `departed`, `epochMissing`, `staleEpoch`, `stateTooLarge`, `full`.
    public mutating func enter(
        _ player: PlayerID, world: WorldID, state: [UInt8], clientKey: PublicKey?, epoch: Epoch?, home: ServerID
    ) throws(Failure) -> PlayerRecord {
        guard state.count <= Limits.snapshotBytes else { throw .stateTooLarge(state.count) }
        let held = players[player]?.state.count ?? 0
        guard stateBytes - held + state.count <= Limits.allSnapshotsBytes else { throw .full }
        guard var record = players[player] else {
            guard player.home == home else { throw .foreign(player) }
            if let epoch, epoch != .first { throw .staleEpoch(player, offered: epoch, known: .first) }
            let record = PlayerRecord(
                player: player, world: world, presence: .playable, epoch: .first, revision: 1, state: state,
                clientKey: clientKey)
            put(record)
            return record
        }
        if plantedBug == .frozenStateChanges, case .departing = record.presence {
            record.state = state
            put(record)
            return record
        }
        try Self.checkWritable(record, plantedBug == .epochNotCompared ? record.epoch : epoch)
        record.presence = .playable
        record.world = world
        record.revision += 1
        record.state = state
        record.spawn = nil
        record.clientKey = clientKey ?? record.clientKey
        put(record)
        return record
    }

    /// The player stops playing; the state stays, for the next time.
    ///
    /// - Parameter epoch: as for ``enter(_:world:state:clientKey:epoch:home:)``.
    /// - Throws: `notFound`, `wrongWorld`, `frozen`, `departed`, `epochMissing`, `staleEpoch`.
    public mutating func leave(_ player: PlayerID, world: WorldID, epoch: Epoch?) throws(Failure) -> PlayerRecord {
        guard var record = players[player] else { throw .notFound(player) }
        guard record.world == world else { throw .wrongWorld(player, actual: record.world) }
        try Self.checkWritable(record, epoch)
        record.presence = .left
        put(record)
        return record
    }

    /// Whether a world here may write about the player, and means the same stay of the player as this server.
    private static func checkWritable(_ record: PlayerRecord, _ epoch: Epoch?) throws(Failure) {
        switch record.presence {
        case .playable, .left: break
        case .departing(let handoff): throw .frozen(record.player, handoff)
        case .departed(let server, _): throw .departed(record.player, to: server)
        case .recalled: throw .departed(record.player, to: record.player.home)
        }
        try checkEpoch(of: record, epoch)
    }

    private static func checkEpoch(of record: PlayerRecord, _ epoch: Epoch?) throws(Failure) {
        guard let epoch else {
            guard record.epoch == .first else { throw .epochMissing(record.player, known: record.epoch) }
            return
        }
        guard epoch == record.epoch else {
            throw .staleEpoch(record.player, offered: epoch, known: record.epoch)
        }
    }

    /// The player, if a world here may send them away now.
    ///
    /// - Parameter epoch: as for ``enter(_:world:state:clientKey:epoch:home:)``.
    /// - Throws: `notFound`, `notPlaying`, `frozen`, `departed`, `epochMissing`, `staleEpoch`.
    public func playing(_ player: PlayerID, epoch: Epoch?) throws(Failure) -> PlayerRecord {
        let record = try playing(player)
        try Self.checkEpoch(of: record, epoch)
        return record
    }

    /// Freezes a playing player for a handoff.
    ///
    /// - Throws: `notFound`, `notPlaying`, `frozen`, `departed`.
    public mutating func freeze(_ player: PlayerID, for handoff: HandoffID) throws(Failure) -> PlayerRecord {
        var record = try playing(player)
        record.presence = .departing(handoff)
        put(record)
        return record
    }

    /// The player if a world here may change them now.
    ///
    /// - Throws: `notFound`, `notPlaying`, `frozen`, `departed`.
    public func playing(_ player: PlayerID) throws(Failure) -> PlayerRecord {
        guard let record = players[player] else { throw .notFound(player) }
        switch record.presence {
        case .playable: return record
        case .departing(let handoff): throw .frozen(player, handoff)
        case .departed(let server, _): throw .departed(player, to: server)
        case .recalled: throw .departed(player, to: player.home)
        case .left: throw .notPlaying(player)
        }
    }

    /// The handoff is decided: the player is no longer here. nil when the player is not departing in this handoff.
    ///
    /// - Parameter home: this server. It keeps the last known state of its own players.
    mutating func release(_ player: PlayerID, by handoff: HandoffRecord, home: ServerID) -> PlayerRecord? {
        guard let record = players[player], record.presence == .departing(handoff.id) else { return nil }
        return depart(record, to: handoff.peer, by: handoff.id, epoch: handoff.epoch, home: home)
    }

    /// The player departed before, by this server's own decision, which it had lost, and perhaps the player with it. nil
    /// when that decision is older than what is known.
    ///
    /// - Parameter world: of a player who is not known.
    mutating func departed(
        _ player: PlayerID, to server: ServerID, by handoff: HandoffID, epoch: Epoch, from world: WorldID,
        home: ServerID
    ) -> PlayerRecord? {
        let record =
            players[player]
            ?? PlayerRecord(player: player, world: world, presence: .left, epoch: Epoch(0), revision: 0, state: [])
        guard record.epoch < epoch else { return nil }
        return depart(record, to: server, by: handoff, epoch: epoch, home: home)
    }

    private mutating func depart(
        _ record: PlayerRecord, to server: ServerID, by handoff: HandoffID, epoch: Epoch, home: ServerID
    ) -> PlayerRecord {
        var record = record
        record.presence = .departed(to: server, handoff)
        record.epoch = epoch
        if record.player.home != home { record.state = [] }
        record.spawn = nil
        put(record)
        return record
    }

    /// The home server takes back a player who is away: the last known state, under the next term.
    ///
    /// - Parameter terms: how many terms further it goes.
    /// - Throws: `notHome`, `notFound`, `frozen`; `notAway` when the player is here, or no term is left.
    mutating func reclaim(
        _ player: PlayerID, home: ServerID, terms: UInt64 = 1
    ) throws(Failure) -> (before: PlayerRecord, PlayerRecord) {
        guard player.home == home else { throw .notHome(player) }
        guard let before = players[player] else { throw .notFound(player) }
        switch before.presence {
        case .departed: break
        case .departing(let handoff): throw .frozen(player, handoff)
        case .playable, .left, .recalled: throw .notAway(player)
        }
        let next = plantedBug == .reclaimKeepsTerm ? before.epoch.next : before.epoch.term(after: terms)
        guard let epoch = next else { throw .notAway(player) }
        var record = before
        record.presence = .left
        record.epoch = epoch
        put(record)
        return (before, record)
    }

    /// The player's home server has taken the player back. nil when what is known here is as new.
    mutating func recall(_ player: PlayerID, epoch: Epoch) -> PlayerRecord? {
        guard var record = players[player], record.epoch < epoch else { return nil }
        record.presence = .recalled
        record.epoch = epoch
        record.state = []
        record.spawn = nil
        put(record)
        return record
    }

    /// The handoff is off: the player goes on here. nil when the player is not departing in this handoff.
    mutating func unfreeze(_ player: PlayerID, from handoff: HandoffID) -> PlayerRecord? {
        guard var record = players[player], record.presence == .departing(handoff) else { return nil }
        record.presence = .playable
        put(record)
        return record
    }

    /// The handoff is decided and this is the destination: the player is here now.
    mutating func admit(_ handoff: HandoffRecord, state: [UInt8]) -> PlayerRecord {
        let record = PlayerRecord(
            player: handoff.player, world: handoff.world, presence: .playable, epoch: handoff.epoch,
            revision: plantedBug == .snapshotRevisionIgnored ? 1 : handoff.revision, state: state, spawn: handoff.spawn,
            clientKey: handoff.clientKey)
        put(record)
        return record
    }

    /// Planted: brings a player back whom this server has given away.
    mutating func plantRevival(_ handoff: HandoffRecord) -> PlayerRecord {
        admit(handoff, state: handoff.snapshot)
    }

    private mutating func put(_ record: PlayerRecord) {
        if let old = players[record.player] {
            stateBytes -= old.state.count
            byWorld[old.world]?.remove(record.player)
            if byWorld[old.world]?.isEmpty == true { byWorld[old.world] = nil }
        } else {
            order.insert(record.player)
        }
        stateBytes += record.state.count
        players[record.player] = record
        if record.isHere { byWorld[record.world, default: []].insert(record.player) }
    }
}
