import Crypto

/// The key of one direction, with the counter that makes every nonce new. Overwritten when it dies.
struct TrafficKey: ~Copyable, Sendable {
    let aead: AEAD
    private(set) var key: SymmetricKey
    private(set) var iv: SymmetricKey
    private var context: AEADContext
    /// How many records this key has protected. Never sent; both ends count.
    private(set) var counter: UInt64 = 0

    init(aead: AEAD, key: SymmetricKey, iv: SymmetricKey) {
        self.aead = aead
        self.key = key
        self.iv = iv
        context = AEADContext(aead, key: key)
    }

    /// Seals what stands in `record` before the last ``AEAD/tagBytes``, which become the tag.
    mutating func seal(_ record: inout [UInt8]) throws {
        var nonce = nonce()
        defer { withUnsafeMutableBytes(of: &nonce, overwrite) }
        try record.withUnsafeMutableBytes { record in
            try withUnsafeBytes(of: &nonce) { nonce in
                try context.seal(record, nonce: UnsafeRawBufferPointer(rebasing: nonce.prefix(AEAD.nonceBytes)))
            }
        }
        counter += 1
    }

    /// Opens `record`: the plaintext stands in it afterwards, before the last ``AEAD/tagBytes``.
    mutating func open(_ record: inout [UInt8]) throws {
        var nonce = nonce()
        defer { withUnsafeMutableBytes(of: &nonce, overwrite) }
        try record.withUnsafeMutableBytes { record in
            try withUnsafeBytes(of: &nonce) { nonce in
                try context.open(record, nonce: UnsafeRawBufferPointer(rebasing: nonce.prefix(AEAD.nonceBytes)))
            }
        }
        counter += 1
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
        context = AEADContext(aead, key: key)
        counter = 0
    }

    /// The first ``AEAD/nonceBytes`` are the IV with the counter, big-endian, xored into its last eight. Under counter 0 they
    /// are the IV itself, so they are overwritten after use.
    private func nonce() -> (UInt64, UInt64) {
        var nonce: (UInt64, UInt64) = (0, 0)
        withUnsafeMutableBytes(of: &nonce) { bytes in
            iv.withUnsafeBytes { bytes.copyMemory(from: $0) }
            for index in 0..<8 {
                bytes[AEAD.nonceBytes - 1 - index] ^= UInt8(truncatingIfNeeded: counter >> (8 * UInt64(index)))
            }
        }
        return nonce
    }
}
