public import FederationCore
public import FederationModel

/// How it stands with a registry that this server uses.
public struct RegistrySource: Hashable, Sendable {
    /// As the operator named it.
    public let address: String
    /// Whose registry it is; nil until it has answered.
    public var registry: ServerID?
    /// When it last answered everything that was asked.
    public var lastContact: Timestamp?
    /// Why the last attempt failed; nil when it did not.
    public var lastError: Refusal?
    /// The newest head that was believed, as compact JWS, and its size.
    public var head: String?
    public var size: Int = 0
    /// Entries of the log that were read and proved.
    public var read: Int = 0
    /// Servers that it lists here.
    public var servers: Int = 0
    /// Whether this server is registered there, with its present card.
    public var isRegistered = false
    /// What it has signed against itself: what it lists counts for nothing until the operator readmits it.
    public var fault: RegistryFault?
    /// How often it was readmitted since this server has started.
    var generation = 0

    public var isFaulty: Bool { fault != nil }

    /// Whether the last attempt was refused because what is shown is not known to continue the log that was read.
    public var isDiscontinued: Bool {
        lastError.map { ["registry.unproven", "registry.olderHead", "registry.badLog"].contains($0.code) } ?? false
    }

    public init(address: String) {
        self.address = address
    }
}
