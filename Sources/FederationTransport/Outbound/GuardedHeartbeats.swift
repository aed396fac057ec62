public import FederationModel
public import FederationService

/// Tells peers by HTTP that this server lives, under the rules of ``GuardedFetcher``.
public struct GuardedHeartbeats: HeartbeatLink {
    private let fetcher: GuardedFetcher

    /// - Parameter fetcher: one of its own, so that peers that do not answer keep nothing else waiting.
    public init(_ fetcher: GuardedFetcher) { self.fetcher = fetcher }

    public func send(
        _ statement: String, of server: ServerID, to endpoint: Endpoint, within reach: ExaminationReach
    ) async throws(Refusal) {
        guard var request = FetchRequest(endpoint, "/v1/servers/\(server)/heartbeat") else {
            throw Refusal(
                .invalid, code: "fetch.forbiddenPath", reason: "no path can be made for \(server)",
                remedy: "report it: this is a mistake in the program")
        }
        request.method = .post
        request.body = Array(statement.utf8)
        request.contentType = "application/jose"
        request.isOperatorsChoice = reach.isOperatorsChoice
        request.isProvoked = reach.isProvoked
        request.denied = reach.denied
        let document: FetchedDocument
        do throws(FetchFailure) {
            document = try await fetcher.fetch(request)
        } catch {
            throw error.refusal(of: request)
        }
        guard (200..<300).contains(document.status) else {
            throw Refusal(
                .forbidden, code: "heartbeat.refused",
                reason: "\(endpoint) does not take the heartbeat (HTTP status \(document.status))",
                remedy: "see that it is a peer there too, and that both clocks are right")
        }
    }
}
