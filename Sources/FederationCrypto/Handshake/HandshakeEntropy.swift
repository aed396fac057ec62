import Crypto

/// The randomness of one handshake. Used once: it cannot be copied, and is overwritten when it dies.
public struct HandshakeEntropy: ~Copyable, Sendable {
    /// Bytes of the X25519 seed.
    public static let x25519Bytes = 32
    /// Bytes of the ML-KEM-768 seed.
    public static let mlkemBytes = 64

    let x25519: SecretBytes
    let mlkem: SecretBytes

    /// The seeds of the ephemeral keys: 32 bytes for X25519 and 64 bytes (`d ‖ z`, FIPS 203 algorithm 16) for
    /// ML-KEM-768. Both must come from a cryptographic generator, except in tests.
    public init(x25519: consuming SecretBytes, mlkem: consuming SecretBytes) {
        precondition(x25519.count == Self.x25519Bytes, "the X25519 seed has 32 bytes")
        precondition(mlkem.count == Self.mlkemBytes, "the ML-KEM-768 seed has 64 bytes")
        self.x25519 = x25519
        self.mlkem = mlkem
    }

    /// The same from plain arrays, whose other copies the caller overwrites.
    public init(x25519: [UInt8], mlkem: [UInt8]) {
        var x25519 = x25519
        var mlkem = mlkem
        self.init(x25519: SecretBytes(taking: &x25519), mlkem: SecretBytes(taking: &mlkem))
    }

    /// Draws both seeds from `bytes`, which returns as many bytes as it is asked for.
    public init(drawing bytes: (_ count: Int) -> [UInt8]) {
        var x25519 = bytes(Self.x25519Bytes)
        var mlkem = bytes(Self.mlkemBytes)
        self.init(x25519: SecretBytes(taking: &x25519), mlkem: SecretBytes(taking: &mlkem))
    }

    /// Draws the seeds from `generator`, a value for each byte. For a seeded one, as in tests: each value of
    /// `SystemRandomNumberGenerator` is a system call, and 96 of them cost more than a key exchange.
    public init(using generator: inout some RandomNumberGenerator) {
        self.init(
            x25519: Self.draw(Self.x25519Bytes, from: &generator), mlkem: Self.draw(Self.mlkemBytes, from: &generator))
    }

    private static func draw(_ count: Int, from generator: inout some RandomNumberGenerator) -> SecretBytes {
        var bytes = [UInt8](repeating: 0, count: count)
        for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255, using: &generator) }
        return SecretBytes(taking: &bytes)
    }

    func ephemeralKey() throws(Handshake.Failure) -> Curve25519.KeyAgreement.PrivateKey {
        do {
            return try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: x25519.key)
        } catch {
            throw .unavailable
        }
    }

    func decapsulationKey() throws(Handshake.Failure) -> MLKEM768.PrivateKey {
        do {
            return try mlkem.key.withUnsafeBytes { seed in
                try MLKEM768.PrivateKey(seedRepresentation: seed, publicKey: nil)
            }
        } catch {
            throw .unavailable
        }
    }
}
