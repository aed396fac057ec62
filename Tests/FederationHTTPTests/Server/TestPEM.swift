import FederationHTTP
import Foundation
import NIOSSL

/// A self-signed certificate for `localhost` and 127.0.0.1, valid from 2020 to 2120, of no use outside these tests.
enum TestPEM {
    static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMmT05Kt8BiPatWBM
        JVWMahk7GtK+60rZTl6VMbh25jqhRANCAATQfRE9aa5fLYwV4P1A19x7Ovpky11n
        3/8bRm7QQfpZ4a4iIS6Hx7p+Qc7JUtt6JVLiJplq4CbBPq5D+uZ3I/tF
        -----END PRIVATE KEY-----
        """

    static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBbDCCARKgAwIBAgICEAAwCgYIKoZIzj0EAwIwFjEUMBIGA1UEAwwLYWV0aGVy
        IHRlc3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBYxFDASBgNV
        BAMMC2FldGhlciB0ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0H0RPWmu
        Xy2MFeD9QNfcezr6ZMtdZ9//G0Zu0EH6WeGuIiEuh8e6fkHOyVLbeiVS4iaZauAm
        wT6uQ/rmdyP7RaNOMEwwGgYDVR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMA8GA1Ud
        EwEB/wQFMAMBAf8wHQYDVR0OBBYEFNJLlqd6B+VqmgXgT4VDN3qA9Rk1MAoGCCqG
        SM49BAMCA0gAMEUCIC5ZxJxvSu6d29HQ050iAybjOAl35PLPLLpHhyUk+r+vAiEA
        z77mKGfp33D57wUHVpr65adfRL6IzLEbwc+LKnx0glQ=
        -----END CERTIFICATE-----
        """

    /// A port's side of TLS, from files that are gone when `body` has ended.
    static func withFiles(_ body: (ListenerTLS) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "aether-tls-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (chain, key) = (folder.appending(path: "chain.pem"), folder.appending(path: "key.pem"))
        try Data(Self.certificate.utf8).write(to: chain)
        try Data(Self.key.utf8).write(to: key)
        try await body(ListenerTLS(certificateChainFile: chain.path, privateKeyFile: key.path))
    }

    /// A client's side, which trusts the certificate.
    static func clientContext() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates([
            try NIOSSLCertificate(bytes: Array(certificate.utf8), format: .pem)
        ])
        return try NIOSSLContext(configuration: configuration)
    }
}
