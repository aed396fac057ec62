import FederationCrypto
import FederationModel
import FederationService
import FederationWire
import Testing

/// A peer that the server trusts and that goes bad: the handshake by hand over a bare socket.
struct KnownPeer: ~Copyable {
    let socket: Attacker
    private var records: RecordLayer?
    private let clock = SystemClock()

    /// Goes through the whole handshake.
    init(_ identity: ServerIdentity, _ socket: Attacker) async throws {
        self.socket = socket
        var handshake = try Self.handshake(identity)
        await socket.send(Attacker.message(handshake.helloMessage))
        let hello = try #require(await socket.message())
        let signature = try handshake.receive(hello: hello, at: SystemClock().now().timestamp)
        await socket.send(Attacker.message(signature))
        let claim = try handshake.receive(signature: try #require(await socket.message()))
        records = try handshake.complete(trusting: claim.publicKey).records()
        await socket.send(try seal(.ready(.init(server: identity.id))))
        let ready = try #require(await socket.message())
        guard case .frame? = try records?.open(ready) else {
            throw WireUnopened()
        }
    }

    struct WireUnopened: Error {}

    static func handshake(_ identity: ServerIdentity) throws -> Handshake {
        var generator = SystemRandomNumberGenerator()
        return try Handshake(
            identity: identity, expecting: nil, configuration: HandshakeConfiguration(),
            entropy: HandshakeEntropy(using: &generator), at: SystemClock().now().timestamp)
    }

    /// A frame as the bytes that go over the wire.
    mutating func seal(_ frame: FederationFrame) throws -> [UInt8] {
        let sealed = try records?.seal(try FrameCodec.encode(frame), at: clock.now().instant) ?? []
        return sealed.flatMap { Attacker.message($0) }
    }
}
