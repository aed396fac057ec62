public import FederationModel

/// What a server allows in its handshakes, and how long they may take.
public struct HandshakeConfiguration: Sendable {
    /// Offered in this order; 1 to ``Limits/suites``, none twice.
    public let suites: [CipherSuite]
    public let versions: ProtocolVersions
    /// How far the peer's clock may be off, either way.
    public let clockSkew: Duration
    /// From the opening of a channel to Completed.
    public let timeout: Duration
    /// How long Completed trust lasts.
    public let trustLifetime: Duration
    public let encapsulation: KeyEncapsulation

    public init(
        suites: [CipherSuite] = CipherSuite.standard, versions: ProtocolVersions = .current,
        clockSkew: Duration = Limits.clockSkew, timeout: Duration = Limits.handshakeTimeout,
        trustLifetime: Duration = Limits.trustLifetime, encapsulation: KeyEncapsulation = .system
    ) {
        precondition((1...Limits.suites).contains(suites.count), "offer 1 to \(Limits.suites) suites")
        precondition(Set(suites).count == suites.count, "offer each suite once")
        precondition(clockSkew >= .zero && timeout > .zero && trustLifetime > .zero, "durations are positive")
        self.suites = suites
        self.versions = versions
        self.clockSkew = clockSkew
        self.timeout = timeout
        self.trustLifetime = trustLifetime
        self.encapsulation = encapsulation
    }
}
