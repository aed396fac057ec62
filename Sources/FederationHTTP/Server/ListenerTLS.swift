import FederationModel
import HummingbirdTLS
import NIOSSL

/// The certificate with which the port speaks TLS. Identity between servers never depends on it.
public struct ListenerTLS: Sendable {
    /// The server's certificate and what leads to a root, in PEM.
    public let certificateChainFile: String
    /// The certificate's private key, in PEM.
    public let privateKeyFile: String

    public init(certificateChainFile: String, privateKeyFile: String) {
        self.certificateChainFile = certificateChainFile
        self.privateKeyFile = privateKeyFile
    }

    /// Reads both files.
    ///
    /// - Throws: A ``Refusal`` that names the file.
    func configuration() throws(Refusal) -> TLSConfiguration {
        let chain: [NIOSSLCertificate]
        do {
            chain = try NIOSSLCertificate.fromPEMFile(certificateChainFile)
        } catch {
            throw Self.unreadable(certificateChainFile, "certificate chain")
        }
        guard !chain.isEmpty else { throw Self.unreadable(certificateChainFile, "certificate chain") }
        let key: NIOSSLPrivateKey
        do {
            key = try NIOSSLPrivateKey(file: privateKeyFile, format: .pem)
        } catch {
            throw Self.unreadable(privateKeyFile, "private key")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return configuration
    }

    private static func unreadable(_ file: String, _ what: String) -> Refusal {
        Refusal(
            .invalid, code: "tls.unreadable", reason: "TLS was refused: \(file) holds no readable \(what)",
            remedy: "name a PEM file that this user may read")
    }
}
