import Crypto

/// The key of one direction, with the counter that makes every nonce new. Overwritten when it dies.
struct TrafficKey: ~Copyable, Sendable {
    private let aead: AEAD
    private(set) var key: SymmetricKey
    private(set) var iv: SymmetricKey
    /// How many records this key has protected. Never sent; both ends count.
    private(set) var counter: UInt64 = 0

    init(aead: AEAD, key: SymmetricKey, iv: SymmetricKey) {
        self.aead = aead
        self.key = key
        self.iv = iv
    }

    mutating func seal(_ plaintext: [UInt8]) throws -> [UInt8] {
        var nonce = nonce()
        defer { overwrite(&nonce) }
        let sealed = try aead.seal(plaintext, key: key, nonce: nonce)
        counter += 1
        return sealed
    }

    mutating func open(_ record: [UInt8]) throws -> [UInt8] {
        var nonce = nonce()
        defer { overwrite(&nonce) }
        let plaintext = try aead.open(record[...], key: key, nonce: nonce)
        counter += 1
        return plaintext
    }

    /// Replaces key and IV by ones from which the old cannot be found, and counts from 0 again.
    mutating func advance() {
        var material: [UInt8] = []
        material.reserveCapacity(AEAD.keyBytes + AEAD.nonceBytes)
        key.withUnsafeBytes { material.append(contentsOf: $0) }
        iv.withUnsafeBytes { material.append(contentsOf: $0) }
        let secret = SymmetricKey(data: material)
        overwrite(&material)
        key = deriveKey(from: secret, label: Label.rekeyKey, count: AEAD.keyBytes)
        iv = deriveKey(from: secret, label: Label.rekeyIV, count: AEAD.nonceBytes)
        counter = 0
    }

    /// The IV with the counter, big-endian, xored into its last eight bytes. Under counter 0 it is the IV itself, so it is
    /// overwritten after use.
    private func nonce() -> [UInt8] {
        var nonce = iv.withUnsafeBytes { Array($0) }
        for index in 0..<8 {
            nonce[AEAD.nonceBytes - 1 - index] ^= UInt8(truncatingIfNeeded: counter >> (8 * UInt64(index)))
        }
        return nonce
    }
}
