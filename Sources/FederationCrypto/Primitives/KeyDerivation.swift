import Crypto

/// Every label under which bytes are hashed or keys derived. One use, one label; changing a label is a new protocol
/// version.
enum Label {
    static let hello = "aether-federation v1 hello"
    static let transcript = "aether-federation v1 transcript"
    static let lowToHighKey = "aether-federation v1 low-to-high key"
    static let lowToHighIV = "aether-federation v1 low-to-high iv"
    static let highToLowKey = "aether-federation v1 high-to-low key"
    static let highToLowIV = "aether-federation v1 high-to-low iv"
    static let exporter = "aether-federation v1 exporter"
    static let export = "aether-federation v1 export"
    static let rekeyKey = "aether-federation v1 rekey key"
    static let rekeyIV = "aether-federation v1 rekey iv"
    static let identityExchange = "aether-federation v1 identity key exchange"
}

/// HKDF-SHA256 (RFC 5869), extract and expand. `count` is at most 8160 bytes.
func deriveKey(from secret: SymmetricKey, salt: [UInt8] = [], info: [UInt8], count: Int) -> SymmetricKey {
    expandKey(extractKey(from: secret, salt: salt), info: info, count: count)
}

/// HKDF-Extract (RFC 5869 §2.2): the pseudorandom key, from which everything derived under `salt` can be found.
func extractKey(from secret: SymmetricKey, salt: [UInt8]) -> SymmetricKey {
    var code = KeyedHash(key: SymmetricKey(data: salt))
    secret.withUnsafeBytes { code.update($0) }
    return code.finalize()
}

/// What HKDF-SHA256 gives at most, in bytes (RFC 5869 §2.3): 255 blocks.
let derivedBytesMaximum = 255 * SHA256.byteCount

/// HKDF-Expand (RFC 5869 §2.3). `count` is at most ``derivedBytesMaximum``, which callers know: no peer chooses it.
func expandKey(_ key: SymmetricKey, info: [UInt8], count: Int) -> SymmetricKey {
    guard let expanded = expandedKey(key, info: info, count: count) else {
        preconditionFailure("HKDF-SHA256 gives at most 8160 bytes")
    }
    return expanded
}

/// HKDF-Expand (RFC 5869 §2.3); nil where `count` is more than ``derivedBytesMaximum``.
func expandedKey(_ key: SymmetricKey, info: [UInt8], count: Int) -> SymmetricKey? {
    guard (0...derivedBytesMaximum).contains(count) else { return nil }
    let blocks = (count + SHA256.byteCount - 1) / SHA256.byteCount
    var output: [UInt8] = []
    // Reserved at once, so that growing leaves no copy behind.
    output.reserveCapacity(blocks * SHA256.byteCount)
    var block: SymmetricKey?
    for number in 0..<blocks {
        var code = KeyedHash(key: key)
        block?.withUnsafeBytes { code.update($0) }
        info.withUnsafeBytes { code.update($0) }
        withUnsafeBytes(of: UInt8(number + 1)) { code.update($0) }
        let next = code.finalize()
        next.withUnsafeBytes { output.append(contentsOf: $0) }
        block = next
    }
    defer { overwrite(&output) }
    return output.withUnsafeBytes { SymmetricKey(data: UnsafeRawBufferPointer(rebasing: $0.prefix(count))) }
}

func deriveKey(from secret: SymmetricKey, salt: [UInt8] = [], label: String, count: Int) -> SymmetricKey {
    deriveKey(from: secret, salt: salt, info: Array(label.utf8), count: count)
}

/// SHA-256 over length-prefixed fields, the label first.
func hashFields(_ label: String, _ fields: [UInt8]...) -> [UInt8] {
    var writer = FieldWriter(capacity: fields.reduce(label.utf8.count + 2) { $0 + $1.count + 2 })
    writer.field(label.utf8)
    for field in fields { writer.field(field) }
    return Array(SHA256.hash(data: writer.bytes))
}
