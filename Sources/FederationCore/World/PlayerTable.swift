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
        case stateTooLarge(Int)
        case full
    }

    private var players: [PlayerID: PlayerRecord] = [:]
    private var byWorld: [WorldID: Set<PlayerID>] = [:]
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

    /// How many players are in worlds here.
    public var countHere: Int { byWorld.values.reduce(0) { $0 + $1.count } }

    /// Enters a player of this server, brings back one who left from here, or replaces the state of one who is playing.
    ///
    /// - Parameters:
    ///   - epoch: what the world server believes; an older one is refused. nil when it has no belief yet.
    ///   - home: this server.
    /// - Throws: `foreign`, `frozen`, `departed`, `staleEpoch`, `stateTooLarge`, `full`.
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
        switch record.presence {
        case .playable, .left: break
        case .departing(let handoff): throw .frozen(player, handoff)
        case .departed(let server, _): throw .departed(player, to: server)
        }
        if let epoch, epoch != record.epoch { throw .staleEpoch(player, offered: epoch, known: record.epoch) }
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
    /// - Throws: `notFound`, `wrongWorld`, `frozen`, `departed`.
    public mutating func leave(_ player: PlayerID, world: WorldID) throws(Failure) -> PlayerRecord {
        guard var record = players[player] else { throw .notFound(player) }
        guard record.world == world else { throw .wrongWorld(player, actual: record.world) }
        switch record.presence {
        case .playable, .left: break
        case .departing(let handoff): throw .frozen(player, handoff)
        case .departed(let server, _): throw .departed(player, to: server)
        }
        record.presence = .left
        put(record)
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
        case .left: throw .notPlaying(player)
        }
    }

    /// The handoff is decided: the player is no longer here. nil when the player is not departing in this handoff.
    mutating func release(_ player: PlayerID, by handoff: HandoffRecord) -> PlayerRecord? {
        guard var record = players[player], record.presence == .departing(handoff.id) else { return nil }
        record.presence = .departed(to: handoff.peer, handoff.id)
        record.epoch = handoff.epoch
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
            revision: handoff.revision, state: state, spawn: handoff.spawn, clientKey: handoff.clientKey)
        put(record)
        return record
    }

    private mutating func put(_ record: PlayerRecord) {
        if let old = players[record.player] {
            stateBytes -= old.state.count
            byWorld[old.world]?.remove(record.player)
            if byWorld[old.world]?.isEmpty == true { byWorld[old.world] = nil }
        }
        stateBytes += record.state.count
        players[record.player] = record
        if record.isHere { byWorld[record.world, default: []].insert(record.player) }
    }
}
