import Crypto
public import FederationModel

extension PublicKey {
    /// Whether `signature` is this key's Ed25519 signature over `message` for `use`.
    ///
    /// Stricter than RFC 8032 §5.1.7 demands: besides a non-canonical S (malleable), a public key or an R that is not
    /// canonically encoded or has a small order is refused, so that nobody can present a signature that verifies
    /// under several keys or over several messages.
    public func isValidSignature(_ signature: [UInt8], for use: SignatureUse, over message: [UInt8]) -> Bool {
        guard let bytes = use.signedBytes(message) else { return false }
        return isValidEd25519(signature, over: bytes)
    }

    /// Whether the 32 bytes can be a key at all: canonically encoded and not of small order. Whether they are a point
    /// of the curve is only found out by verifying.
    public var isAcceptable: Bool { isAcceptablePoint(bytes) }

    func isValidEd25519(_ signature: [UInt8], over bytes: [UInt8]) -> Bool {
        guard signature.count == 64, isAcceptable, isAcceptablePoint(Array(signature.prefix(32))),
            let key = try? Curve25519.Signing.PublicKey(rawRepresentation: self.bytes)
        else { return false }
        return key.isValidSignature(signature, for: bytes)
    }
}

/// Whether an encoded point has y < p and is none of the eight points of small order.
private func isAcceptablePoint(_ encoded: [UInt8]) -> Bool {
    guard encoded.count == 32 else { return false }
    var y = encoded
    y[31] &= 0x7F
    // p = 2^255 - 19: ed ff … ff 7f, little-endian.
    if y[31] == 0x7F, y[1..<31].allSatisfy({ $0 == 0xFF }), y[0] >= 0xED { return false }
    return !smallOrderY.contains(y)
}

/// The y coordinates of the points of order 1, 2, 4 and 8, little-endian, sign bit cleared.
private let smallOrderY: [[UInt8]] = [
    [1] + [UInt8](repeating: 0, count: 31),
    [0xEC] + [UInt8](repeating: 0xFF, count: 30) + [0x7F],
    [UInt8](repeating: 0, count: 32),
    [
        0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF, 0x98, 0xF0,
        0xD5, 0xDF, 0xAC, 0x05, 0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88, 0x6D, 0x53, 0xFC, 0x05,
    ],
    [
        0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10, 0x67, 0x0F,
        0x2A, 0x20, 0x53, 0xFA, 0x2C, 0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77, 0x92, 0xAC, 0x03, 0x7A,
    ],
]
