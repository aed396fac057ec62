public import FederationCrypto
public import FederationModel

/// A registry that this server reads, and how far it has followed its log.
public struct KnownRegistry: Hashable, Sendable {
    /// Its address as the operator named it: `http://host:port` or `https://host:port`.
    public let address: String
    /// Whose log it is. Its key is in its ``KeyBinding``.
    public let registry: ServerID
    /// The newest ``TreeHead`` whose log is known to continue all that was read before, as compact JWS. Its signature was
    /// verified when it was taken; the registry may have another key since.
    public var head: String
    /// Everything that was read of the log.
    public var frontier: MerkleFrontier
    /// What it has signed against itself; nil while nothing is known against it. It stays until the operator readmits the registry.
    public var fault: RegistryFault?

    public init(
        address: String, registry: ServerID, head: String, frontier: MerkleFrontier = MerkleFrontier(),
        fault: RegistryFault? = nil
    ) {
        self.address = address
        self.registry = registry
        self.head = head
        self.frontier = frontier
        self.fault = fault
    }
}

/// That a registry has signed what an honest one does not sign. Nothing else is held against it: what is not signed, and what
/// was signed earlier, may be shown by whoever stands in between.
public struct RegistryFault: Hashable, Sendable {
    /// Stable, for programs: `registry.contradiction`.
    public let code: String
    /// What proves it, as compact JWS whose signatures were verified: two heads of one size with different roots.
    public let evidence: [String]
    public let seenAt: Timestamp

    public init(code: String, evidence: [String], seenAt: Timestamp) {
        self.code = code
        self.evidence = evidence
        self.seenAt = seenAt
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
