/// A point of edwards25519 in extended coordinates (RFC 8032 §5.1.4), slow and plain, for ``LenientEd25519``.
struct EdwardsPoint: Equatable {
    private let x: Field25519
    private let y: Field25519
    private let z: Field25519
    private let t: Field25519

    private static let d = -Field25519(121_665) * Field25519(121_666).inverse
    /// 2 to the power of a quarter of the modulus less 1.
    private static let rootOfMinusOne = Field25519(2).power([0xFB] + [UInt8](repeating: 0xFF, count: 30) + [0x1F])
    private static let neutral = EdwardsPoint(x: .zero, y: .one, z: .one, t: .zero)
    /// With y = 4/5 and an even x.
    static let base = EdwardsPoint((Field25519(4) * Field25519(5).inverse).bytes) ?? neutral

    private init(x: Field25519, y: Field25519, z: Field25519, t: Field25519) {
        (self.x, self.y, self.z, self.t) = (x, y, z, t)
    }

    /// RFC 8032 §5.1.3 without its refusals: y may be above the modulus, and x = 0 may have a sign. nil when there is no x.
    init?(_ bytes: [UInt8]) {
        var bytes = bytes
        let isOdd = bytes[31] >> 7 == 1
        bytes[31] &= 0x7F
        let y = Field25519(bytes: bytes)
        let u = y * y - .one
        let v = Self.d * y * y + .one
        let cube = v * v * v
        // To the power of (modulus − 5) / 8.
        let power = (u * cube * cube * v).power([0xFD] + [UInt8](repeating: 0xFF, count: 30) + [0x0F])
        var x = u * cube * power
        if v * x * x != u { x = x * Self.rootOfMinusOne }
        guard v * x * x == u else { return nil }
        if x.isOdd != isOdd { x = -x }
        self.init(x: x, y: y, z: .one, t: x * y)
    }

    /// 32 bytes, canonically.
    var encoded: [UInt8] {
        let inverse = z.inverse
        var bytes = (y * inverse).bytes
        if (x * inverse).isOdd { bytes[31] |= 0x80 }
        return bytes
    }

    static func == (one: EdwardsPoint, other: EdwardsPoint) -> Bool {
        one.x * other.z == other.x * one.z && one.y * other.z == other.y * one.z
    }

    static func + (one: EdwardsPoint, other: EdwardsPoint) -> EdwardsPoint {
        let a = (one.y - one.x) * (other.y - other.x)
        let b = (one.y + one.x) * (other.y + other.x)
        let c = one.t * other.t * (d + d)
        let double = one.z * other.z * Field25519(2)
        let (e, f, g, h) = (b - a, double - c, double + c, b + a)
        return EdwardsPoint(x: e * f, y: g * h, z: f * g, t: e * h)
    }

    /// - Parameter scalar: least significant byte first; not reduced.
    func times(_ scalar: [UInt8]) -> EdwardsPoint {
        var result = Self.neutral
        for byte in scalar.reversed() {
            for bit in (0..<8).reversed() {
                result = result + result
                if byte >> UInt8(bit) & 1 == 1 { result = result + self }
            }
        }
        return result
    }
}
