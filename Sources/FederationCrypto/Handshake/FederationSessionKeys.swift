import Crypto

/// The keys of a channel as one side sees them. They cannot be copied, and are overwritten when they die.
public struct FederationSessionKeys: ~Copyable, Sendable {
    /// What this side seals with.
    let outbound: TrafficKey
    /// What this side opens with.
    let inbound: TrafficKey

    /// The key schedule: one HKDF label for each key, IV and direction. The direction comes from the role, so one
    /// side's outbound key is the other's inbound key.
    init(secret: borrowing SecretBytes, transcript: [UInt8], suite: CipherSuite, role: HandshakeRole) {
        self.init(KeySchedule(secret: secret, transcript: transcript), suite: suite, role: role)
    }

    init(_ schedule: borrowing KeySchedule, suite: CipherSuite, role: HandshakeRole) {
        let lowToHigh = TrafficKey(
            aead: suite.aead, key: schedule.derive(Label.lowToHighKey, count: AEAD.keyBytes),
            iv: schedule.derive(Label.lowToHighIV, count: AEAD.nonceBytes))
        let highToLow = TrafficKey(
            aead: suite.aead, key: schedule.derive(Label.highToLowKey, count: AEAD.keyBytes),
            iv: schedule.derive(Label.highToLowIV, count: AEAD.nonceBytes))
        switch role {
        case .low:
            outbound = lowToHigh
            inbound = highToLow
        case .high:
            outbound = highToLow
            inbound = lowToHigh
        }
    }
}

/// The secret behind ``SecureChannel/export(_:count:)``.
struct ExporterSecret: ~Copyable, Sendable {
    let key: SymmetricKey

    init(_ schedule: borrowing KeySchedule) {
        key = schedule.derive(Label.exporter, count: 32)
    }

    func derive(_ label: String, count: Int) -> SecretBytes {
        precondition((1...8160).contains(count), "HKDF-SHA256 gives 1 to 8160 bytes (RFC 5869 §2.3)")
        var writer = FieldWriter()
        writer.field(Label.export.utf8)
        writer.field(label.utf8)
        return SecretBytes(deriveKey(from: key, info: writer.bytes, count: count))
    }
}
