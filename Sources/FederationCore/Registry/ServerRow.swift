import FederationModel

/// A server as the registry keeps it, without its id: what look-ups and heartbeats need at hand, and the record packed,
/// because it is read seldom and there may be a million.
struct ServerRow: Sendable {
    private let record: PackedRecord
    var lastHeartbeat: Timestamp?
    var status: ServerStatus

    init(_ server: FederatedServer) {
        record = PackedRecord(server)
        lastHeartbeat = server.lastHeartbeat
        status = server.status
    }

    /// The server whose row this is, given its id.
    func server(_ id: ServerID) -> FederatedServer {
        var server = record.server(id)
        server.lastHeartbeat = lastHeartbeat
        server.status = status
        return server
    }
}
