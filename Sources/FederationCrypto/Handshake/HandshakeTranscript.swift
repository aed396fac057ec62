import FederationModel

/// A side of the handshake. It comes from the order of the ephemeral keys, so both ends agree on it whoever dialled.
enum HandshakeRole: String, Sendable {
    case low
    case high
}

/// The hash of both Hellos, `helloHash` in PROTOCOL.md, over the exact bytes that were sent and received.
func canonicalTranscript(low: [UInt8], high: [UInt8]) -> [UInt8] {
    hashFields(Label.hello, low, high)
}

/// The hash of the whole handshake, `transcript` in PROTOCOL.md: it holds both Hellos, both identities and both
/// answers.
func completeTranscript(helloHash: [UInt8], lowSignature: [UInt8], highSignature: [UInt8]) -> [UInt8] {
    hashFields(Label.transcript, helloHash, lowSignature, highSignature)
}

/// What a side signs, after the label: its role, the Hellos, and every field of its own identity and answer.
func signedTranscript(
    role: HandshakeRole, helloHash: [UInt8], server: ServerID, signingKey: PublicKey, exchangeKey: [UInt8],
    ciphertext: [UInt8]
) -> [UInt8] {
    var writer = FieldWriter(capacity: 1_536)
    writer.field(role.rawValue.utf8)
    writer.field(helloHash)
    writer.field(server.rawValue.utf8)
    writer.field(signingKey.bytes)
    writer.field(exchangeKey)
    writer.field(ciphertext)
    return writer.bytes
}
