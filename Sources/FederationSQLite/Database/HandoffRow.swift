import FederationCore
import FederationModel
import Foundation
import GRDB

extension HandoffRecord: StoredRow {
    static let table = Table(
        "handoffs",
        [
            "id", "role", "state", "player", "peer", "portal", "world", "spawn", "epoch", "revision", "snapshot_hash",
            "snapshot", "snapshot_size", "client_key", "decision", "opened_at", "changed_at", "abort_code",
            "abort_reason", "receipt", "redeemed_at",
        ], isOrdered: false)

    var columnValues: [(any DatabaseValueConvertible)?] {
        [
            id.description, role.rawValue, state.rawValue, player.description, peer.rawValue, portal.rawValue,
            world.rawValue, spawn?.description, Int64(bitPattern: epoch.number), Int64(bitPattern: revision),
            snapshotHash.description, Data(snapshot), Int64(snapshotSize), clientKey?.description,
            decision.map { Int64(bitPattern: $0) }, openedAt.milliseconds, changedAt.milliseconds, abortCode,
            abortReason, receipt, redeemedAt?.milliseconds,
        ]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        let id: HandoffID = try reader.value()
        let role: HandoffRole = try reader.choice()
        let state: HandoffState = try reader.choice()
        self.init(
            id: id, role: role, player: try reader.value(), peer: try reader.value(), portal: try reader.value(),
            world: try reader.value(), spawn: try reader.optionalValue(), epoch: try reader.epoch(),
            revision: try reader.unsigned(), snapshotHash: try reader.value(), snapshot: try reader.bytes(),
            snapshotSize: Int(try reader.integer(in: 0...Int64(Limits.snapshotBytes))),
            clientKey: try reader.optionalValue(), decision: try reader.optionalUnsigned(from: 1), state: state,
            openedAt: try reader.timestamp(), changedAt: try reader.timestamp(), abortCode: try reader.optionalText(),
            abortReason: try reader.optionalText(), receipt: try reader.optionalText(),
            redeemedAt: try reader.optionalTimestamp())
    }
}
