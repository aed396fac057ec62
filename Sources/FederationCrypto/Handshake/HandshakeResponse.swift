public import FederationModel

/// Signature, the second message each way: the sender's long-lived keys, the answer to the peer's encapsulation key,
/// and the proof that all of it belongs to this one handshake. Its layout is in PROTOCOL.md; one value has one
/// encoding.
public struct HandshakeResponse: Hashable, Sendable {
    static let kind: UInt8 = 2

    /// Ed25519; the receiver compares it with the key that it has bound to the sender's id.
    public let signingKey: PublicKey
    /// The long-lived X25519 key, 32 bytes.
    public let exchangeKey: [UInt8]
    /// ML-KEM-768, 1088 bytes; empty in a classical suite.
    public let ciphertext: [UInt8]
    /// Ed25519, 64 bytes.
    public let signature: [UInt8]

    func encoded() -> [UInt8] {
        var writer = FieldWriter(capacity: 1_536)
        writer.integer(Self.kind)
        writer.field(signingKey.bytes)
        writer.field(exchangeKey)
        writer.field(ciphertext)
        writer.field(signature)
        return writer.bytes
    }

    static func decode(
        _ bytes: [UInt8], suite: CipherSuite
    ) throws(Handshake.Failure) -> HandshakeResponse {
        guard bytes.count <= Limits.handshakeMessageBytes else { throw .oversized(bytes.count) }
        var reader = FieldReader(bytes)
        let kind: UInt8 = try reader.integer("the kind of message")
        guard kind == Self.kind else { throw .invalidState("a message of kind \(kind) where Signature is due") }
        let signingKey = PublicKey(bytes: try reader.field("signing_key", length: 32))
        let exchangeKey = try reader.field("kex_key", length: X25519.keyBytes)
        let ciphertext = try reader.field(
            "kem_ciphertext", length: suite.isHybrid ? KeyEncapsulation.ciphertextBytes : 0)
        let signature = try reader.field("signature", length: 64)
        try reader.finish()
        guard let signingKey, signingKey.isAcceptable else { throw .malformed("signing_key is not a usable key") }
        return HandshakeResponse(
            signingKey: signingKey, exchangeKey: exchangeKey, ciphertext: ciphertext, signature: signature)
    }
}
