import NIOCore

@testable import FederationWebSocket

/// The WebSocket frame reader. The first byte chooses its end and its bounds, the second how the rest, which is the
/// stream, is cut into pieces. However it is cut, the same must come out.
public enum WebSocketTarget: FuzzTarget {
    public static let name = "websocket"

    /// What came out of a reader: events, and the failure that ended it.
    private struct Outcome: Equatable {
        var events: [WebSocketReader.Event] = []
        var failure: WebSocketFailure?
    }

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        var source = ByteSource(input)
        let configuration = configuration(source.byte())
        let seed = source.byte()
        let stream = source.remaining()
        let whole = try read(stream, configuration) { _ in stream.count }
        let pieces = try read(stream, configuration) { position in 1 + (position &* 31 &+ Int(seed)) % 17 }
        try require(whole == pieces, "read at once: \(whole), in pieces: \(pieces)")
        try checkHeader(stream)
        try checkWriter(stream, configuration)
        return !whole.events.isEmpty
    }

    /// Bit 0: the client's end; bits 1 and 2: the kinds taken; bit 3: small bounds.
    private static func configuration(_ options: UInt8) -> WebSocketConfiguration {
        let kinds: [WebSocketConfiguration.Kinds] = [.both, .text, .binary, .both]
        let isSmall = options & 8 != 0
        return WebSocketConfiguration(
            role: options & 1 == 0 ? .server : .client, accepts: kinds[Int(options >> 1 & 3)],
            maximumMessageBytes: isSmall ? 64 : 1 << 20, maximumFragments: isSmall ? 3 : 1_024)
    }

    private static func read(
        _ stream: [UInt8], _ configuration: WebSocketConfiguration, piece: (Int) -> Int
    ) throws(Violation) -> Outcome {
        var reader = WebSocketReader(configuration)
        var outcome = Outcome()
        var position = 0
        while position < stream.count {
            let end = min(stream.count, position + max(1, piece(position)))
            reader.feed(ByteBuffer(bytes: stream[position..<end]))
            position = end
            do {
                while let event = try reader.next() {
                    try check(event, configuration)
                    outcome.events.append(event)
                }
            } catch let violation as Violation {
                throw violation
            } catch {
                outcome.failure = error as? WebSocketFailure
                return outcome
            }
            // A promise costs no more than a first helping; what has arrived costs at most the next power of two.
            try require(
                reader.reservedBytes <= 2 * ((1 << 16) + stream.count), "\(reader.reservedBytes) bytes set aside")
        }
        return outcome
    }

    private static func check(
        _ event: WebSocketReader.Event, _ configuration: WebSocketConfiguration
    ) throws(Violation) {
        switch event {
        case .message(let message):
            try require(
                message.byteCount <= configuration.maximumMessageBytes, "a message of \(message.byteCount) bytes")
            switch message {
            case .text: try require(configuration.accepts != .binary, "text where none is taken")
            case .binary: try require(configuration.accepts != .text, "bytes where none are taken")
            }
        case .ping(let payload):
            try require(payload.readableBytes <= 125, "a ping of \(payload.readableBytes) bytes")
        case .pong:
            break
        case .close(let code, let reason):
            try require((1_000..<5_000).contains(code), "close code \(code)")
            try require(reason.utf8.count <= 123, "a reason of \(reason.utf8.count) bytes")
        }
    }

    /// A header that is read is the one that would be written.
    private static func checkHeader(_ stream: [UInt8]) throws(Violation) {
        var buffer = ByteBuffer(bytes: stream)
        guard let header = try? WebSocketFrameHeader(from: &buffer) else { return }
        var written = ByteBuffer()
        header.write(to: &written)
        try require(
            Array(written.readableBytesView) == Array(stream.prefix(stream.count - buffer.readableBytes)),
            "the header \(header) has two forms")
        try require(written.readableBytes <= WebSocketFrameHeader.maximumBytes, "a header that is too long")
    }

    /// What the other end writes is read as it was meant.
    private static func checkWriter(
        _ payload: [UInt8], _ configuration: WebSocketConfiguration
    ) throws(Violation) {
        guard configuration.accepts != .text, payload.count <= configuration.maximumMessageBytes else { return }
        var writer = WebSocketWriter(role: configuration.role == .server ? .client : .server)
        let ready = writer.write(.binary, ByteBuffer(bytes: payload))
        var stream = ByteBuffer()
        for part in [ready.first, ready.second, writer.takeBatch()].compactMap({ $0 }) {
            stream.writeImmutableBuffer(part)
        }
        let read = try read(Array(stream.readableBytesView), configuration) { _ in 1 << 20 }
        try require(
            read == Outcome(events: [.message(.binary(ByteBuffer(bytes: payload)))]),
            "what was written reads as \(read)")
    }

    public static func seeds() -> [[UInt8]] {
        let mask: [UInt8] = [1, 2, 3, 4]
        func frame(_ first: UInt8, _ payload: [UInt8], isMasked: Bool) -> [UInt8] {
            let long: [UInt8] = [UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
            let length: [UInt8] = payload.count < 126 ? [UInt8(payload.count)] : [126] + long
            guard isMasked else { return [first] + length + payload }
            let masked = payload.enumerated().map { $0.element ^ mask[$0.offset & 3] }
            return [first, length[0] | 0x80] + length.dropFirst() + mask + masked
        }
        let text = Array("é – 😀".utf8)
        return [true, false].flatMap { isMasked -> [[UInt8]] in
            let options: UInt8 = isMasked ? 0 : 1
            let fragments =
                frame(0x01, Array(text.prefix(4)), isMasked: isMasked) + frame(0x89, [7], isMasked: isMasked)
                + frame(0x80, Array(text.dropFirst(4)), isMasked: isMasked)
            return [
                [options, 3] + frame(0x81, text, isMasked: isMasked) + frame(0x8A, [], isMasked: isMasked),
                [options | 8, 5] + fragments,
                [options | 4, 7] + frame(0x82, [UInt8](repeating: 5, count: 300), isMasked: isMasked),
                [options | 2, 1] + frame(0x88, [0x03, 0xE8] + Array("bye".utf8), isMasked: isMasked),
                [options | 8, 0] + frame(0x02, [1], isMasked: isMasked) + frame(0x80, [2], isMasked: isMasked),
            ]
        }
    }
}
