import Crypto

@testable import FederationCrypto

/// The handshake as it was first designed, with the holes that PROTOCOL.md names still in it. The attacks succeed
/// against it, which shows that the tests of the real one are able to fail.
enum WeakenedHandshake {
    struct Side {
        let signing: Curve25519.Signing.PrivateKey
        /// Long-lived; the only private key in the exchange.
        let exchange: Curve25519.KeyAgreement.PrivateKey
        /// Only its public half enters, as bytes.
        let ephemeral: [UInt8]
        /// Fresh; for peers that send a ciphertext.
        let decapsulation: MLKEM768.PrivateKey

        init(_ seed: UInt8, ephemeral number: UInt8) throws {
            signing = try Curve25519.Signing.PrivateKey(rawRepresentation: [UInt8](repeating: seed, count: 32))
            exchange = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: [UInt8](repeating: seed, count: 32))
            ephemeral = [UInt8](repeating: number, count: 32)
            decapsulation = try MLKEM768.PrivateKey(
                seedRepresentation: [UInt8](repeating: number, count: 64), publicKey: nil)
        }

        /// Signs the two ephemeral keys and nothing else.
        func message(to peerEphemeral: [UInt8]) throws -> Message {
            let signature = try signing.signature(for: WeakenedHandshake.ordered(ephemeral, peerEphemeral))
            return Message(
                signingKey: Array(signing.publicKey.rawRepresentation),
                exchangeKey: Array(exchange.publicKey.rawRepresentation), signature: Array(signature))
        }

        /// nil when the signature does not verify.
        func key(_ message: Message, from peerEphemeral: [UInt8]) throws -> SymmetricKey? {
            let peer = try Curve25519.Signing.PublicKey(rawRepresentation: message.signingKey)
            guard peer.isValidSignature(message.signature, for: WeakenedHandshake.ordered(ephemeral, peerEphemeral))
            else {
                return nil
            }
            return try WeakenedHandshake.key(
                exchange, message.exchangeKey, ephemeral, peerEphemeral,
                encapsulated: message.ciphertext.isEmpty ? nil : try decapsulation.decapsulate(message.ciphertext))
        }
    }

    struct Message {
        var signingKey: [UInt8]
        var exchangeKey: [UInt8]
        var signature: [UInt8]
        /// ML-KEM-768, for the receiver; empty where only X25519 is spoken.
        var ciphertext: [UInt8] = []
    }

    static func ordered(_ one: [UInt8], _ other: [UInt8]) -> [UInt8] {
        one.lexicographicallyPrecedes(other) ? one + other : other + one
    }

    /// Static-static exchange, and what was encapsulated; one key for both directions.
    static func key(
        _ exchange: Curve25519.KeyAgreement.PrivateKey, _ peer: [UInt8], _ one: [UInt8], _ other: [UInt8],
        encapsulated: SymmetricKey? = nil
    ) throws -> SymmetricKey {
        // Also when it is all zeros.
        let shared = SymmetricKey(
            data: try exchange.sharedSecretFromKeyAgreement(
                with: try Curve25519.KeyAgreement.PublicKey(rawRepresentation: peer)
            ).withUnsafeBytes { Array($0) })
        let material = [shared, encapsulated].compactMap { $0 }.flatMap { $0.withUnsafeBytes { Array($0) } }
        return deriveKey(
            from: SymmetricKey(data: material), salt: ordered(one, other), label: "outbound", count: 32)
    }

    /// The counter travels with the record, and the receiver believes it.
    static func seal(_ text: [UInt8], counter: UInt8, key: SymmetricKey) throws -> [UInt8] {
        try [counter] + AEAD.aes256gcm.seal(text, key: key, nonce: nonce(counter))
    }

    static func open(_ record: [UInt8], key: SymmetricKey) throws -> [UInt8] {
        try AEAD.aes256gcm.open(record[1...], key: key, nonce: nonce(record[0]))
    }

    /// What a record of AES-256-GCM holds, whatever its tag says: the cipher is an exclusive or with what it makes of zeros.
    static func openUnchecked(_ record: [UInt8], key: SymmetricKey, nonce: [UInt8]) throws -> [UInt8] {
        let ciphertext = record.dropLast(AEAD.tagBytes)
        let stream = try AEAD.aes256gcm.seal(
            [UInt8](repeating: 0, count: ciphertext.count), key: key, nonce: nonce)
        return zip(ciphertext, stream).map { $0 ^ $1 }
    }

    private static func nonce(_ counter: UInt8) -> [UInt8] {
        [UInt8](repeating: 0, count: 11) + [counter]
    }
}
