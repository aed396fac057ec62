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
    /// What it was caught at; nil while nothing is known against it. It stays until the operator readmits the registry.
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

/// That a registry was caught showing what an honest one does not show.
public struct RegistryFault: Hashable, Sendable {
    /// Stable, for programs: `registry.contradiction`, `registry.unloggedCard`.
    public let code: String
    /// What proves it, as compact JWS: two heads that contradict each other, or a card and the head of a log without it.
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
