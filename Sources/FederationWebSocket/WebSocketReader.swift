import NIOCore

/// Puts messages together from bytes: the receiving half of RFC 6455 §5 as a machine without a channel.
///
/// States: `awaitingHeader` can become `awaitingPayload`; that becomes `awaitingHeader` when the payload is whole. A
/// thrown failure is terminal.
struct WebSocketReader {
    enum Event: Hashable {
        case message(WebSocketMessage)
        case ping(ByteBuffer)
        case pong
        /// The peer's code (1005 when it gave none) and words.
        case close(code: UInt16, reason: String)
    }

    private enum State {
        case awaitingHeader
        case awaitingPayload(WebSocketFrameHeader, received: Int)
    }

    /// The data message of which some fragments are here.
    private struct Partial {
        var isText: Bool
        var bytes = ByteBuffer()
        var fragments = 1
        var validator = UTF8Validator()
    }

    /// Bytes reserved at once for a message whose sender only promised them.
    private static let eagerBytes = 1 << 16

    private let isServer: Bool
    private let accepts: WebSocketConfiguration.Kinds
    private let maximumFragments: Int
    /// May change between messages: a handshake's are smaller than what follows.
    var maximumMessageBytes: Int
    private var state = State.awaitingHeader
    private var partial: Partial?
    private var control = ByteBuffer()
    private var unread = ByteBuffer()

    init(_ configuration: WebSocketConfiguration) {
        isServer = configuration.role == .server
        accepts = configuration.accepts
        maximumFragments = configuration.maximumFragments
        maximumMessageBytes = configuration.maximumMessageBytes
    }

    /// Memory set aside for the message that is coming.
    var reservedBytes: Int { partial?.bytes.capacity ?? 0 }

    /// Adds received bytes; call ``next()`` until it has nothing more.
    mutating func feed(_ bytes: ByteBuffer) {
        if unread.readableBytes == 0 {
            unread = bytes
        } else {
            unread.writeImmutableBuffer(bytes)
        }
    }

    /// The next event in what was fed, if it is there.
    mutating func next() throws(WebSocketFailure) -> Event? {
        while true {
            switch state {
            case .awaitingHeader:
                guard let header = try WebSocketFrameHeader(from: &unread) else { return nil }
                try begin(header)
                if let event = try wholeMessageInPlace(header) { return event }
                state = .awaitingPayload(header, received: 0)
            case .awaitingPayload(let header, let received):
                let count = min(unread.readableBytes, header.length - received)
                try take(count, of: header, after: received)
                guard received + count == header.length else {
                    state = .awaitingPayload(header, received: received + count)
                    return nil
                }
                state = .awaitingHeader
                if let event = try end(header) { return event }
            }
        }
    }

    /// Checks a header against what may come now, before anything is stored for it.
    private mutating func begin(_ header: WebSocketFrameHeader) throws(WebSocketFailure) {
        guard (header.mask != nil) == isServer else { throw .wrongMasking }
        switch header.opcode {
        case .close, .ping, .pong:
            control.clear()
        case .text, .binary:
            guard partial == nil else { throw .malformed("a new message inside another") }
            let isText = header.opcode == .text
            guard accepts == .both || accepts == (isText ? .text : .binary) else { throw .unacceptableKind }
            guard header.length <= maximumMessageBytes else { throw .oversized }
            partial = Partial(isText: isText)
        case .continuation:
            guard let started = partial else { throw .malformed("a continuation of nothing") }
            guard started.fragments < maximumFragments else { throw .tooManyFragments }
            guard header.length <= maximumMessageBytes - started.bytes.readableBytes else { throw .oversized }
            partial?.fragments += 1
        }
    }

    /// The common case without a copy: an unmasked, unfragmented binary message that is here to its last byte.
    private mutating func wholeMessageInPlace(_ header: WebSocketFrameHeader) throws(WebSocketFailure) -> Event? {
        guard header.opcode == .binary, header.isFinal, header.mask == nil,
            let payload = unread.readSlice(length: header.length)
        else { return nil }
        partial = nil
        return .message(.binary(payload))
    }

    private mutating func take(
        _ count: Int, of header: WebSocketFrameHeader, after received: Int
    ) throws(WebSocketFailure) {
        guard count > 0 else { return }
        if header.opcode.isControl {
            Self.move(count, from: &unread, to: &control, mask: header.mask?.advanced(by: received))
            return
        }
        guard var message = partial else { return }
        partial = nil
        let before = message.bytes.writerIndex
        if message.bytes.writableBytes < count {
            message.bytes.reserveCapacity(
                minimumWritableBytes: min(header.length - received, max(count, Self.eagerBytes)))
        }
        Self.move(count, from: &unread, to: &message.bytes, mask: header.mask?.advanced(by: received))
        if message.isText {
            let isValid = message.bytes.withUnsafeReadableBytes { bytes in
                message.validator.consume(UnsafeRawBufferPointer(rebasing: bytes[before...]))
            }
            guard isValid else { throw .invalidText }
        }
        partial = message
    }

    private static func move(
        _ count: Int, from source: inout ByteBuffer, to target: inout ByteBuffer, mask: WebSocketMask?
    ) {
        source.readWithUnsafeReadableBytes { bytes in
            let bytes = UnsafeRawBufferPointer(rebasing: bytes[..<count])
            if let mask {
                target.writeMasked(bytes, mask: mask)
            } else {
                target.writeBytes(bytes)
            }
            return count
        }
    }

    /// What a frame whose payload is whole amounts to.
    private mutating func end(_ header: WebSocketFrameHeader) throws(WebSocketFailure) -> Event? {
        switch header.opcode {
        case .ping:
            return .ping(control)
        case .pong:
            return .pong
        case .close:
            return try Self.closeEvent(control)
        case .text, .binary, .continuation:
            guard header.isFinal, let message = partial else { return nil }
            partial = nil
            guard message.isText else { return .message(.binary(message.bytes)) }
            guard message.validator.isComplete else { throw .invalidText }
            return .message(.text(String(buffer: message.bytes)))
        }
    }

    private static func closeEvent(_ payload: ByteBuffer) throws(WebSocketFailure) -> Event {
        var payload = payload
        guard payload.readableBytes > 0 else { return .close(code: 1005, reason: "") }
        guard let code: UInt16 = payload.readInteger() else { throw .malformed("a close code of one byte") }
        guard isAllowedOnTheWire(code) else { throw .malformed("a close code that may not be sent") }
        var validator = UTF8Validator()
        guard payload.withUnsafeReadableBytes({ validator.consume($0) }), validator.isComplete else {
            throw .invalidText
        }
        return .close(code: code, reason: String(buffer: payload))
    }

    /// RFC 6455 §7.4 and the IANA registry: 1004, 1005, 1006 and 1015 are never sent, 1016 to 2999 are unassigned.
    private static func isAllowedOnTheWire(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
