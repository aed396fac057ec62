import FederationModel

/// Waits until a crossing is over, by asking the server.
struct CrossingFollower {
    let client: AdminClient

    /// The last answer. Throws when the crossing is not over in time; it then goes on by itself.
    func wait(for id: HandoffID, atMost limit: Duration) async throws -> AdminClient.Response {
        let clock = ContinuousClock()
        let deadline = clock.now + limit
        var pause = Duration.milliseconds(5)
        while true {
            let response = try await client.get("/v1/handoffs/\(id)")
            switch response.json.fields["phase"].string {
            case "completed", "aborted", "admitted": return response
            default: break
            }
            guard clock.now < deadline else {
                throw Refusal(
                    .unavailable, code: "handoff.slow", reason: "handoff \(id) is not over after \(limit)",
                    remedy: "it goes on by itself; look later: GET /v1/handoffs/\(id)", step: .handoff)
            }
            try await clock.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(250))
        }
    }
}
