import NIOCore

/// The four bytes that a client's payload is combined with (RFC 6455 §5.3), applied eight bytes at a time.
struct WebSocketMask: Hashable {
    /// The key with its first byte on the wire in the lowest bits.
    let littleEndianKey: UInt32

    init(littleEndianKey: UInt32) {
        self.littleEndianKey = littleEndianKey
    }

    /// The key for a payload of which `offset` bytes have been handled already.
    func advanced(by offset: Int) -> WebSocketMask {
        let bits = UInt32(offset & 3) * 8
        guard bits != 0 else { return self }
        return WebSocketMask(littleEndianKey: littleEndianKey >> bits | littleEndianKey << (32 - bits))
    }

    /// Combines `source` with the key into `target`, which is at least as long.
    func apply(from source: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer) {
        let count = source.count
        let wide = (UInt64(littleEndianKey) << 32 | UInt64(littleEndianKey)).littleEndian
        var index = 0
        while index + 8 <= count {
            let word = source.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            target.storeBytes(of: word ^ wide, toByteOffset: index, as: UInt64.self)
            index += 8
        }
        var rest = littleEndianKey
        while index < count {
            target[index] = source[index] ^ UInt8(truncatingIfNeeded: rest)
            rest = rest >> 8 | rest << 24
            index += 1
        }
    }
}

extension ByteBuffer {
    /// Appends `bytes` combined with `mask`.
    mutating func writeMasked(_ bytes: UnsafeRawBufferPointer, mask: WebSocketMask) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count) { target in
            mask.apply(from: bytes, to: target)
            return bytes.count
        }
    }
}
