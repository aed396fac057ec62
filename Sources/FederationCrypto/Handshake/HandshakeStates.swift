import Crypto
import FederationModel

/// Hello is sent; the peer's Hello is due.
struct AwaitingHello: ~Copyable, Sendable {
    let identity: ServerIdentity
    let configuration: HandshakeConfiguration
    let expected: ServerID?
    let ephemeral: Curve25519.KeyAgreement.PrivateKey
    let decapsulation: MLKEM768.PrivateKey?
    let hello: HandshakeChallenge
    let helloBytes: [UInt8]

    /// A state and the message to send on entering it.
    struct Step: ~Copyable {
        let next: AwaitingSignature
        let message: [UInt8]
    }

    consuming func receive(
        _ bytes: [UInt8], at timestamp: Timestamp, admit: (ServerID) throws(Handshake.Failure) -> Void
    ) throws(Handshake.Failure) -> Step {
        let peer = try HandshakeChallenge.decode(bytes, versions: configuration.versions)
        try check(peer, at: timestamp)
        try admit(peer.server)
        let isLow = hello.ephemeralKey.lexicographicallyPrecedes(peer.ephemeralKey)
        guard
            let version = configuration.versions.highestInCommon(with: peer.versions),
            let suite = isLow
                ? CipherSuite.agreed(low: hello.suites, high: peer.suites)
                : CipherSuite.agreed(low: peer.suites, high: hello.suites)
        else { throw .noCommonSuite }
        let helloHash =
            isLow
            ? canonicalTranscript(low: helloBytes, high: bytes) : canonicalTranscript(low: bytes, high: helloBytes)
        return try answer(
            peer,
            Agreement(
                role: isLow ? .low : .high, version: version, suite: suite, helloHash: helloHash,
                clockOffset: peer.sentAt - timestamp))
    }

    private borrowing func check(
        _ peer: HandshakeChallenge, at timestamp: Timestamp
    ) throws(Handshake.Failure) {
        guard peer.server != identity.id, peer.ephemeralKey != hello.ephemeralKey else { throw .reflected }
        if let expected, peer.server != expected { throw .wrongPeer(expected: expected, actual: peer.server) }
        if let meant = peer.expectedPeer, meant != identity.id {
            throw .wrongPeer(expected: meant, actual: identity.id)
        }
        let offset = peer.sentAt - timestamp
        guard offset <= configuration.clockSkew, offset >= .zero - configuration.clockSkew else {
            throw .clockSkew(offset)
        }
    }

    private consuming func answer(
        _ peer: HandshakeChallenge, _ agreement: Agreement
    ) throws(Handshake.Failure) -> Step {
        var ciphertext: [UInt8] = []
        var ownSecret: SecretBytes?
        if agreement.suite.isHybrid {
            let encapsulated = try encapsulate(to: peer.encapsulationKey)
            ciphertext = encapsulated.ciphertext
            ownSecret = .some(encapsulated.sharedSecret)
        }
        let signed = signedTranscript(
            role: agreement.role, helloHash: agreement.helloHash, server: identity.id, signingKey: identity.publicKey,
            exchangeKey: identity.exchangeKey, ciphertext: ciphertext)
        let signature: [UInt8]
        do {
            signature = try identity.sign(signed, for: .handshake)
        } catch {
            throw .unavailable
        }
        let message = HandshakeResponse(
            signingKey: identity.publicKey, exchangeKey: identity.exchangeKey, ciphertext: ciphertext,
            signature: signature
        ).encoded()
        let next = AwaitingSignature(
            identity: identity, ephemeral: ephemeral, decapsulation: decapsulation, peer: peer, agreement: agreement,
            signatureBytes: message, ownSecret: ownSecret)
        return Step(next: next, message: message)
    }

    private borrowing func encapsulate(
        to key: [UInt8]
    ) throws(Handshake.Failure) -> KeyEncapsulation.Encapsulated {
        guard key.count == KeyEncapsulation.encapsulationKeyBytes else {
            throw .malformed("encapsulation_key is missing though a hybrid suite was agreed")
        }
        let encapsulated: KeyEncapsulation.Encapsulated
        do {
            encapsulated = try configuration.encapsulation.encapsulate(key)
        } catch {
            throw .malformed("encapsulation_key is not a valid ML-KEM-768 key")
        }
        guard encapsulated.ciphertext.count == KeyEncapsulation.ciphertextBytes,
            encapsulated.sharedSecret.count == KeyEncapsulation.sharedSecretBytes
        else { throw .unavailable }
        return encapsulated
    }
}

/// What both Hellos fix.
struct Agreement: Sendable {
    let role: HandshakeRole
    let version: UInt16
    let suite: CipherSuite
    let helloHash: [UInt8]
    let clockOffset: Duration

    var peerRole: HandshakeRole { role == .low ? .high : .low }
}

/// Signature is sent; the peer's Signature is due.
struct AwaitingSignature: ~Copyable, Sendable {
    let identity: ServerIdentity
    let ephemeral: Curve25519.KeyAgreement.PrivateKey
    let decapsulation: MLKEM768.PrivateKey?
    let peer: HandshakeChallenge
    let agreement: Agreement
    let signatureBytes: [UInt8]
    /// What this side encapsulated; nil in a classical suite.
    let ownSecret: SecretBytes?

    consuming func receive(_ bytes: [UInt8]) throws(Handshake.Failure) -> AwaitingTrust {
        let response = try HandshakeResponse.decode(bytes, suite: agreement.suite)
        guard response.signingKey != identity.publicKey, response.exchangeKey != identity.exchangeKey else {
            throw .reflected
        }
        let signed = signedTranscript(
            role: agreement.peerRole, helloHash: agreement.helloHash, server: peer.server,
            signingKey: response.signingKey, exchangeKey: response.exchangeKey, ciphertext: response.ciphertext)
        guard response.signingKey.isValidSignature(response.signature, for: .handshake, over: signed) else {
            throw .invalidSignature
        }
        let transcript =
            agreement.role == .low
            ? completeTranscript(
                helloHash: agreement.helloHash, lowSignature: signatureBytes, highSignature: bytes)
            : completeTranscript(
                helloHash: agreement.helloHash, lowSignature: bytes, highSignature: signatureBytes)
        return AwaitingTrust(waiting: self, response: response, transcript: transcript)
    }
}

/// The peer has proved its key; the caller must say whether that is the right one.
struct AwaitingTrust: ~Copyable, Sendable {
    private let waiting: AwaitingSignature
    private let response: HandshakeResponse
    private let transcript: [UInt8]

    init(waiting: consuming AwaitingSignature, response: HandshakeResponse, transcript: [UInt8]) {
        self.waiting = waiting
        self.response = response
        self.transcript = transcript
    }

    var claim: Handshake.PeerClaim {
        Handshake.PeerClaim(server: waiting.peer.server, publicKey: response.signingKey)
    }

    consuming func complete(trusting key: PublicKey) throws(Handshake.Failure) -> SecureChannel {
        let claim = claim
        guard claim.publicKey == key else { throw .wrongKey(claim.server) }
        let agreement = waiting.agreement
        let decapsulated = try decapsulate()
        let secret = try peerKeyExchange(
            ephemeral: waiting.ephemeral, peerEphemeral: waiting.peer.ephemeralKey, identity: waiting.identity,
            peerExchange: response.exchangeKey,
            encapsulated: byRole(own: waiting.ownSecret, peers: decapsulated, role: agreement.role))
        let schedule = KeySchedule(secret: secret, transcript: transcript)
        return SecureChannel(
            peer: claim, version: agreement.version, suite: agreement.suite, clockOffset: agreement.clockOffset,
            keys: FederationSessionKeys(schedule, suite: agreement.suite, role: agreement.role),
            exporterSecret: ExporterSecret(schedule))
    }

    /// What the peer encapsulated; nil in a classical suite. A forged ciphertext gives another secret (FIPS 203
    /// §6.3), and then no record opens.
    private borrowing func decapsulate() throws(Handshake.Failure) -> SecretBytes? {
        guard waiting.agreement.suite.isHybrid else { return nil }
        guard let key = waiting.decapsulation, let secret = try? key.decapsulate(response.ciphertext) else {
            throw .unavailable
        }
        return SecretBytes(secret)
    }
}

private func byRole(
    own: consuming SecretBytes?, peers: consuming SecretBytes?, role: HandshakeRole
) -> EncapsulatedSecrets? {
    guard let own = consume own, let peers = consume peers else { return nil }
    switch role {
    case .low: return EncapsulatedSecrets(low: own, high: peers)
    case .high: return EncapsulatedSecrets(low: peers, high: own)
    }
}
