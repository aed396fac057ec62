import FederationModel
import TestKit
import Testing

@testable import FederationCrypto

/// Base64url one bit after the other: what ``Base64URL``, which takes whole groups, must agree with.
private enum BitwiseBase64URL {
    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        var (buffer, bits): (UInt32, UInt32) = (0, 0)
        for byte in bytes {
            buffer = buffer << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(alphabet[Int(buffer >> bits & 63)])
            }
            buffer &= (1 << bits) - 1
        }
        if bits > 0 { text.append(alphabet[Int(buffer << (6 - bits) & 63)]) }
        return String(decoding: text, as: UTF8.self)
    }

    static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        var (buffer, bits): (UInt32, UInt32) = (0, 0)
        for character in text {
            guard let value = alphabet.firstIndex(of: character) else { return nil }
            buffer = buffer << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: buffer >> bits))
                buffer &= (1 << bits) - 1
            }
        }
        return buffer == 0 ? bytes : nil
    }

    static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
}

@Suite("Codecs against their plain versions")
struct PlainCodecTests {
    @Test("base64url agrees with the bitwise one, for texts that are right", arguments: 0..<100)
    func rightTexts(length: Int) throws {
        var random = SeededGenerator(seed: UInt64(length))
        for _ in 0..<20 {
            let bytes = random.bytes(length)
            let text = Base64URL.encode(bytes)
            #expect(text == BitwiseBase64URL.encode(bytes))
            #expect(Base64URL.decode(text) == bytes)
            // A part of a larger text does not begin at 0.
            let larger = Array("..\(text)..".utf8)
            #expect(Base64URL.decode(larger[2..<(larger.count - 2)]) == bytes)
        }
    }

    @Test("base64url agrees with the bitwise one, whichever byte stands at whichever place", arguments: 1..<12)
    func anyTexts(length: Int) {
        for place in 0..<length {
            for byte in UInt8.min...UInt8.max {
                var text = [UInt8](repeating: 0x41, count: length)
                text[place] = byte
                #expect(Base64URL.decode(text) == BitwiseBase64URL.decode(text), "\(text)")
            }
        }
    }

    /// An escape at the end takes the way that every string once took.
    @Test("a string reads the same with and without an escape behind it", arguments: 0..<12)
    func strings(length: Int) throws {
        for place in 0..<max(length, 1) {
            for byte in UInt8.min...UInt8.max where byte != 0x22 && byte != 0x5C {
                var inside = [UInt8](repeating: 0x61, count: length)
                if length > 0 { inside[place] = byte }
                let plain = try? JSONValue.parse([0x22] + inside + [0x22])
                let escaped = try? JSONValue.parse([0x22] + inside + Array(#"\n""#.utf8))
                #expect(plain?.text.map { $0 + "\n" } == escaped?.text, "\(inside)")
            }
        }
    }

    @Test("a statement's header is the same whether it was made beforehand or now")
    func headers() throws {
        let identity = try Sample.identity(Sample.alpha, 1)
        for use in SignatureUse.allCases {
            let header = identity.statementHeaders[use]
            #expect(header == (use.isStatement ? CompactJWS.header(use, key: identity.publicKey) : nil), "\(use)")
            guard let header else { continue }
            // What is signed is what the check of the header lets pass.
            #expect(CompactJWS.hasHeader(of: use, Array("\(header).e30".utf8)))
            let text = CompactJWS.sign([:], for: use, by: identity)
            #expect(text.hasPrefix("\(header).e30."))
            #expect(try CompactJWS.verify(text, for: use, key: identity.publicKey) == [:])
        }
    }
}
