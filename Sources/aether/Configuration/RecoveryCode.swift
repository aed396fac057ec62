import FederationCrypto
import FederationModel
import Foundation

/// A recovery key in the form in which people write it down: 32 bytes and four characters of checksum in base32 (RFC 4648 §6,
/// lower case), in fourteen groups of four.
struct RecoveryCode {
    private let seed: [UInt8]

    /// A fresh one.
    init() {
        seed = SystemRandom.bytes(ServerIdentity.seedBytes)
    }

    /// Reads what a person has typed: case, spaces and dashes do not matter.
    ///
    /// - Throws: `recovery.malformed` for anything else, a mistyped one among it.
    init(_ text: String) throws {
        let digits = text.lowercased().utf8.filter { !Self.separators.contains($0) }
        guard digits.count == Self.digits, let bytes = Self.decode(Array(digits.prefix(Self.seedDigits))),
            Array(digits.suffix(4)) == Self.checksum(bytes)
        else {
            throw Refusal(
                .invalid, code: "recovery.malformed", reason: "that is not a recovery key, or a character is mistyped",
                remedy: "type the fourteen groups of four that aether init has printed")
        }
        seed = bytes
    }

    /// For writing down.
    var text: String {
        let digits = Self.encode(seed) + Self.checksum(seed)
        return stride(from: 0, to: digits.count, by: 4)
            .map { String(decoding: digits[$0..<($0 + 4)], as: UTF8.self) }
            .joined(separator: "-")
    }

    /// The key as one that signs for a server.
    func identity(of id: ServerID) throws -> ServerIdentity {
        try ServerIdentity(id: id, seed: seed)
    }

    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
    private static let separators = Array(" -\t\r\n".utf8)
    private static let seedDigits = 52
    private static let digits = 56

    private static func checksum(_ seed: [UInt8]) -> [UInt8] {
        Array(encode(Array(ContentHash.of(seed).bytes.prefix(3))).prefix(4))
    }

    private static func encode(_ bytes: [UInt8]) -> [UInt8] {
        var digits: [UInt8] = []
        var buffer = 0
        var bits = 0
        for byte in bytes {
            buffer = (buffer << 8 | Int(byte)) & 0xFFFF
            bits += 8
            while bits >= 5 {
                bits -= 5
                digits.append(alphabet[buffer >> bits & 31])
            }
        }
        if bits > 0 { digits.append(alphabet[buffer << (5 - bits) & 31]) }
        return digits
    }

    /// Nil for a character outside the alphabet, and where the bits beyond the last byte are not zero.
    private static func decode(_ digits: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = 0
        var bits = 0
        for digit in digits {
            guard let value = alphabet.firstIndex(of: digit) else { return nil }
            buffer = (buffer << 5 | value) & 0xFFFF
            bits += 5
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: buffer >> bits))
            }
        }
        return buffer & (1 << bits - 1) == 0 ? bytes : nil
    }
}
