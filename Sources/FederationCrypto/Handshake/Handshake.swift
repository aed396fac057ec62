import Crypto
public import FederationModel

/// One side of the handshake that opens a channel between two servers. Both sides run the same machine: Hello both
/// ways, Signature both ways, then keys. PROTOCOL.md has the layout of the messages.
///
/// Terms: the side whose ephemeral X25519 key sorts first is *low*, the other *high*; everything that must differ
/// between the two sides follows from that and not from who dialled.
///
/// States, each named for what it awaits:
/// - `awaitingHello` can become `awaitingSignature`
/// - `awaitingSignature` can become `awaitingTrust`: the peer has proved that it holds the key it names
/// - `awaitingTrust` can become `over`, with keys: the caller has said which key belongs to the peer's id
/// - each can become `over`, without keys: throwing is terminal
///
/// A peer is trusted only once a record that it sealed has been opened with these keys.
public struct Handshake: ~Copyable, Sendable {
    /// Whom the peer's Signature proves it to be: the holder of `publicKey`, who says that its id is `server`.
    /// Whether that key belongs to that id is for the caller to know.
    public struct PeerClaim: Hashable, Sendable {
        public let server: ServerID
        public let publicKey: PublicKey
    }

    /// The Hello to send at once, whoever dialled.
    public let helloMessage: [UInt8]

    private var state: State

    /// Starts a handshake with `peer`, or with whoever comes when `peer` is nil. `timestamp` is this server's wall
    /// clock.
    public init(
        identity: ServerIdentity, expecting peer: ServerID?, configuration: HandshakeConfiguration,
        entropy: consuming HandshakeEntropy, at timestamp: Timestamp
    ) throws(Failure) {
        let ephemeral = try entropy.ephemeralKey()
        let isHybrid = configuration.suites.contains(where: \.isHybrid)
        let decapsulation = isHybrid ? try entropy.decapsulationKey() : nil
        let hello = HandshakeChallenge(
            versions: configuration.versions, server: identity.id, expectedPeer: peer, sentAt: timestamp,
            suites: configuration.suites.map(\.rawValue), ephemeralKey: Array(ephemeral.publicKey.rawRepresentation),
            encapsulationKey: decapsulation.map { Array($0.publicKey.rawRepresentation) } ?? [])
        helloMessage = hello.encoded()
        state = .awaitingHello(
            AwaitingHello(
                identity: identity, configuration: configuration, expected: peer, ephemeral: ephemeral,
                decapsulation: decapsulation, hello: hello, helloBytes: helloMessage))
    }

    /// Takes the peer's Hello and returns the Signature to send. `admit` is asked about the id that the peer claims
    /// before anything is computed for it; it throws to refuse.
    public mutating func receive(
        hello bytes: [UInt8], at timestamp: Timestamp,
        admit: (ServerID) throws(Failure) -> Void = { (_: ServerID) throws(Failure) in }
    ) throws(Failure) -> [UInt8] {
        switch takeState() {
        case .awaitingHello(let waiting):
            let step = try waiting.receive(bytes, at: timestamp, admit: admit)
            let message = step.message
            state = .awaitingSignature(step.next)
            return message
        case .awaitingSignature: throw .invalidState("Hello where Signature is due")
        case .awaitingTrust: throw .invalidState("Hello before the peer's key was confirmed")
        case .over: throw .invalidState("Hello after the end of the handshake")
        }
    }

    /// Takes the peer's Signature and returns whom it proves. Nothing is trusted yet.
    public mutating func receive(signature bytes: [UInt8]) throws(Failure) -> PeerClaim {
        switch takeState() {
        case .awaitingHello: throw .invalidState("Signature where Hello is due")
        case .awaitingSignature(let waiting):
            let next = try waiting.receive(bytes)
            let claim = next.claim
            state = .awaitingTrust(next)
            return claim
        case .awaitingTrust: throw .invalidState("Signature before the peer's key was confirmed")
        case .over: throw .invalidState("Signature after the end of the handshake")
        }
    }

    /// Derives the keys, given the key that trust policy binds to the id of the claim. Throws `wrongKey` when the
    /// peer proved another one.
    public mutating func complete(trusting key: PublicKey) throws(Failure) -> SecureChannel {
        switch takeState() {
        case .awaitingHello: throw .invalidState("the peer has not said Hello yet")
        case .awaitingSignature: throw .invalidState("the peer has not proved a key yet")
        case .awaitingTrust(let waiting): return try waiting.complete(trusting: key)
        case .over: throw .invalidState("the handshake is over")
        }
    }

    /// Leaves `over` behind, so that whatever throws afterwards is terminal.
    private mutating func takeState() -> State {
        var taken = State.over
        swap(&taken, &state)
        return taken
    }

    private enum State: ~Copyable, Sendable {
        case awaitingHello(AwaitingHello)
        case awaitingSignature(AwaitingSignature)
        case awaitingTrust(AwaitingTrust)
        case over
    }
}

/// What a completed handshake leaves: keys for records both ways, and what was agreed.
public struct SecureChannel: ~Copyable, Sendable {
    public let peer: Handshake.PeerClaim
    public let version: UInt16
    public let suite: CipherSuite
    /// How far the peer's wall clock was ahead of this server's when its Hello arrived; negative when behind.
    public let clockOffset: Duration
    let keys: FederationSessionKeys
    let exporterSecret: ExporterSecret

    /// `count` bytes (1 to 8160) for `label`, bound to the channel (RFC 5705 in spirit): both ends get the same,
    /// different labels give independent bytes. For parts of a program that need keys of their own.
    public borrowing func export(_ label: String, count: Int) -> SecretBytes {
        exporterSecret.derive(label, count: count)
    }

    /// The record layer, both directions.
    public consuming func records() -> RecordLayer {
        records(recordsPerKey: Limits.recordsPerKey, keyLifetime: Limits.keyLifetime)
    }

    /// With bounds that a test can reach.
    consuming func records(recordsPerKey: UInt64, keyLifetime: Duration) -> RecordLayer {
        RecordLayer(keys: keys, recordsPerKey: recordsPerKey, keyLifetime: keyLifetime)
    }
}
