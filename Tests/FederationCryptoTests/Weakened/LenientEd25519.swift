import Crypto

/// Ed25519 (RFC 8032 §5.1) without the checks that leave no doubt: S need not be reduced, encodings need not be canonical,
/// points may be of small order. What it accepts and the real one refuses is what the checks are for.
struct LenientEd25519 {
    /// Whether both sides are multiplied by the cofactor before they are compared, which RFC 8032 §5.1.7 leaves open.
    var isCofactored = false
    /// Whether points are hashed in their canonical encoding, and not as they came.
    var hashesCanonically = false

    /// Each combination.
    static let all = [false, true].flatMap { isCofactored in
        [false, true].map { LenientEd25519(isCofactored: isCofactored, hashesCanonically: $0) }
    }

    func accepts(_ signature: [UInt8], over message: [UInt8], key: [UInt8]) -> Bool {
        let (first, scalar) = (Array(signature[..<32]), Array(signature[32...]))
        guard let key = EdwardsPoint(key).map({ (point: $0, bytes: key) }), let r = EdwardsPoint(first) else {
            return false
        }
        let hashed = hashesCanonically ? r.encoded + key.point.encoded : first + key.bytes
        let challenge = Self.reduced(Array(SHA512.hash(data: hashed + message)))
        let (left, right) = (EdwardsPoint.base.times(scalar), r + key.point.times(challenge))
        return isCofactored ? left.times([8]) == right.times([8]) : left == right
    }

    /// The order of the base point, least significant byte first.
    static let order: [UInt8] =
        [0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14]
        + [UInt8](repeating: 0, count: 15) + [0x10]

    /// A number of any length modulo ``order``, bit by bit.
    private static func reduced(_ number: [UInt8]) -> [UInt8] {
        var rest = [UInt8](repeating: 0, count: 32)
        for byte in number.reversed() {
            for bit in (0..<8).reversed() {
                var carry = byte >> UInt8(bit) & 1
                for index in rest.indices { (rest[index], carry) = (rest[index] << 1 | carry, rest[index] >> 7) }
                if !rest.reversed().lexicographicallyPrecedes(order.reversed()) { rest = difference(rest, order) }
            }
        }
        return rest
    }

    private static func difference(_ one: [UInt8], _ other: [UInt8]) -> [UInt8] {
        var borrow = 0
        return zip(one, other).map { minuend, subtrahend in
            let value = Int(minuend) - Int(subtrahend) - borrow
            borrow = value < 0 ? 1 : 0
            return UInt8(value & 0xFF)
        }
    }
}
