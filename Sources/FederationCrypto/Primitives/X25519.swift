import Crypto

/// X25519 (RFC 7748 §5) with the check of §6.1 that swift-crypto leaves to its callers.
enum X25519 {
    static let keyBytes = 32

    /// The shared secret, or nil when it is all zeros: the peer's key then has a small order and contributes nothing.
    static func agree(_ key: Curve25519.KeyAgreement.PrivateKey, with peer: [UInt8]) -> SymmetricKey? {
        guard let peerKey = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: peer),
            let shared = try? key.sharedSecretFromKeyAgreement(with: peerKey)
        else { return nil }
        return shared.withUnsafeBytes { bytes in
            // No early exit: the time taken says nothing about the secret.
            guard bytes.reduce(0, |) != 0 else { return nil }
            return SymmetricKey(data: bytes)
        }
    }
}
