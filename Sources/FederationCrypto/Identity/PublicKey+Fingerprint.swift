import Crypto
public import FederationModel

extension PublicKey {
    /// The key in a form that two people can compare aloud: the first 160 bits of its SHA-256 in lower-case base32
    /// (RFC 4648 §6), as eight groups of four characters: `k3xq-7aab-…`.
    public var fingerprint: String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
        var text: [UInt8] = []
        var buffer = 0
        var bits = 0
        for byte in SHA256.hash(data: bytes).prefix(20) {
            buffer = (buffer << 8 | Int(byte)) & 0xFFFF
            bits += 8
            while bits >= 5 {
                bits -= 5
                if text.count % 5 == 4 { text.append(0x2D) }
                text.append(alphabet[buffer >> bits & 31])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
