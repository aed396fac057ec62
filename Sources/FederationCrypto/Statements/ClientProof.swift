public import FederationModel

/// How a player's client shows that it holds the key a token names (`cnf`, RFC 7800): it signs the destination's
/// challenge together with the token's id, which is the handoff's. A stolen token alone is then useless.
public enum ClientProof {
    /// The length of a challenge in bytes. The server draws a new one for every connection.
    public static let challengeBytes = 32

    /// The bytes that the client signs with Ed25519: label, challenge and token id (16 bytes), each with its length
    /// in front.
    public static func signedBytes(challenge: [UInt8], handoff: HandoffID) -> [UInt8] {
        guard let bytes = SignatureUse.clientProof.signedBytes(message(challenge, handoff)) else {
            preconditionFailure("a message has signed bytes")
        }
        return bytes
    }

    /// Whether `signature` is the proof of `key` for this challenge and handoff.
    public static func isValid(_ signature: [UInt8], challenge: [UInt8], handoff: HandoffID, key: PublicKey) -> Bool {
        guard challenge.count == challengeBytes else { return false }
        return key.isValidSignature(signature, for: .clientProof, over: message(challenge, handoff))
    }

    private static func message(_ challenge: [UInt8], _ handoff: HandoffID) -> [UInt8] {
        var writer = FieldWriter()
        writer.field(challenge)
        writer.field(handoff.bytes)
        return writer.bytes
    }
}
