import NIOCore

/// What a frame is (RFC 6455 §5.2); the codes between are reserved and refused.
enum WebSocketOpcode: UInt8 {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    var isControl: Bool { rawValue >= 0x8 }
}

/// The 2 to 14 bytes before a frame's payload (RFC 6455 §5.2).
struct WebSocketFrameHeader: Hashable {
    /// Payload bytes of a control frame (RFC 6455 §5.5).
    static let maximumControlBytes = 125
    /// A header with a 64-bit length and a mask.
    static let maximumBytes = 14

    var isFinal: Bool
    var opcode: WebSocketOpcode
    var mask: WebSocketMask?
    var length: Int

    init(isFinal: Bool = true, opcode: WebSocketOpcode, mask: WebSocketMask? = nil, length: Int) {
        self.isFinal = isFinal
        self.opcode = opcode
        self.mask = mask
        self.length = length
    }

    /// Reads a header from the front of `buffer`, or nothing when it is not complete yet.
    init?(from buffer: inout ByteBuffer) throws(WebSocketFailure) {
        let start = buffer.readerIndex
        guard let first: UInt8 = buffer.getInteger(at: start), let second: UInt8 = buffer.getInteger(at: start + 1)
        else {
            return nil
        }
        guard first & 0x70 == 0 else { throw .malformed("a reserved bit is set") }
        guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else { throw .malformed("reserved opcode") }
        isFinal = first & 0x80 != 0
        self.opcode = opcode
        let short = Int(second & 0x7F)
        if opcode.isControl {
            guard isFinal else { throw .malformed("a fragmented control frame") }
            guard short <= Self.maximumControlBytes else { throw .malformed("a long control frame") }
        }
        var size = 2
        switch short {
        case 126:
            guard let length: UInt16 = buffer.getInteger(at: start + 2) else { return nil }
            guard length > 125 else { throw .malformed("a length that is not in its shortest form") }
            self.length = Int(length)
            size += 2
        case 127:
            guard let length: UInt64 = buffer.getInteger(at: start + 2) else { return nil }
            guard length > 0xFFFF else { throw .malformed("a length that is not in its shortest form") }
            guard let length = Int(exactly: length) else { throw .malformed("a length beyond 63 bits") }
            self.length = length
            size += 8
        default:
            length = short
        }
        if second & 0x80 != 0 {
            guard let key: UInt32 = buffer.getInteger(at: start + size, endianness: .little) else { return nil }
            mask = WebSocketMask(littleEndianKey: key)
            size += 4
        } else {
            mask = nil
        }
        buffer.moveReaderIndex(forwardBy: size)
    }

    func write(to buffer: inout ByteBuffer) {
        buffer.writeInteger((isFinal ? 0x80 : 0) | opcode.rawValue)
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        switch length {
        case ...125:
            buffer.writeInteger(maskBit | UInt8(length))
        case ...0xFFFF:
            buffer.writeInteger(maskBit | 126)
            buffer.writeInteger(UInt16(length))
        default:
            buffer.writeInteger(maskBit | 127)
            buffer.writeInteger(UInt64(length))
        }
        if let mask { buffer.writeInteger(mask.littleEndianKey, endianness: .little) }
    }
}
