import FederationCore
import FederationModel
import Foundation
import GRDB

extension WorldRecord: StoredRow {
    static let table = Table("worlds", ["world", "name", "manifest", "manifest_size", "assets", "total_size"])

    var columnValues: [(any DatabaseValueConvertible)?] {
        [world.rawValue, name, manifest.description, manifestSize, assets, totalSize]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        let world: WorldID = try reader.value()
        let name = try reader.text()
        let manifest: ContentHash = try reader.value()
        let manifestSize = try reader.integer(in: 0...Int64(Limits.manifestBytes))
        let assets = Int(try reader.integer(in: 0...Int64(Limits.manifestEntries)))
        self.init(
            world: world, name: name, manifest: manifest, manifestSize: manifestSize, assets: assets,
            totalSize: try reader.integer(in: 0...Limits.worldBytes))
    }
}

extension PlayerRecord: StoredRow {
    static let table = Table(
        "players",
        [
            "player", "world", "presence", "presence_handoff", "presence_server", "epoch", "revision", "state", "spawn",
            "client_key",
        ])

    /// ``PlayerRecord/Presence`` as a person reads it in the column `presence`.
    private enum PresenceName: String {
        case playable
        case departing
        case departed
        case recalled
        case left
    }

    var columnValues: [(any DatabaseValueConvertible)?] {
        let (name, handoff, server): (PresenceName, HandoffID?, ServerID?) =
            switch presence {
            case .playable: (.playable, nil, nil)
            case .departing(let handoff): (.departing, handoff, nil)
            case .departed(let server, let handoff): (.departed, handoff, server)
            case .recalled: (.recalled, nil, nil)
            case .left: (.left, nil, nil)
            }
        return [
            player.description, world.rawValue, name.rawValue, handoff?.description, server?.rawValue,
            Int64(bitPattern: epoch.number), Int64(bitPattern: revision), Data(state), spawn?.description,
            clientKey?.description,
        ]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        let player: PlayerID = try reader.value()
        let world: WorldID = try reader.value()
        let name: PresenceName = try reader.choice()
        let handoff: HandoffID? = try reader.optionalValue()
        let server: ServerID? = try reader.optionalValue()
        let presence: Presence
        switch (name, handoff, server) {
        case (.playable, nil, nil): presence = .playable
        case (.departing, .some(let handoff), nil): presence = .departing(handoff)
        case (.departed, .some(let handoff), .some(let server)): presence = .departed(to: server, handoff)
        case (.recalled, nil, nil): presence = .recalled
        case (.left, nil, nil): presence = .left
        case (.playable, _, _), (.departing, _, _), (.departed, _, _), (.recalled, _, _), (.left, _, _):
            throw reader.failure("does not go with the presence \(name.rawValue)")
        }
        self.init(
            player: player, world: world, presence: presence, epoch: try reader.epoch(),
            revision: try reader.unsigned(), state: try reader.bytes(), spawn: try reader.optionalValue(),
            clientKey: try reader.optionalValue())
    }
}
