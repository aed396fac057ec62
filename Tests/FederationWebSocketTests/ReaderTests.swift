import NIOCore
import Testing

@testable import FederationWebSocket

/// Bytes of a frame as a client would send it, masked with a fixed key.
func masked(_ first: UInt8, _ payload: [UInt8], key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]) -> [UInt8] {
    var frame: [UInt8] = [first]
    switch payload.count {
    case ...125: frame.append(0x80 | UInt8(payload.count))
    case ...0xFFFF: frame += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    default: frame += [0x80 | 127] + (0..<8).reversed().map { UInt8(payload.count >> ($0 * 8) & 255) }
    }
    return frame + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
}

/// Everything a reader makes of `bytes` when they come in pieces of `size`.
func events(
    _ bytes: [UInt8], pieces size: Int = Int.max, _ configuration: WebSocketConfiguration = .init(role: .server)
) throws(WebSocketFailure) -> [WebSocketReader.Event] {
    var reader = WebSocketReader(configuration)
    var events: [WebSocketReader.Event] = []
    var rest = bytes[...]
    while !rest.isEmpty {
        reader.feed(ByteBuffer(bytes: rest.prefix(size)))
        rest = rest.dropFirst(size)
        while let event = try reader.next() { events.append(event) }
    }
    return events
}

@Suite struct ReaderTests {
    @Test("a conversation reads the same in pieces of any size", arguments: [1, 2, 3, 5, 7, 64, 1_000, Int.max])
    func pieces(size: Int) throws {
        let long = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let bytes =
            masked(0x81, Array("Hello".utf8)) + masked(0x01, Array("über".utf8.prefix(1))) + masked(0x89, [1, 2])
            + masked(0x80, Array("über".utf8.dropFirst(1))) + masked(0x8A, []) + masked(0x82, long) + masked(0x82, [])
            + masked(0x82, Array(long.prefix(300))) + masked(0x88, [0x03, 0xE8] + Array("bye".utf8))
        #expect(
            try events(bytes, pieces: size) == [
                .message(.text("Hello")), .ping(ByteBuffer(bytes: [1, 2])), .message(.text("über")), .pong,
                .message(.binary(ByteBuffer(bytes: long))), .message(.binary(ByteBuffer())),
                .message(.binary(ByteBuffer(bytes: long.prefix(300)))), .close(code: 1000, reason: "bye"),
            ])
    }

    @Test("a client takes unmasked frames", arguments: [1, 4, Int.max])
    func client(size: Int) throws {
        let bytes: [UInt8] = [0x81, 2, 0x68, 0x69, 0x02, 1, 9, 0x80, 1, 8, 0x88, 0]
        #expect(
            try events(bytes, pieces: size, .init(role: .client)) == [
                .message(.text("hi")), .message(.binary(ByteBuffer(bytes: [9, 8]))), .close(code: 1005, reason: ""),
            ])
    }

    @Test("a peer that breaks the protocol is found out", arguments: faults, [1, Int.max])
    func fault(_ fault: Fault, size: Int) {
        let limits = WebSocketConfiguration(role: .server, maximumMessageBytes: 100, maximumFragments: 4)
        #expect(throws: fault.failure) { try events(fault.bytes, pieces: size, limits) }
    }

    @Test("what stands exactly at a bound is taken")
    func bounds() throws {
        let limits = WebSocketConfiguration(role: .server, maximumMessageBytes: 100, maximumFragments: 4)
        let hundred = Array(repeating: UInt8(0), count: 100)
        let bytes =
            masked(0x82, hundred) + masked(0x02, []) + masked(0x00, hundred) + masked(0x00, []) + masked(0x80, [])
        #expect(
            try events(bytes, limits) == [
                .message(.binary(.init(bytes: hundred))), .message(.binary(.init(bytes: hundred))),
            ])
    }

    @Test("a fault in text is found before the message is whole")
    func earlyFault() {
        var reader = WebSocketReader(.init(role: .server))
        reader.feed(ByteBuffer(bytes: masked(0x81, [0x61, 0xF8] + Array(repeating: 0x61, count: 1_000)).prefix(10)))
        #expect(throws: WebSocketFailure.invalidText) { _ = try reader.next() }
    }

    @Test(
        "only the kinds that are wanted are taken",
        arguments: [(WebSocketConfiguration.Kinds.text, UInt8(0x82)), (.binary, 0x81)])
    func kinds(accepts: WebSocketConfiguration.Kinds, first: UInt8) {
        let limits = WebSocketConfiguration(role: .server, accepts: accepts)
        #expect(throws: WebSocketFailure.unacceptableKind) {
            try events(masked(first, [0x61]), limits)
        }
    }

    @Test("a promise of much costs little memory")
    func promisedBytes() throws {
        var reader = WebSocketReader(.init(role: .server, maximumMessageBytes: 1 << 30))
        reader.feed(ByteBuffer(bytes: [0x82, 0xFF, 0, 0, 0, 0, 0x3F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 7]))
        #expect(try reader.next() == nil)
        #expect(reader.reservedBytes <= 1 << 17)
    }
}

struct Fault: Sendable, CustomTestStringConvertible {
    let what: String
    let bytes: [UInt8]
    let failure: WebSocketFailure
    var testDescription: String { what }
}

private let faults = [
    Fault(what: "first reserved bit", bytes: masked(0xC1, [1]), failure: .malformed("a reserved bit is set")),
    Fault(what: "last reserved bit", bytes: masked(0x92, [1]), failure: .malformed("a reserved bit is set")),
    Fault(what: "opcode 3", bytes: masked(0x83, []), failure: .malformed("reserved opcode")),
    Fault(what: "opcode 11", bytes: masked(0x8B, []), failure: .malformed("reserved opcode")),
    Fault(what: "fragmented ping", bytes: masked(0x09, []), failure: .malformed("a fragmented control frame")),
    Fault(
        what: "ping of 126 bytes", bytes: masked(0x89, Array(repeating: 0, count: 126)),
        failure: .malformed("a long control frame")),
    Fault(what: "no mask", bytes: [0x82, 1, 0], failure: .wrongMasking),
    Fault(
        what: "125 in two bytes", bytes: [0x82, 0xFE, 0, 125, 0, 0, 0, 0],
        failure: .malformed("a length that is not in its shortest form")),
    Fault(
        what: "65535 in eight bytes", bytes: [0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0],
        failure: .malformed("a length that is not in its shortest form")),
    Fault(
        what: "a length with the top bit", bytes: [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        failure: .malformed("a length beyond 63 bits")),
    Fault(
        what: "a length of an exabyte", bytes: [0x82, 0xFF, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        failure: .oversized),
    Fault(what: "continuation first", bytes: masked(0x80, [1]), failure: .malformed("a continuation of nothing")),
    Fault(
        what: "message in a message", bytes: masked(0x01, [0x61]) + masked(0x81, [0x62]),
        failure: .malformed("a new message inside another")),
    Fault(
        what: "half a close code", bytes: masked(0x88, [3]), failure: .malformed("a close code of one byte")),
    Fault(
        what: "close code 1005", bytes: masked(0x88, [0x03, 0xED]),
        failure: .malformed("a close code that may not be sent")),
    Fault(
        what: "close code 2999", bytes: masked(0x88, [0x0B, 0xB7]),
        failure: .malformed("a close code that may not be sent")),
    Fault(what: "close reason not UTF-8", bytes: masked(0x88, [0x03, 0xE8, 0xFF]), failure: .invalidText),
    Fault(what: "text not UTF-8", bytes: masked(0x81, [0x61, 0xC0, 0xAF]), failure: .invalidText),
    Fault(what: "text cut in a character", bytes: masked(0x81, [0xE2, 0x82]), failure: .invalidText),
    Fault(
        what: "101 bytes where 100 are allowed", bytes: masked(0x82, Array(repeating: 0, count: 101)),
        failure: .oversized),
    Fault(
        what: "101 bytes in two fragments",
        bytes: masked(0x02, Array(repeating: 0, count: 100)) + masked(0x80, [0]), failure: .oversized),
    Fault(
        what: "five fragments where four are allowed",
        bytes: masked(0x02, []) + masked(0x00, []) + masked(0x00, []) + masked(0x00, []) + masked(0x80, []),
        failure: .tooManyFragments),
]
