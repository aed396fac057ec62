import NIOCore

/// Turns messages into frames, many to a buffer: the sending half of RFC 6455 §5. Messages are never fragmented.
struct WebSocketWriter {
    /// From this size on an unmasked payload is passed on as it is instead of being copied behind its header.
    static let copyThreshold = 8_192
    /// A batch that has grown so far is passed on; below glibc's threshold for mapping fresh pages.
    static let batchBytes = 1 << 16

    private let isClient: Bool
    private var random = SystemRandomNumberGenerator()
    /// The second half of the last random word, for the next mask.
    private var spareKey: UInt32?
    private var batch = ByteBuffer()

    init(role: WebSocketRole) {
        isClient = role == .client
    }

    /// Adds a frame. What is ready to be passed on comes back, in order; the rest waits for ``takeBatch()``.
    mutating func write(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) -> (first: ByteBuffer?, second: ByteBuffer?) {
        let count = payload.readableBytes
        let mask = isClient ? nextMask() : nil
        let isCopied = mask != nil || count < Self.copyThreshold
        reserve(WebSocketFrameHeader.maximumBytes + (isCopied ? count : 0))
        WebSocketFrameHeader(opcode: opcode, mask: mask, length: count).write(to: &batch)
        if let mask {
            payload.withUnsafeReadableBytes { batch.writeMasked($0, mask: mask) }
        } else if isCopied {
            batch.writeImmutableBuffer(payload)
        } else {
            return (takeBatch(), payload)
        }
        return (batch.readableBytes >= Self.batchBytes ? takeBatch() : nil, nil)
    }

    /// What has been written and not come back yet.
    mutating func takeBatch() -> ByteBuffer? {
        guard batch.readableBytes > 0 else { return nil }
        let full = batch
        batch = ByteBuffer()
        return full
    }

    private mutating func reserve(_ count: Int) {
        guard batch.writableBytes < count else { return }
        batch.reserveCapacity(minimumWritableBytes: count)
    }

    /// Unpredictable to whoever chooses the payload (RFC 6455 §10.3).
    private mutating func nextMask() -> WebSocketMask {
        if let key = spareKey {
            spareKey = nil
            return WebSocketMask(littleEndianKey: key)
        }
        let word: UInt64 = random.next()
        spareKey = UInt32(truncatingIfNeeded: word >> 32)
        return WebSocketMask(littleEndianKey: UInt32(truncatingIfNeeded: word))
    }
}
