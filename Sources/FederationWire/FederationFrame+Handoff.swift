public import FederationModel

extension FederationFrame {
    /// The handoff that the frame speaks of; nil for one that is about something else, or about several.
    public var handoff: HandoffID? {
        switch self {
        case .offer(let offer): offer.handoff
        case .accept(let handoff), .abort(let handoff), .query(let handoff): handoff
        case .reject(let rejection): rejection.handoff
        case .commit(let commit): commit.handoff
        case .admitted(let admitted): admitted.handoff
        case .verdict(let verdict): verdict.handoff
        case .ready, .heartbeat, .acknowledgement, .worldRequest, .worldResponse, .assetRequest, .assetResponse,
            .position, .evidence, .recall, .notice, .introductions, .probe, .probeResult:
            nil
        }
    }
}
