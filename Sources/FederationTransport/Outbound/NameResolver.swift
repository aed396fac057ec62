public import FederationModel

/// The port to name resolution.
public protocol NameResolver: Sendable {
    /// Every address of a name, in the order in which they should be tried; empty when the name has none.
    func addresses(of host: Host) async throws(NameResolutionFailure) -> [NetworkAddress]
}

/// Why a name could not be looked up, in one line for a person.
public struct NameResolutionFailure: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}
