import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

/// Where the player under test is.
enum Whereabouts: String, Sendable, CaseIterable {
    case unknown
    case playable
    case departing
    case departed
    case left

    static let home = ServerID(unchecked: "home")
    static let player = PlayerID(name: PlayerName(unchecked: "ada"), home: home)
    static let world = WorldID(unchecked: "plaza")
    static let handoff = HandoffSamples.id(1)

    static func record(_ epoch: Epoch = Epoch(2), handoff: HandoffID = handoff) -> HandoffRecord {
        HandoffRecord(
            id: handoff, role: .source, player: player, peer: ServerID(unchecked: "away"),
            portal: PortalID(unchecked: "gate"), world: WorldID(unchecked: "forest"), spawn: nil, epoch: epoch,
            revision: 9, snapshotHash: ContentHash.of([]), snapshot: [], clientKey: nil, state: .committed,
            openedAt: HandoffSamples.now.timestamp, changedAt: HandoffSamples.now.timestamp)
    }

    func table() throws -> PlayerTable {
        var table = PlayerTable()
        guard self != .unknown else { return table }
        _ = try table.enter(
            Self.player, world: Self.world, state: [1, 2, 3], clientKey: nil, epoch: nil, home: Self.home)
        switch self {
        case .unknown, .playable: break
        case .left: _ = try table.leave(Self.player, world: Self.world, epoch: nil)
        case .departing: _ = try table.freeze(Self.player, for: Self.handoff)
        case .departed:
            _ = try table.freeze(Self.player, for: Self.handoff)
            _ = table.release(Self.player, by: Self.record(), home: Self.home)
        }
        return table
    }
}

/// What can be done with a player.
enum PlayerOperation: String, Sendable, CaseIterable {
    case enter
    case enterAnotherWorld
    case leave
    case leaveAnotherWorld
    case freeze
    case playing
    case release
    case releaseByAnother
    case unfreeze
    case unfreezeFromAnother
    case admit

    /// Where the player is then, or why not.
    func answer(of table: inout PlayerTable) -> String {
        let (player, world, other) = (Whereabouts.player, Whereabouts.world, HandoffSamples.id(2))
        do {
            switch self {
            case .enter, .enterAnotherWorld:
                let record = try table.enter(
                    player, world: self == .enter ? world : WorldID(unchecked: "cave"), state: [4], clientKey: nil,
                    epoch: nil, home: Whereabouts.home)
                return record.presence.label
            case .leave: return try table.leave(player, world: world, epoch: nil).presence.label
            case .leaveAnotherWorld:
                return try table.leave(player, world: WorldID(unchecked: "cave"), epoch: nil).presence.label
            case .freeze: return try table.freeze(player, for: other).presence.label
            case .playing: return try table.playing(player).presence.label
            case .release:
                return table.release(player, by: Whereabouts.record(), home: Whereabouts.home)?.presence.label
                    ?? "nothing"
            case .releaseByAnother:
                return table.release(player, by: Whereabouts.record(handoff: other), home: Whereabouts.home)?.presence
                    .label ?? "nothing"
            case .unfreeze: return table.unfreeze(player, from: Whereabouts.handoff)?.presence.label ?? "nothing"
            case .unfreezeFromAnother: return table.unfreeze(player, from: other)?.presence.label ?? "nothing"
            case .admit: return table.admit(Whereabouts.record(Epoch(5)), state: [7, 7]).presence.label
            }
        } catch {
            return error.label
        }
    }
}

extension PlayerTable.Failure {
    fileprivate var label: String {
        switch self {
        case .notFound: "notFound"
        case .foreign: "foreign"
        case .frozen: "frozen"
        case .departed: "departed elsewhere"
        case .notPlaying: "notPlaying"
        case .wrongWorld: "wrongWorld"
        case .staleEpoch: "staleEpoch"
        case .stateTooLarge: "stateTooLarge"
        case .epochMissing: "epochMissing"
        case .notAway: "notAway"
        case .notHome: "notHome"
        case .full: "full"
        }
    }
}

@Suite("PlayerTable")
struct PlayerTableTests {
    /// One line for where the player is, one column an operation, in the order of ``PlayerOperation``.
    static let table: [Whereabouts: [String]] = [
        .unknown: [
            "playable", "playable", "notFound", "notFound", "notFound", "notFound", "nothing", "nothing", "nothing",
            "nothing", "playable",
        ],
        .playable: [
            "playable", "playable", "left", "wrongWorld", "departing", "playable", "nothing", "nothing", "nothing",
            "nothing", "playable",
        ],
        .departing: [
            "frozen", "frozen", "frozen", "wrongWorld", "frozen", "frozen", "departed", "nothing", "playable",
            "nothing", "playable",
        ],
        .departed: [
            "departed elsewhere", "departed elsewhere", "departed elsewhere", "wrongWorld", "departed elsewhere",
            "departed elsewhere", "nothing", "nothing", "nothing", "nothing", "playable",
        ],
        .left: [
            "playable", "playable", "left", "wrongWorld", "notPlaying", "notPlaying", "nothing", "nothing", "nothing",
            "nothing", "playable",
        ],
    ]

    @Test("answers as the table says, and a refusal changes nothing", arguments: Whereabouts.allCases)
    func answers(_ whereabouts: Whereabouts) throws {
        let row = try #require(Self.table[whereabouts])
        try #require(row.count == PlayerOperation.allCases.count)
        for (operation, expected) in zip(PlayerOperation.allCases, row) {
            var table = try whereabouts.table()
            let before = (table[Whereabouts.player], table.stateBytes, table.countHere)
            #expect(operation.answer(of: &table) == expected, "\(operation) when \(whereabouts)")
            let record = table[Whereabouts.player]
            #expect(table.stateBytes == record?.state.count ?? 0, "\(operation) when \(whereabouts)")
            #expect(table.countHere == (record?.isHere == true ? 1 : 0), "\(operation) when \(whereabouts)")
            if !["playable", "left", "departing", "departed"].contains(expected) {
                #expect((record, table.stateBytes, table.countHere) == before, "\(operation) when \(whereabouts)")
            }
        }
    }

    @Test("a player who has gone leaves their epoch behind, and at home the last state that is known there")
    func departed() throws {
        var abroad = try Whereabouts.departing.table()
        #expect(
            abroad.release(Whereabouts.player, by: Whereabouts.record(), home: ServerID(unchecked: "abroad"))?.state
                == [])
        let record = try #require(try Whereabouts.departed.table()[Whereabouts.player])
        #expect(record.state == [1, 2, 3])
        #expect(record.epoch == Epoch(2))
        #expect(record.presence == .departed(to: ServerID(unchecked: "away"), Whereabouts.handoff))
    }

    @Test("entering saves the state, and counts its revisions")
    func revisions() throws {
        var table = try Whereabouts.playable.table()
        let saved = try table.enter(
            Whereabouts.player, world: Whereabouts.world, state: [9, 9], clientKey: nil, epoch: Epoch(1),
            home: Whereabouts.home)
        #expect(saved.revision == 2 && saved.state == [9, 9] && saved.epoch == .first)
        #expect(table.stateBytes == 2)
    }

    @Test("a world with another epoch than the player's is behind or mistaken", arguments: [UInt64(0), 2, 99])
    func epochs(_ epoch: UInt64) throws {
        for whereabouts in [Whereabouts.unknown, .playable, .left] {
            var table = try whereabouts.table()
            #expect(
                throws: PlayerTable.Failure.staleEpoch(Whereabouts.player, offered: Epoch(epoch), known: .first)
            ) {
                try table.enter(
                    Whereabouts.player, world: Whereabouts.world, state: [], clientKey: nil, epoch: Epoch(epoch),
                    home: Whereabouts.home)
            }
        }
    }

    @Test("somebody else's player enters only by a portal, and may then be saved")
    func foreign() throws {
        let foreigner = PlayerID(name: PlayerName(unchecked: "eve"), home: ServerID(unchecked: "away"))
        var table = PlayerTable()
        func enter(_ epoch: Epoch?) throws -> PlayerRecord {
            try table.enter(
                foreigner, world: Whereabouts.world, state: [1], clientKey: nil, epoch: epoch, home: Whereabouts.home)
        }
        #expect(throws: PlayerTable.Failure.foreign(foreigner)) { try enter(nil) }
        let handoff = HandoffRecord(
            id: Whereabouts.handoff, role: .destination, player: foreigner, peer: ServerID(unchecked: "away"),
            portal: PortalID(unchecked: "gate"), world: Whereabouts.world, spawn: nil, epoch: Epoch(4), revision: 9,
            snapshotHash: ContentHash.of([]), snapshot: [], clientKey: nil, state: .admitted,
            openedAt: HandoffSamples.now.timestamp, changedAt: HandoffSamples.now.timestamp)
        #expect(table.admit(handoff, state: [5]).revision == 9)
        // Who has travelled could be another stay's player: the write must say which one it means.
        #expect(throws: PlayerTable.Failure.epochMissing(foreigner, known: Epoch(4))) { try enter(nil) }
        #expect(throws: PlayerTable.Failure.epochMissing(foreigner, known: Epoch(4))) {
            try table.leave(foreigner, world: Whereabouts.world, epoch: nil)
        }
        #expect(throws: PlayerTable.Failure.staleEpoch(foreigner, offered: Epoch(3), known: Epoch(4))) {
            try table.leave(foreigner, world: Whereabouts.world, epoch: Epoch(3))
        }
        #expect(try enter(Epoch(4)).revision == 10)
        #expect(table[foreigner]?.epoch == Epoch(4))
    }

    @Test("a state may have a mebibyte and not a byte more")
    func size() throws {
        var table = PlayerTable()
        func enter(_ count: Int) throws -> PlayerRecord {
            try table.enter(
                Whereabouts.player, world: Whereabouts.world, state: [UInt8](repeating: 0, count: count),
                clientKey: nil, epoch: nil, home: Whereabouts.home)
        }
        #expect(try enter(Limits.snapshotBytes).state.count == Limits.snapshotBytes)
        #expect(throws: PlayerTable.Failure.stateTooLarge(Limits.snapshotBytes + 1)) {
            try enter(Limits.snapshotBytes + 1)
        }
        #expect(table.stateBytes == Limits.snapshotBytes)
    }

    @Test("all states together are bounded, and a smaller one may still replace a larger")
    func full() throws {
        let state = [UInt8](repeating: 0, count: Limits.snapshotBytes)
        let stored = (0..<1_024).map { number in
            PlayerRecord(
                player: PlayerID(name: PlayerName(unchecked: "p\(number)"), home: Whereabouts.home),
                world: Whereabouts.world, presence: .playable, epoch: .first, revision: 1, state: state)
        }
        var table = PlayerTable(restoring: stored)
        func enter(_ player: PlayerID, _ state: [UInt8]) throws -> PlayerRecord {
            try table.enter(
                player, world: Whereabouts.world, state: state, clientKey: nil, epoch: nil, home: Whereabouts.home)
        }
        #expect(throws: PlayerTable.Failure.full) { try enter(Whereabouts.player, [1]) }
        #expect(try enter(stored[0].player, state).revision == 2)
        #expect(try enter(stored[0].player, Array(state.dropLast())).revision == 3)
        #expect(try enter(Whereabouts.player, [1]).revision == 1)
        #expect(table.countHere == 1_025)
    }

    @Test("players of a world are listed sorted, and move with their player")
    func listing() throws {
        var table = PlayerTable()
        for name in ["cyd", "ada", "bob"] {
            _ = try table.enter(
                PlayerID(name: PlayerName(unchecked: name), home: Whereabouts.home), world: Whereabouts.world,
                state: [], clientKey: nil, epoch: nil, home: Whereabouts.home)
        }
        #expect(table.players(in: Whereabouts.world).map(\.player.name.rawValue) == ["ada", "bob", "cyd"])
        _ = try table.enter(
            Whereabouts.player, world: WorldID(unchecked: "cave"), state: [], clientKey: nil, epoch: nil,
            home: Whereabouts.home)
        #expect(table.players(in: Whereabouts.world).map(\.player.name.rawValue) == ["bob", "cyd"])
        #expect(table.players(in: WorldID(unchecked: "cave")).map(\.player) == [Whereabouts.player])
        #expect(table.players(in: WorldID(unchecked: "nowhere")).isEmpty)
    }

    @Test("restoring gives back every record and every index", arguments: Whereabouts.allCases)
    func restore(_ whereabouts: Whereabouts) throws {
        let table = try whereabouts.table()
        let restored = PlayerTable(restoring: [table[Whereabouts.player]].compactMap(\.self))
        #expect(restored[Whereabouts.player] == table[Whereabouts.player])
        #expect(restored.countHere == table.countHere && restored.stateBytes == table.stateBytes)
    }
}
