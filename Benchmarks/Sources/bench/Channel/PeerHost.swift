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

    /// Each has its own lock: handshakes of several channels do not wait for each other.
    private final class Channel: Sendable {
        struct State: ~Copyable {
            var handshake: Handshake?
            var records: RecordLayer?
            var stage = Stage.awaitingHello
        }

        let server: ServerID
        let sink: any PeerChannel
        let state: Mutex<State>

        init(_ handshake: consuming sending Handshake, of server: ServerID, _ sink: any PeerChannel) {
            self.server = server
            self.sink = sink
            state = Mutex(State(handshake: consume handshake))
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
        let seed = Array(
            (Array(id.utf8) + Array(repeating: 0, count: ServerIdentity.seedBytes)).prefix(ServerIdentity.seedBytes))
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
            let identity = state.withLock { $0.appearance } ?? identity
            let handshake = try Handshake(
                identity: identity, expecting: peer, configuration: HandshakeConfiguration(suites: suites),
                entropy: HandshakeEntropy(drawing: SystemEntropy().bytes), at: clock.now().timestamp)
            let hello = handshake.helloMessage
            let channel = Channel(handshake, of: identity.id, sink)
            return state.withLock { state in
                state.lastNumber += 1
                let id = ChannelID(state.lastNumber)
                state.channels[id] = channel
                return OpenedChannel(id: id, hello: hello)
            }
        } catch {
            throw ChannelFailure(code: .internalError)
        }
    }

    func receiveHandshake(_ message: [UInt8], on id: ChannelID) async -> FederationNode.ChannelStep {
        guard let channel = state.withLock({ $0.channels[id] }) else { return .close(.internalError) }
        return channel.state.withLock { state in
            (try? step(message, &state, channel.server)) ?? .close(.protocolError)
        }
    }

    private func step(
        _ message: [UInt8], _ state: inout Channel.State, _ server: ServerID
    ) throws -> FederationNode.ChannelStep {
        switch state.stage {
        case .awaitingHello:
            state.stage = .awaitingSignature
            guard let reply = try state.handshake?.receive(hello: message, at: clock.now().timestamp) else { break }
            return .send([reply])
        case .awaitingSignature:
            state.stage = .awaitingReady
            guard let claim = try state.handshake?.receive(signature: message),
                var records = try state.handshake?.complete(trusting: claim.publicKey).records()
            else { break }
            let ready = try FrameCodec.encode(.ready(.init(server: server)))
            let sealed = try records.seal(ready, at: clock.now().instant)
            state.records = consume records
            return .send(sealed)
        case .awaitingReady:
            guard case .frame? = try state.records?.open(message) else { break }
            state.stage = .established
            return .established([])
        case .established:
            break
        }
        return .close(.internalError)
    }

    func takeRecords(for id: ChannelID) async -> sending RecordLayer? {
        let records = state.withLock({ $0.channels[id] })?.state.withLock { $0.records.take() }
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
