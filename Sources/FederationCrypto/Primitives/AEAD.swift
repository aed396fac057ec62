import Crypto

/// Authenticated encryption with 256-bit keys, 96-bit nonces and 128-bit tags. A sealed message is the ciphertext
/// followed by the tag.
///
/// The plain way, with the copies that swift-crypto's boxes make. ``AEADContext`` does the same in place, and is tested
/// against this.
enum AEAD: Sendable {
    /// AES-256-GCM (NIST SP 800-38D).
    case aes256gcm
    /// ChaCha20-Poly1305 (RFC 8439 §2.8).
    case chacha20poly1305

    static let keyBytes = 32
    static let nonceBytes = 12
    static let tagBytes = 16

    /// Ciphertext and tag.
    func seal(
        _ plaintext: [UInt8], key: SymmetricKey, nonce: [UInt8], authenticating data: [UInt8] = []
    ) throws -> [UInt8] {
        switch self {
        case .aes256gcm:
            let box = try AES.GCM.seal(
                plaintext, using: key, nonce: try AES.GCM.Nonce(data: nonce), authenticating: data)
            return joined(box.ciphertext, box.tag)
        case .chacha20poly1305:
            let box = try ChaChaPoly.seal(
                plaintext, using: key, nonce: try ChaChaPoly.Nonce(data: nonce), authenticating: data)
            return joined(box.ciphertext, box.tag)
        }
    }

    /// The plaintext. Throws when `sealed` is shorter than a tag or not authentic.
    func open(
        _ sealed: ArraySlice<UInt8>, key: SymmetricKey, nonce: [UInt8], authenticating data: [UInt8] = []
    ) throws -> [UInt8] {
        guard sealed.count >= Self.tagBytes else { throw CryptoKitError.incorrectParameterSize }
        let ciphertext = sealed.dropLast(Self.tagBytes)
        let tag = sealed.suffix(Self.tagBytes)
        switch self {
        case .aes256gcm:
            let box = try AES.GCM.SealedBox(nonce: try AES.GCM.Nonce(data: nonce), ciphertext: ciphertext, tag: tag)
            return Array(try AES.GCM.open(box, using: key, authenticating: data))
        case .chacha20poly1305:
            let box = try ChaChaPoly.SealedBox(
                nonce: try ChaChaPoly.Nonce(data: nonce), ciphertext: ciphertext, tag: tag)
            return Array(try ChaChaPoly.open(box, using: key, authenticating: data))
        }
    }

    private func joined(_ ciphertext: some Collection<UInt8>, _ tag: some Collection<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(ciphertext.count + tag.count)
        bytes.append(contentsOf: ciphertext)
        bytes.append(contentsOf: tag)
        return bytes
    }
}
