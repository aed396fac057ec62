import FederationCore
import FederationModel
import GRDB

/// A registry entry and the signed record it was made from.
struct ServerRow: StoredRow {
    let server: FederatedServer
    let card: String?

    static let table = Table(
        "servers",
        [
            "id", "name", "endpoint", "public_key", "status", "registered_at", "last_heartbeat", "record_sequence",
            "card", "alternatives", "worlds", "suspension_reason",
        ])

    var columnValues: [(any DatabaseValueConvertible)?] {
        [
            server.id.rawValue, server.name, server.endpoint.description, server.publicKey.description,
            server.status.rawValue, server.registeredAt.milliseconds, server.lastHeartbeat?.milliseconds,
            Int64(bitPattern: server.recordSequence), card,
            server.alternatives.map(\.description).joined(separator: " "),
            server.worlds.map(\.rawValue).joined(separator: " "), server.suspensionReason,
        ]
    }

    init(server: FederatedServer, card: String?) {
        self.server = server
        self.card = card
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        let id: ServerID = try reader.value()
        let name = try reader.text()
        let endpoint: Endpoint = try reader.value()
        let publicKey: PublicKey = try reader.value()
        let status: ServerStatus = try reader.choice()
        var server = FederatedServer(
            id: id, name: name, endpoint: endpoint, publicKey: publicKey, registeredAt: try reader.timestamp(),
            lastHeartbeat: try reader.optionalTimestamp(), status: status, recordSequence: try reader.unsigned())
        card = try reader.optionalText()
        server.alternatives = try reader.list(separator: " ")
        server.worlds = try reader.list(separator: " ")
        server.suspensionReason = try reader.optionalText()
        self.server = server
    }
}

extension ServerTombstone: StoredRow {
    static let table = Table(
        "tombstones", ["server", "public_key", "is_suspended", "record_sequence", "suspension_reason"])

    var columnValues: [(any DatabaseValueConvertible)?] {
        [server.rawValue, publicKey.description, isSuspended, Int64(bitPattern: sequence), suspensionReason]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        let server: ServerID = try reader.value()
        let key: PublicKey = try reader.value()
        let isSuspended = try reader.flag()
        let sequence = try reader.unsigned()
        self.init(
            server: server, publicKey: key, isSuspended: isSuspended, suspensionReason: try reader.optionalText(),
            sequence: sequence)
    }
}

extension PeerRecord: StoredRow {
    static let table = Table("peers", ["server", "public_key", "added_at", "trust", "scopes", "endpoints"])

    var columnValues: [(any DatabaseValueConvertible)?] {
        [
            server.rawValue, publicKey.description, addedAt.milliseconds, trust.description, scopes.description,
            pinnedEndpoints.map(\.description).joined(separator: " "),
        ]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        self.init(
            server: try reader.value(), publicKey: try reader.value(), addedAt: try reader.timestamp(),
            trust: try reader.value(), scopes: try reader.value(), pinnedEndpoints: try reader.list(separator: " "))
    }
}

extension PortalRoute: StoredRow {
    static let table = Table("routes", ["portal", "source", "destination", "world", "spawn", "is_active"])

    var columnValues: [(any DatabaseValueConvertible)?] {
        [portal.rawValue, source.rawValue, destination.rawValue, world.rawValue, spawn?.description, isActive]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        self.init(
            portal: try reader.value(), source: try reader.value(), destination: try reader.value(),
            world: try reader.value(), spawn: try reader.optionalValue(), isActive: try reader.flag())
    }
}
