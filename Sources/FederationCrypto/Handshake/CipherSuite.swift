/// A combination of key exchange, signature, record protection and hash. All use Ed25519 and SHA-256.
public enum CipherSuite: UInt16, Hashable, Sendable, CaseIterable {
    /// `x25519+mlkem768/ed25519/aes256gcm/sha256`
    case hybridAES256GCM = 0x0001
    /// `x25519+mlkem768/ed25519/chacha20poly1305/sha256`
    case hybridChaCha20Poly1305 = 0x0002
    /// `x25519/ed25519/aes256gcm/sha256`: only where the operator allows it.
    case classicalAES256GCM = 0x0101
    /// `x25519/ed25519/chacha20poly1305/sha256`: only where the operator allows it.
    case classicalChaCha20Poly1305 = 0x0102

    /// What a server offers unless its operator says otherwise, in order.
    public static let standard: [CipherSuite] = [.hybridAES256GCM, .hybridChaCha20Poly1305]

    /// Whether ML-KEM-768 takes part, so that recorded traffic stays closed to a later quantum computer.
    public var isHybrid: Bool {
        switch self {
        case .hybridAES256GCM, .hybridChaCha20Poly1305: true
        case .classicalAES256GCM, .classicalChaCha20Poly1305: false
        }
    }

    public var name: String {
        switch self {
        case .hybridAES256GCM: "x25519+mlkem768/ed25519/aes256gcm/sha256"
        case .hybridChaCha20Poly1305: "x25519+mlkem768/ed25519/chacha20poly1305/sha256"
        case .classicalAES256GCM: "x25519/ed25519/aes256gcm/sha256"
        case .classicalChaCha20Poly1305: "x25519/ed25519/chacha20poly1305/sha256"
        }
    }

    var aead: AEAD {
        switch self {
        case .hybridAES256GCM, .classicalAES256GCM: .aes256gcm
        case .hybridChaCha20Poly1305, .classicalChaCha20Poly1305: .chacha20poly1305
        }
    }

    /// The first of `low`'s offers that `high` offers too and that this implementation knows.
    static func agreed(low: [UInt16], high: [UInt16]) -> CipherSuite? {
        low.first { high.contains($0) }.flatMap(CipherSuite.init(rawValue:))
    }
}
