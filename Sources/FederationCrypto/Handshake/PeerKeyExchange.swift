import Crypto

/// The two encapsulated secrets of a hybrid handshake, by role.
struct EncapsulatedSecrets: ~Copyable {
    /// What the low side encapsulated.
    let low: SecretBytes
    /// What the high side encapsulated.
    let high: SecretBytes
}

/// The secret of the channel: `X25519(e,E) ‖ X25519(k,K) ‖ z_low ‖ z_high`, the last two only in hybrid suites.
/// Symmetric: both sides get the same bytes whoever dialled.
///
/// The ephemeral exchange and the encapsulations give forward secrecy; the exchange of long-lived keys keeps the channel
/// closed also where a side's fresh keys could be guessed. Against a stolen signing key it does nothing: that key signs
/// whatever exchange key its thief likes.
func peerKeyExchange(
    ephemeral: Curve25519.KeyAgreement.PrivateKey, peerEphemeral: [UInt8], identity: ServerIdentity,
    peerExchange: [UInt8], encapsulated: consuming EncapsulatedSecrets?
) throws(Handshake.Failure) -> SecretBytes {
    guard let ephemeralSecret = X25519.agree(ephemeral, with: peerEphemeral),
        let identitySecret = identity.agree(with: peerExchange)
    else { throw .weakKey }
    var secret: [UInt8] = []
    // Reserved at once, so that growing leaves no copy behind.
    secret.reserveCapacity(128)
    append(ephemeralSecret, to: &secret)
    append(identitySecret, to: &secret)
    if let encapsulated = consume encapsulated {
        append(encapsulated.low.key, to: &secret)
        append(encapsulated.high.key, to: &secret)
    }
    return SecretBytes(taking: &secret)
}

private func append(_ key: SymmetricKey, to bytes: inout [UInt8]) {
    key.withUnsafeBytes { bytes.append(contentsOf: $0) }
}
