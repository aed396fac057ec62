import Crypto

/// HMAC-SHA256 (RFC 2104). swift-crypto has one too, but it pads its key in arrays that are freed as they are, and the key
/// of HKDF's second step opens everything; here the padded key is overwritten.
struct KeyedHash: ~Copyable {
    private var inner = SHA256()
    private var outer = SHA256()

    init(key: SymmetricKey) {
        var pad = [UInt8](repeating: 0, count: SHA256.blockByteCount)
        key.withUnsafeBytes { bytes in
            if bytes.count <= pad.count {
                for index in 0..<bytes.count { pad[index] = bytes[index] }
            } else {
                for (index, byte) in SHA256.hash(data: bytes).enumerated() { pad[index] = byte }
            }
        }
        for index in pad.indices { pad[index] ^= 0x36 }
        pad.withUnsafeBytes { inner.update(bufferPointer: $0) }
        for index in pad.indices { pad[index] ^= 0x36 ^ 0x5C }
        pad.withUnsafeBytes { outer.update(bufferPointer: $0) }
        overwrite(&pad)
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        inner.update(bufferPointer: bytes)
    }

    /// The code, 32 bytes.
    consuming func finalize() -> SymmetricKey {
        var outer = outer
        inner.finalize().withUnsafeBytes { outer.update(bufferPointer: $0) }
        return outer.finalize().withUnsafeBytes { SymmetricKey(data: $0) }
    }
}
