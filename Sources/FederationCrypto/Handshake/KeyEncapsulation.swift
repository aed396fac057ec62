import Crypto

/// How a secret is encapsulated to a peer's ML-KEM-768 key. The one step of the handshake whose randomness is not an
/// argument: swift-crypto draws it itself. Tests that need every byte fixed put a strategy of their own here.
public struct KeyEncapsulation: Sendable {
    /// A secret and the ciphertext that carries it.
    public struct Encapsulated: ~Copyable, Sendable {
        /// 1088 bytes.
        public let ciphertext: [UInt8]
        /// 32 bytes.
        public let sharedSecret: SecretBytes

        public init(ciphertext: [UInt8], sharedSecret: consuming SecretBytes) {
            self.ciphertext = ciphertext
            self.sharedSecret = sharedSecret
        }
    }

    /// FIPS 203 sizes in bytes.
    static let encapsulationKeyBytes = 1_184
    static let ciphertextBytes = 1_088
    static let sharedSecretBytes = 32

    let encapsulate: @Sendable (_ encapsulationKey: [UInt8]) throws -> Encapsulated

    /// A strategy that returns a ciphertext of 1088 bytes and a secret of 32 bytes, or throws when the key (1184
    /// bytes) is not a valid one (FIPS 203 §7.2).
    public init(_ encapsulate: @escaping @Sendable (_ encapsulationKey: [UInt8]) throws -> Encapsulated) {
        self.encapsulate = encapsulate
    }

    /// swift-crypto's ML-KEM-768 with the system's randomness.
    public static let system = KeyEncapsulation { encapsulationKey in
        let key = try MLKEM768.PublicKey(rawRepresentation: encapsulationKey)
        let result = try key.encapsulate()
        return Encapsulated(
            ciphertext: Array(result.encapsulated), sharedSecret: SecretBytes(result.sharedSecret))
    }
}
