import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import FederationTransport
import FederationWire
import Synchronization

/// A server's side of its channels for the measures: the real handshake and records, and nothing behind them.
final class PeerHost: PeerChannelHost {
    private enum Stage {
        case awaitingHello
        case awaitingSignature
        case awaitingReady
        case established
    }

    private final class Channel {
        var handshake: Handshake?
        var records: RecordLayer?
        var stage = Stage.awaitingHello
        let server: ServerID
        let sink: any PeerChannel

        init(_ handshake: consuming Handshake, of server: ServerID, _ sink: any PeerChannel) {
            self.handshake = consume handshake
            self.server = server
            self.sink = sink
        }
    }

    private struct State {
        var channels: [ChannelID: Channel] = [:]
        var lastNumber: UInt64 = 0
        /// Who answers the next channel; nil for ``identity``.
        var appearance: ServerIdentity?
    }

    let identity: ServerIdentity
    let arrived = Arrivals()
    let established = Arrivals()
    let closed = Arrivals()
    private let suites: [CipherSuite]
    private let clock = SystemClock()
    private let state = Mutex(State())

    init(_ id: String, suites: [CipherSuite]) throws {
        let seed = Array(repeating: UInt8(id.utf8.reduce(0) { $0 &+ $1 }), count: ServerIdentity.seedBytes)
        identity = try ServerIdentity(id: ServerID(unchecked: id), seed: seed)
        self.suites = suites
    }

    /// From now on somebody else answers here.
    func appear(as identity: ServerIdentity) {
        state.withLock { $0.appearance = identity }
    }

    /// The newest channel's sending end.
    var sink: (any PeerChannel)? {
        state.withLock { $0.channels[ChannelID($0.lastNumber)]?.sink }
    }

    // MARK: PeerChannelHost

    func openChannel(
        _ direction: ChannelDirection, peer: ServerID?, remote: String, sink: any PeerChannel
    ) async throws(ChannelFailure) -> OpenedChannel {
        do {
            return try state.withLock { state in
                var generator = SystemRandomNumberGenerator()
                let identity = state.appearance ?? identity
                let handshake = try Handshake(
                    identity: identity, expecting: peer, configuration: HandshakeConfiguration(suites: suites),
                    entropy: HandshakeEntropy(using: &generator), at: clock.now().timestamp)
                let hello = handshake.helloMessage
                state.lastNumber += 1
                let id = ChannelID(state.lastNumber)
                state.channels[id] = Channel(handshake, of: identity.id, sink)
                return OpenedChannel(id: id, hello: hello)
            }
        } catch {
            throw ChannelFailure(code: .internalError)
        }
    }

    func receiveHandshake(_ message: [UInt8], on id: ChannelID) async -> FederationNode.ChannelStep {
        state.withLock { state in
            guard let channel = state.channels[id] else { return .close(.internalError) }
            return (try? step(message, channel)) ?? .close(.protocolError)
        }
    }

    private func step(_ message: [UInt8], _ channel: Channel) throws -> FederationNode.ChannelStep {
        switch channel.stage {
        case .awaitingHello:
            channel.stage = .awaitingSignature
            guard let reply = try channel.handshake?.receive(hello: message, at: clock.now().timestamp) else { break }
            return .send([reply])
        case .awaitingSignature:
            channel.stage = .awaitingReady
            guard let claim = try channel.handshake?.receive(signature: message),
                var records = try channel.handshake?.complete(trusting: claim.publicKey).records()
            else { break }
            let ready = try FrameCodec.encode(.ready(.init(server: channel.server)))
            let sealed = try records.seal(ready, at: clock.now().instant)
            channel.records = consume records
            return .send(sealed)
        case .awaitingReady:
            guard case .frame? = try channel.records?.open(message) else { break }
            channel.stage = .established
            return .established([])
        case .established:
            break
        }
        return .close(.internalError)
    }

    func takeRecords(for id: ChannelID) async -> sending RecordLayer? {
        let records = state.withLock { $0.channels[id]?.records.take() }
        established.add()
        return records
    }

    func receive(_ frame: FederationFrame, on id: ChannelID) async {
        if case .heartbeat(let heartbeat) = frame {
            state.withLock { $0.channels[id]?.sink }?.send(.acknowledgement(heartbeat))
        }
        arrived.add()
    }

    func channelClosed(_ id: ChannelID) async {
        state.withLock { $0.channels[id] = nil }
        closed.add()
    }
}
