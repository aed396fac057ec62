import Foundation
import NIOCore
import NIOSSL

/// TLS 1.3 both ways with one self-signed certificate, made when it is needed: each side knows the other's beforehand, as
/// two federated servers do.
struct TLSMaterial: Sendable {
    /// What the certificate's key is.
    enum Key {
        case p256
        case ed25519

        fileprivate var arguments: [String] {
            switch self {
            case .p256: ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
            case .ed25519: ["ed25519"]
            }
        }
    }

    let client: NIOSSLContext
    let server: NIOSSLContext

    /// - Parameters:
    ///   - isMutual: whether the client has a certificate, too.
    ///   - curve: the one group of the key exchange.
    init(_ key: Key = .p256, isMutual: Bool = false, curve: NIOTLSCurve = .x25519) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "aether-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let keyFile = folder.appending(path: "key.pem").path
        let certificateFile = folder.appending(path: "certificate.pem").path
        try Tool.run(
            "/usr/bin/openssl",
            ["req", "-x509", "-newkey"] + key.arguments + [
                "-nodes", "-keyout", keyFile, "-out", certificateFile, "-days", "2", "-subj", "/CN=localhost",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ])
        let certificate = try NIOSSLCertificate.fromPEMFile(certificateFile)
        let privateKey = NIOSSLPrivateKeySource.privateKey(try NIOSSLPrivateKey(file: keyFile, format: .pem))
        var server = TLSConfiguration.makeServerConfiguration(
            certificateChain: certificate.map { .certificate($0) }, privateKey: privateKey)
        var client = TLSConfiguration.makeClientConfiguration()
        client.trustRoots = .certificates(certificate)
        if isMutual {
            client.certificateChain = certificate.map { .certificate($0) }
            client.privateKey = privateKey
            server.trustRoots = .certificates(certificate)
            server.certificateVerification = .noHostnameVerification
        }
        self.client = try Self.context(client, key, curve)
        self.server = try Self.context(server, key, curve)
    }

    /// Puts TLS on a fresh channel that was dialled.
    var secure: @Sendable (any Channel) throws -> Void {
        { [client] channel in
            try channel.pipeline.syncOperations.addHandler(
                NIOSSLClientHandler(context: client, serverHostname: nil))
        }
    }

    private static func context(
        _ configuration: TLSConfiguration, _ key: Key, _ curve: NIOTLSCurve
    ) throws -> NIOSSLContext {
        var configuration = configuration
        configuration.minimumTLSVersion = .tlsv13
        configuration.curves = [curve]
        if key == .ed25519 {
            configuration.signingSignatureAlgorithms = [.ed25519]
            configuration.verifySignatureAlgorithms = [.ed25519]
        }
        return try NIOSSLContext(configuration: configuration)
    }
}
