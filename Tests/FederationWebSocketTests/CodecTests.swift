import NIOCore
import NIOWebSocket
import TestKit
import Testing

@testable import FederationWebSocket

@Suite struct CodecTests {
    @Test("masking agrees with NIO's at every length and offset", arguments: 0..<40)
    func masking(count: Int) {
        let plain = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) }
        let key: [UInt8] = [0x0F, 0xA0, 0x5C, 0x93]
        let mask = WebSocketMask(littleEndianKey: ByteBuffer(bytes: key).getInteger(at: 0, endianness: .little) ?? 0)
        var expected = ByteBuffer(bytes: plain)
        expected.webSocketMask([0x0F, 0xA0, 0x5C, 0x93])
        for split in 0...count {
            var masked = ByteBuffer()
            plain[..<split].withUnsafeBytes { masked.writeMasked($0, mask: mask) }
            plain[split...].withUnsafeBytes { masked.writeMasked($0, mask: mask.advanced(by: split)) }
            #expect(masked == expected)
        }
    }

    @Test("UTF-8 is judged as the standard library judges it, in one piece and byte by byte")
    func utf8() {
        var generator = SeededGenerator(seed: 7)
        let interesting: [UInt8] = [
            0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
            0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ]
        var valid = 0
        for _ in 0..<200_000 {
            let bytes = (0..<Int.random(in: 1...5, using: &generator)).map { _ in
                interesting[Int.random(in: 0..<interesting.count, using: &generator)]
            }
            let isValid = String(validating: bytes, as: UTF8.self) != nil
            valid += isValid ? 1 : 0
            #expect(judge(bytes, pieces: bytes.count) == isValid && judge(bytes, pieces: 1) == isValid, "\(bytes)")
        }
        #expect(valid > 1_000)
    }

    @Test("long text is checked to its end", arguments: 0..<20)
    func longText(position: Int) {
        var bytes = Array(repeating: UInt8(0x61), count: 20)
        #expect(judge(bytes, pieces: 20))
        bytes[position] = 0xFF
        #expect(!judge(bytes, pieces: 20))
    }

    private func judge(_ bytes: [UInt8], pieces: Int) -> Bool {
        var validator = UTF8Validator()
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            let isValid = bytes[start..<min(start + pieces, bytes.count)].withUnsafeBytes { validator.consume($0) }
            guard isValid else { return false }
        }
        return validator.isComplete
    }

    @Test(
        "what a writer writes, NIO's decoder and the reader read",
        arguments: [WebSocketRole.client, .server], [0, 1, 125, 126, 65_535, 65_536, 200_000])
    func roundTrip(role: WebSocketRole, count: Int) throws {
        let payload = ByteBuffer(bytes: (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        var writer = WebSocketWriter(role: role)
        var wire = ByteBuffer()
        for _ in 0..<2 {
            let ready = writer.write(.binary, payload)
            for var piece in [ready.first, ready.second].compactMap({ $0 }) { wire.writeBuffer(&piece) }
        }
        if var rest = writer.takeBatch() { wire.writeBuffer(&rest) }
        #expect(writer.takeBatch() == nil)
        let configuration = WebSocketConfiguration(role: role == .client ? .server : .client)
        #expect(
            try events(Array(wire.readableBytesView), configuration)
                == [.message(.binary(payload)), .message(.binary(payload))])
        let size = count < 126 ? 2 : count < 65_536 ? 4 : 10
        #expect(wire.readableBytes == 2 * (size + (role == .client ? 4 : 0) + count))
    }

    @Test("no two frames share a mask")
    func freshMasks() {
        var writer = WebSocketWriter(role: .client)
        for _ in 0..<1_000 { _ = writer.write(.binary, ByteBuffer()) }
        let wire = Array(writer.takeBatch()?.readableBytesView ?? ByteBuffer().readableBytesView)
        let keys = Set(stride(from: 2, to: wire.count, by: 6).map { Array(wire[$0..<$0 + 4]) })
        #expect(keys.count > 990)
    }
}
