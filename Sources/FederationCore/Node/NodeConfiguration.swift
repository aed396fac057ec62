public import FederationCrypto
public import FederationModel

/// What a node is told at its start and keeps for its life.
public struct NodeConfiguration: Sendable {
    /// For people.
    public var name: String
    /// Where other servers and clients reach this one.
    public var endpoint: Endpoint
    /// Where else; see ``ServerCard/alternatives``.
    public var alternatives: [Endpoint]
    /// Where this server reaches certain peers, whatever their cards say: through a tunnel, for example.
    public var addresses: [ServerID: Endpoint] = [:]
    /// How people reach the operator; see ``ServerCard/contact``.
    public var contact: String?
    /// What this server's present key commits to, where the store does not know (``OwnKeys/commitment``).
    public var commitment: KeyCommitment
    /// Whether strangers may register here: then every change of the registry is logged.
    public var servesRegistry: Bool
    /// How many ids strangers may fill the registry with.
    public var registeredServers = Limits.registeredServers
    /// How many ids each registry that is used may bring here.
    public var listedServers = Limits.listedServers
    public var handshake: HandshakeConfiguration
    public var health: HealthThresholds
    /// Where names and strangers may lead this server.
    public var network = AddressPolicy.publicOnly
    /// How long this server's own card is valid once issued.
    public var cardLifetime: Duration
    /// How long a destination may take to accept a player, besides ``Limits/acceptRoundTrips`` round trips; then the player
    /// stays.
    public var acceptTimeout: Duration
    /// How long a world server may take to say whether a player may enter; should be well below the others'
    /// ``acceptTimeout``.
    public var arrivalTimeout: Duration
    /// How long the ledger keeps a handoff that is over.
    public var handoffRetention: Duration
    /// How many players who have not come from a peer before it can bring.
    public var passagesPerPeer = Limits.passagesPerPeer
    /// How many all peers together can bring.
    public var passages = Limits.passages

    public init(
        name: String, endpoint: Endpoint, handshake: HandshakeConfiguration = HandshakeConfiguration(),
        health: HealthThresholds = .standard, cardLifetime: Duration = .seconds(7 * 24 * 3_600),
        acceptTimeout: Duration = Limits.acceptTimeout, arrivalTimeout: Duration = Limits.arrivalTimeout,
        handoffRetention: Duration = Limits.handoffRetention, alternatives: [Endpoint] = [], contact: String? = nil,
        commitment: KeyCommitment = KeyCommitment(), servesRegistry: Bool = false
    ) {
        self.name = name
        self.endpoint = endpoint
        self.alternatives = alternatives
        self.contact = contact
        self.commitment = commitment
        self.servesRegistry = servesRegistry
        self.handshake = handshake
        self.health = health
        self.cardLifetime = cardLifetime
        self.acceptTimeout = acceptTimeout
        self.arrivalTimeout = arrivalTimeout
        self.handoffRetention = handoffRetention
    }
}
