import FederationTransport

extension PeerTLS {
    /// For what is dialled: believes the roots in a PEM file; those of the system without one.
    static func trusting(_ file: String?) -> PeerTLS {
        PeerTLS(trustRoots: file.map { .file($0) } ?? .default)
    }
}
