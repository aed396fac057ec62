import Crypto
import Testing

@testable import FederationCrypto

extension AEADContext {
    /// In place, on a copy.
    func sealed(_ plaintext: [UInt8], nonce: [UInt8]) throws -> [UInt8] {
        var record = plaintext + [UInt8](repeating: 0xEE, count: AEAD.tagBytes)
        try record.withUnsafeMutableBytes { record in
            try nonce.withUnsafeBytes { try seal(record, nonce: $0) }
        }
        return record
    }

    func opened(_ record: [UInt8], nonce: [UInt8]) throws -> [UInt8] {
        var record = record
        try record.withUnsafeMutableBytes { record in
            try nonce.withUnsafeBytes { try open(record, nonce: $0) }
        }
        return record.dropLast(AEAD.tagBytes)
    }
}

/// Sealing in place, held to swift-crypto's own boxes.
@Suite struct AEADContextTests {
    static let aeads = [AEAD.aes256gcm, .chacha20poly1305]
    /// Every length of a few blocks, and what lies around the strides of wide implementations.
    static let lengths = Array(0...130) + [255, 256, 257, 511, 512, 1_023, 1_024, 1_025, 4_097, 65_552, 1_114_113]

    private let key = SymmetricKey(size: .bits256)
    private let nonce = (0..<AEAD.nonceBytes).map { _ in UInt8.random(in: 0...255) }

    private func plaintext(_ count: Int) -> [UInt8] {
        var random = SystemRandomNumberGenerator()
        var bytes: [UInt8] = []
        while bytes.count < count { withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) } }
        return Array(bytes.prefix(count))
    }

    @Test("in place the same bytes come out as from a box, and go back in", arguments: aeads)
    func oracle(aead: AEAD) throws {
        let context = AEADContext(aead, key: key)
        for count in Self.lengths {
            let plaintext = plaintext(count)
            let sealed = try context.sealed(plaintext, nonce: nonce)
            #expect(sealed == (try aead.seal(plaintext, key: key, nonce: nonce)), "\(count) bytes")
            #expect(try context.opened(sealed, nonce: nonce) == plaintext, "\(count) bytes")
        }
    }

    @Test("a context can be used again and again, with any nonce", arguments: aeads)
    func again(aead: AEAD) throws {
        let context = AEADContext(aead, key: key)
        for number in UInt8.min...UInt8.max {
            let nonce = [UInt8](repeating: number, count: AEAD.nonceBytes)
            let sealed = try context.sealed([number], nonce: nonce)
            #expect(sealed == (try aead.seal([number], key: key, nonce: nonce)))
        }
    }

    @Test("a record that was changed anywhere, or cut, or is of another key or nonce, does not open", arguments: aeads)
    func changed(aead: AEAD) throws {
        let context = AEADContext(aead, key: key)
        let sealed = try context.sealed(plaintext(40), nonce: nonce)
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= UInt8(1) << UInt8(index % 8)
            #expect(throws: AEADContext.Failure.self) { try context.opened(changed, nonce: nonce) }
            #expect(throws: AEADContext.Failure.self) { try context.opened(Array(sealed[..<index]), nonce: nonce) }
        }
        let other = AEADContext(aead, key: SymmetricKey(size: .bits256))
        #expect(throws: AEADContext.Failure.self) { try other.opened(sealed, nonce: nonce) }
        let otherNonce = nonce.map { $0 ^ 1 }
        #expect(throws: AEADContext.Failure.self) { try context.opened(sealed, nonce: otherNonce) }
        // Cut to the tag's own length or not at all: nothing was opened that is empty, either.
        #expect(throws: AEADContext.Failure.self) { try context.opened([], nonce: nonce) }
    }

    @Test("a key or a nonce of another length is refused, not read beyond", arguments: aeads)
    func lengths(aead: AEAD) throws {
        let short = AEADContext(aead, key: SymmetricKey(size: .bits128))
        #expect(throws: (any Error).self) { try short.sealed([1], nonce: nonce) }
        let context = AEADContext(aead, key: key)
        for count in [0, 8, 11, 13, 16] {
            let nonce = [UInt8](repeating: 1, count: count)
            #expect(throws: (any Error).self) { try context.sealed([1], nonce: nonce) }
        }
    }
}
