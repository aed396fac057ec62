import NIOSSL

/// A self-signed certificate for `localhost` and 127.0.0.1, valid from 2020 to 2120, of no use outside these tests.
enum TestCertificate {
    static func certificate() throws -> NIOSSLCertificate {
        try NIOSSLCertificate(bytes: Array(pem.utf8), format: .pem)
    }

    static func serverContext() throws -> NIOSSLContext {
        let key = try NIOSSLPrivateKey(bytes: Array(keyPEM.utf8), format: .pem)
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: [.certificate(try certificate())], privateKey: .privateKey(key)))
    }

    private static let keyPEM = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMmT05Kt8BiPatWBM
        JVWMahk7GtK+60rZTl6VMbh25jqhRANCAATQfRE9aa5fLYwV4P1A19x7Ovpky11n
        3/8bRm7QQfpZ4a4iIS6Hx7p+Qc7JUtt6JVLiJplq4CbBPq5D+uZ3I/tF
        -----END PRIVATE KEY-----
        """

    static let pem = """
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
}
