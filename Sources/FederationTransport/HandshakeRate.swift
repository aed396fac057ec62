import FederationModel

/// How many handshakes one address (``NetworkAddress/network``) may begin, whether they end or not: whoever knows the id of
/// a peer can cause a signature and an encapsulation with each, one after another, without ever holding two places.
struct HandshakeRate: Sendable {
    /// When all that a network has begun will be forgotten. What lies in the past says nothing.
    private var spentUntil: [AddressRange: Instant] = [:]

    /// Networks that are remembered: ``PeerLimits/handshakeAddresses`` at most.
    var count: Int { spentUntil.count }

    /// Whether a handshake may begin; if so, it counts.
    mutating func admit(_ network: AddressRange, at now: Instant) -> Bool {
        let until = max(now, spentUntil[network] ?? now) + PeerLimits.handshakePause
        guard until - now <= PeerLimits.handshakePause * PeerLimits.handshakesPerAddress else { return false }
        if spentUntil[network] == nil { makeRoom(at: now) }
        spentUntil[network] = until
        return true
    }

    /// Forgets those that have nothing spent, and then those that have spent least: who has spent much must wait.
    private mutating func makeRoom(at now: Instant) {
        guard spentUntil.count >= PeerLimits.handshakeAddresses else { return }
        let kept = spentUntil.filter { now < $0.value }
            .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .prefix(PeerLimits.handshakeAddresses / 2)
        spentUntil = Dictionary(kept.map { ($0.key, $0.value) }) { first, _ in first }
    }
}
