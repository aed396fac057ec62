public import FederationCrypto
public import FederationModel

/// A registry that this server reads, and how far it has followed its log.
public struct KnownRegistry: Hashable, Sendable {
    /// Its address as the operator named it: `http://host:port` or `https://host:port`.
    public let address: String
    /// Whose log it is. Its key is in its ``KeyBinding``.
    public let registry: ServerID
    /// The newest ``TreeHead`` whose log is known to continue all that was read before, as compact JWS.
    public var head: String
    /// Everything that was read of the log.
    public var frontier: MerkleFrontier

    public init(address: String, registry: ServerID, head: String, frontier: MerkleFrontier = MerkleFrontier()) {
        self.address = address
        self.registry = registry
        self.head = head
        self.frontier = frontier
    }
}

/// That a registry lists a server.
public struct RegistryListing: Hashable, Sendable {
    public let server: ServerID
    /// ``KnownRegistry/address``.
    public let registry: String

    public init(server: ServerID, registry: String) {
        self.server = server
        self.registry = registry
    }
}

extension RegistryListing: Comparable {
    public static func < (left: Self, right: Self) -> Bool {
        (left.server, left.registry) < (right.server, right.registry)
    }
}
