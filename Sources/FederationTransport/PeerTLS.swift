public import NIOSSL

/// How `wss://` endpoints are dialled. A peer's identity never depends on it; the handshake inside proves that.
public struct PeerTLS: Sendable {
    /// Whose certificates are believed: the system's by default.
    public var trustRoots: NIOSSLTrustRoots
    /// Whether the certificate must be valid for the host that was dialled. Switch it off for rehearsals only.
    public var verifiesCertificates: Bool

    public init(trustRoots: NIOSSLTrustRoots = .default, verifiesCertificates: Bool = true) {
        self.trustRoots = trustRoots
        self.verifiesCertificates = verifiesCertificates
    }

    func context() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.trustRoots = trustRoots
        configuration.certificateVerification = verifiesCertificates ? .fullVerification : .none
        configuration.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: configuration)
    }
}
