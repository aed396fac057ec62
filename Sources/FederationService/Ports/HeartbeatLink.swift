public import FederationModel

/// The port by which a server with which there is no channel is told, signed, that this one lives.
public protocol HeartbeatLink: Sendable {
    /// Hands over a heartbeat statement to the HTTP API of the server at `endpoint`.
    ///
    /// - Parameters:
    ///   - server: who has signed it.
    ///   - reach: where to the endpoint may lead.
    /// - Throws: what the other server refused with, or why it was not reached.
    func send(
        _ statement: String, of server: ServerID, to endpoint: Endpoint, within reach: ExaminationReach
    ) async throws(Refusal)
}
