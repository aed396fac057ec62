import FederationCrypto
import FederationModel
import FederationService
import FederationWebSocket
import FederationWire
import NIOCore
import Testing

/// The other end of a channel, taken through the handshake by hand over a bare WebSocket.
struct RawPeer: ~Copyable {
    private let connection: WebSocketConnection
    private var handshake: Handshake?
    private var records: RecordLayer?
    private let clock = SystemClock()

    init(_ connection: WebSocketConnection) async throws {
        self.connection = connection
        let identity = try ServerIdentity(id: ServerID(unchecked: "raw"), seed: Array(repeating: 99, count: 32))
        var generator = SystemRandomNumberGenerator()
        let handshake = try Handshake(
            identity: identity, expecting: nil, configuration: HandshakeConfiguration(),
            entropy: HandshakeEntropy(using: &generator), at: clock.now().timestamp)
        try await connection.send(.binary(ByteBuffer(bytes: handshake.helloMessage)))
        self.handshake = consume handshake
    }

    /// Goes through the handshake; `frames` are sent in the same breath as Ready.
    mutating func complete(then frames: [FederationFrame] = []) async throws {
        try await sign()
        try await prove(then: frames)
    }

    /// Answers the peer's Hello; a Ready is not due before the peer has answered the Signature.
    mutating func sign() async throws {
        let hello = try await receive()
        let signature = try #require(try handshake?.receive(hello: hello, at: clock.now().timestamp))
        try await connection.send(.binary(ByteBuffer(bytes: signature)))
    }

    /// Answers the peer's Signature, and waits for its Ready.
    mutating func prove(then frames: [FederationFrame] = []) async throws {
        let answer = try await receive()
        let claim = try #require(try handshake?.receive(signature: answer))
        records = try handshake?.complete(trusting: claim.publicKey).records()
        var sealed = [try seal(.ready(.init(server: ServerID(unchecked: "raw"))))]
        for frame in frames { sealed.append(try seal(frame)) }
        for record in sealed { try await connection.send(.binary(record)) }
        let ready = try await receive()
        guard case .frame? = try records?.open(ready) else {
            Issue.record("the peer's Ready did not open")
            return
        }
    }

    mutating func seal(_ frame: FederationFrame) throws -> ByteBuffer {
        try seal(bytes: FrameCodec.encode(frame))
    }

    mutating func seal(bytes: [UInt8]) throws -> ByteBuffer {
        let sealed = try #require(try records?.seal(bytes, at: clock.now().instant))
        return ByteBuffer(bytes: try #require(sealed.first))
    }

    private func receive() async throws -> [UInt8] {
        guard case .binary(let bytes) = await connection.messages.next() else {
            throw WebSocketFailure.silent
        }
        return Array(bytes.readableBytesView)
    }
}
