import Crypto
import FederationCrypto

/// Encapsulates to a key always in the same way within one process, so that the same input takes the same path.
enum FixedEncapsulation {
    private struct Made: Sendable {
        let key: [UInt8]
        let ciphertext: [UInt8]
        let secret: [UInt8]

        init?(entropy: UInt8) {
            let seed = [UInt8](repeating: entropy, count: 64)
            guard let own = try? MLKEM768.PrivateKey(seedRepresentation: seed, publicKey: nil),
                let result = try? own.publicKey.encapsulate()
            else { return nil }
            key = Array(own.publicKey.rawRepresentation)
            ciphertext = Array(result.encapsulated)
            secret = result.sharedSecret.withUnsafeBytes { Array($0) }
        }
    }

    /// For the keys of ``Subjects/entropy(_:)`` with 1 and 2.
    private static let made = [UInt8(1), 2].compactMap(Made.init(entropy:))

    static let strategy = KeyEncapsulation { key in
        if let known = made.first(where: { $0.key == key }) {
            var secret = known.secret
            return KeyEncapsulation.Encapsulated(
                ciphertext: known.ciphertext, sharedSecret: SecretBytes(taking: &secret))
        }
        let result = try MLKEM768.PublicKey(rawRepresentation: key).encapsulate()
        var secret = result.sharedSecret.withUnsafeBytes { Array($0) }
        return KeyEncapsulation.Encapsulated(
            ciphertext: Array(result.encapsulated), sharedSecret: SecretBytes(taking: &secret))
    }
}
