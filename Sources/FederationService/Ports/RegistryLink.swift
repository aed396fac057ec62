public import FederationModel

/// The port to registries' HTTP APIs.
public protocol RegistryLink: Sendable {
    /// Sends a request and returns the body of its answer, at most ``Limits/registryAnswerBytes`` long. Follows no redirect.
    ///
    /// - Throws: the refusal that the registry answered with, under its own code; `registry.unreachable` when there is no
    ///   answer in time, and when it is too long.
    func ask(_ request: RegistryRequest) async throws(Refusal) -> [UInt8]
}

/// A request to a registry.
public struct RegistryRequest: Hashable, Sendable {
    public let method: String
    /// `http://host:port` or `https://host:port`.
    public let address: String
    /// Path and query.
    public let path: String
    /// A compact JWS to send as `application/jose`.
    public let statement: String?

    public init(_ method: String, _ address: String, _ path: String, statement: String? = nil) {
        self.method = method
        self.address = address
        self.path = path
        self.statement = statement
    }
}
