public import FederationCore
public import FederationModel

/// Whom this server trusts: its policy, what peers may do, and what they say of one another.
extension FederationServer {
    public func policy() -> TrustPolicy { node.policy }

    /// Goes over to another policy, which holds at once; see ``FederationNode/setPolicy(_:at:)``.
    public func setPolicy(_ policy: TrustPolicy) async throws(Refusal) {
        try checkReady()
        try await commit(node.setPolicy(policy, at: clock.now()))
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
