/// Base64url without padding (RFC 4648 §5, as RFC 7515 §2 uses it). Every value has one text.
public enum Base64URL {
    public static func encode(_ bytes: some Collection<UInt8>) -> String {
        let bytes = Array(bytes)
        let alphabet = alphabet
        var text = [UInt8](repeating: 0, count: (bytes.count * 4 + 2) / 3)
        var (from, to) = (0, 0)
        // Three bytes are four characters.
        while from + 3 <= bytes.count {
            let group = UInt32(bytes[from]) << 16 | UInt32(bytes[from + 1]) << 8 | UInt32(bytes[from + 2])
            text[to] = alphabet[Int(group >> 18)]
            text[to + 1] = alphabet[Int(group >> 12 & 63)]
            text[to + 2] = alphabet[Int(group >> 6 & 63)]
            text[to + 3] = alphabet[Int(group & 63)]
            from += 3
            to += 4
        }
        switch bytes.count - from {
        case 1:
            text[to] = alphabet[Int(bytes[from] >> 2)]
            text[to + 1] = alphabet[Int(bytes[from] << 4 & 63)]
        case 2:
            let group = UInt32(bytes[from]) << 8 | UInt32(bytes[from + 1])
            text[to] = alphabet[Int(group >> 10)]
            text[to + 1] = alphabet[Int(group >> 4 & 63)]
            text[to + 2] = alphabet[Int(group << 2 & 63)]
        default: break
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes that `text` stands for; nil on padding, on any character outside the alphabet, on an impossible
    /// length, and when bits that stand for nothing are not zero.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        let text = Array(text)
        guard text.count % 4 != 1 else { return nil }
        let values = values
        var bytes = [UInt8](repeating: 0, count: text.count * 3 / 4)
        var (from, to) = (0, 0)
        while from + 4 <= text.count {
            let (a, b) = (values[Int(text[from])], values[Int(text[from + 1])])
            let (c, d) = (values[Int(text[from + 2])], values[Int(text[from + 3])])
            guard a | b | c | d < 64 else { return nil }
            bytes[to] = a << 2 | b >> 4
            bytes[to + 1] = b << 4 | c >> 2
            bytes[to + 2] = c << 6 | d
            from += 4
            to += 3
        }
        switch text.count - from {
        case 2:
            let (a, b) = (values[Int(text[from])], values[Int(text[from + 1])])
            guard a | b < 64, b & 15 == 0 else { return nil }
            bytes[to] = a << 2 | b >> 4
        case 3:
            let (a, b, c) = (values[Int(text[from])], values[Int(text[from + 1])], values[Int(text[from + 2])])
            guard a | b | c < 64, c & 3 == 0 else { return nil }
            bytes[to] = a << 2 | b >> 4
            bytes[to + 1] = b << 4 | c >> 2
        default: break
        }
        return bytes
    }

    public static func decode(_ text: String) -> [UInt8]? {
        decode(text.utf8)
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// What each character stands for; over 63 for one that is not of the alphabet.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: .max, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()
}
