import FederationCore
import FederationModel
import GRDB

/// How many handoffs towards a peer this server has decided.
struct DecisionsRow: StoredRow {
    let server: ServerID
    let count: UInt64

    static let table = Table("decisions", ["server", "count"])

    var columnValues: [(any DatabaseValueConvertible)?] { [server.rawValue, Int64(bitPattern: count)] }

    init(server: ServerID, count: UInt64) {
        self.server = server
        self.count = count
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        server = try reader.value()
        count = try reader.unsigned()
    }
}

extension Passage: StoredRow {
    static let table = Table("passages", ["id", "origin", "player", "decision", "token"])

    var columnValues: [(any DatabaseValueConvertible)?] {
        ["\(origin) \(player)", origin.rawValue, player.description, Int64(bitPattern: decision), token]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        _ = try reader.text()
        self.init(
            origin: try reader.value(), player: try reader.value(), decision: try reader.unsigned(from: 1),
            token: try reader.text())
    }
}

extension ReclaimRecord: StoredRow {
    static let table = Table("reclaims", ["player", "server", "voided", "epoch", "reason", "at"])

    var columnValues: [(any DatabaseValueConvertible)?] {
        [
            player.description, server.rawValue, Int64(bitPattern: voided.number), Int64(bitPattern: epoch.number),
            reason, at.milliseconds,
        ]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        self.init(
            player: try reader.value(), server: try reader.value(), voided: try reader.epoch(),
            epoch: try reader.epoch(), reason: try reader.text(), at: try reader.timestamp())
    }
}

/// A player who was never here, and the epoch below which they are not let in.
struct RecallRow: StoredRow {
    let player: PlayerID
    let epoch: Epoch

    static let table = Table("recalls", ["player", "epoch"])

    var columnValues: [(any DatabaseValueConvertible)?] { [player.description, Int64(bitPattern: epoch.number)] }

    init(player: PlayerID, epoch: Epoch) {
        self.player = player
        self.epoch = epoch
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        player = try reader.value()
        epoch = try reader.epoch()
    }
}
