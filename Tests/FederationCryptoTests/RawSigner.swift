import Crypto

/// Signs any bytes with the key of ``Sample/identity(_:_:)``'s seed: what a program without our checks could do.
struct RawSigner {
    private let key: Curve25519.Signing.PrivateKey

    init(seed: UInt8) throws {
        key = try Curve25519.Signing.PrivateKey(rawRepresentation: [UInt8](repeating: seed, count: 32))
    }

    func sign(_ bytes: [UInt8]) throws -> [UInt8] {
        Array(try key.signature(for: bytes))
    }
}
