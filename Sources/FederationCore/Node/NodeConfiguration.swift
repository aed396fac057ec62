public import FederationCrypto
public import FederationModel

/// What a node is told at its start and keeps for its life.
public struct NodeConfiguration: Sendable {
    /// For people.
    public var name: String
    /// Where other servers and clients reach this one.
    public var endpoint: Endpoint
    public var handshake: HandshakeConfiguration
    public var health: HealthThresholds
    /// How long this server's own card is valid once issued.
    public var cardLifetime: Duration

    public init(
        name: String, endpoint: Endpoint, handshake: HandshakeConfiguration = HandshakeConfiguration(),
        health: HealthThresholds = .standard, cardLifetime: Duration = .seconds(7 * 24 * 3_600)
    ) {
        self.name = name
        self.endpoint = endpoint
        self.handshake = handshake
        self.health = health
        self.cardLifetime = cardLifetime
    }
}
