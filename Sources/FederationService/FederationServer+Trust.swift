public import FederationCore
public import FederationModel
import Metrics

/// Whom this server trusts: its policy, what peers may do, and what they say of one another.
extension FederationServer {
    public func policy() -> TrustPolicy { node.policy }

    /// Goes over to another policy, which holds at once; see ``FederationNode/setPolicy(_:at:)``. Channels with addresses that
    /// it denies are closed as well, handshakes included.
    ///
    /// - Parameter mayReplace: whether the policy that stands is the one that the caller has seen.
    /// - Throws: `policy.changed` when it is not; then nothing has changed.
    public func setPolicy(
        _ policy: TrustPolicy, mayReplace: @Sendable (TrustPolicy) -> Bool = { _ in true }
    ) async throws(Refusal) {
        try checkReady()
        guard mayReplace(node.policy) else {
            throw Refusal(
                .conflict, code: "policy.changed", reason: "somebody else has changed the policy since it was read",
                remedy: "read it again, and make the change anew")
        }
        var effects = node.setPolicy(policy, at: clock.now())
        for id in channels.keys.sorted() {
            guard let address = channels[id]?.address, policy.denies(address) else { continue }
            effects += node.refuse(id, .untrustedPeer)
            Counter(label: "aether_denied_channels_total").increment()
        }
        try await commit(effects)
    }

    /// Sets what a pinned peer may do, at once; see ``FederationNode/setScopes(_:_:at:)``.
    public func setScopes(_ server: ServerID, _ scopes: PeerScopes) async throws(Refusal) {
        try checkReady()
        try await commit(node.setScopes(server, scopes, at: clock.now()))
    }

    /// Of whom peers have told, and what the policy makes of it, sorted by subject.
    public func heardOf() -> [HeardOf] {
        let now = clock.now()
        let introductions = Dictionary(grouping: node.introductions.all, by: \.subject)
        return introductions.keys.sorted().map { subject in
            HeardOf(
                server: subject, introductions: introductions[subject] ?? [], trust: node.peers[subject]?.trust,
                refusal: refusal(of: subject, at: now))
        }
    }

    private func refusal(of subject: ServerID, at now: Now) -> Refusal? {
        guard node.peers[subject] == nil, case .refuse(let refusal) = node.decision(on: subject, at: now) else {
            return nil
        }
        return refusal
    }
}

/// A server of which peers have told. That is no trust.
public struct HeardOf: Hashable, Sendable {
    public let server: ServerID
    /// Sorted by introducer.
    public let introductions: [HeardIntroduction]
    /// Why it is a peer; nil when it is none.
    public let trust: TrustSource?
    /// Why the policy would not trust it; nil when it would, or when its card is not known yet.
    public let refusal: Refusal?

    public init(
        server: ServerID, introductions: [HeardIntroduction], trust: TrustSource? = nil, refusal: Refusal? = nil
    ) {
        self.server = server
        self.introductions = introductions
        self.trust = trust
        self.refusal = refusal
    }
}
