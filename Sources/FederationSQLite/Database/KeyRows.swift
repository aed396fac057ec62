import FederationCore
import FederationCrypto
import FederationModel
import GRDB

extension KeyBinding: StoredRow {
    static let table = Table(
        "bindings",
        ["server", "public_key", "next_hash", "recovery_hash", "retired", "revocation", "is_dead", "since"])

    var columnValues: [(any DatabaseValueConvertible)?] {
        [
            server.rawValue, key.description, commitment.next?.description, commitment.recovery?.description,
            retired.map(\.description).joined(separator: " "), Int64(bitPattern: revocation), isDead,
            since.milliseconds,
        ]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        self.init(
            server: try reader.value(), key: try reader.value(),
            commitment: KeyCommitment(next: try reader.optionalValue(), recovery: try reader.optionalValue()),
            retired: try reader.list(separator: " "), revocation: try reader.unsigned(), isDead: try reader.flag(),
            since: try reader.timestamp())
    }
}

extension Equivocation: StoredRow {
    static let table = Table("equivocations", ["server", "first_card", "second_card", "seen_at"])

    var columnValues: [(any DatabaseValueConvertible)?] {
        [server.rawValue, first, second, seenAt.milliseconds]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        self.init(
            server: try reader.value(), first: try reader.text(), second: try reader.text(),
            seenAt: try reader.timestamp())
    }
}

/// This server's own keys: one row, from its first start on. Without either hash it is not known what was promised.
extension OwnKeys: StoredRow {
    static let table = Table(
        "own_keys",
        ["id", "past", "rotations", "revocation", "present", "is_dead", "next_hash", "recovery_hash"])

    var columnValues: [(any DatabaseValueConvertible)?] {
        [
            1, past.map(\.description).joined(separator: " "), rotations.joined(separator: " "), revocation,
            present?.description, isDead, commitment?.next?.description, commitment?.recovery?.description,
        ]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        _ = try reader.integer()
        self.init(
            past: try reader.list(separator: " "), rotations: try reader.list(separator: " "),
            revocation: try reader.optionalText(), present: try reader.optionalValue(),
            isDead: try reader.flag())
        let promised = KeyCommitment(next: try reader.optionalValue(), recovery: try reader.optionalValue())
        if promised != KeyCommitment() { commitment = promised }
    }
}
