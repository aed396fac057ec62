import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import FederationTransport
import FederationWebSocket
import FederationWire

/// A server's side of its channels, with the real handshake and records and nothing behind them.
actor TestHost: PeerChannelHost {
    enum Event: Hashable, Sendable {
        case opened(ChannelID, ChannelDirection)
        case established(ChannelID)
        case frame(ChannelID, FederationFrame)
        case closed(ChannelID)
        /// Only when the host ``Behaviour/dropsMeanwhile``.
        case recordsAsked(ChannelID)
    }

    /// What may be wrong with a host.
    enum Behaviour: Sendable {
        case normal
        case refusesToOpen(CloseCode)
        case refusesHello(CloseCode)
        /// Has no records for a channel that it has just called established, and will say why.
        case dropsMeanwhile
    }

    private final class Channel {
        enum Stage {
            case awaitingHello
            case awaitingSignature
            case awaitingReady
            case established
        }

        var handshake: Handshake?
        var records: RecordLayer?
        var stage = Stage.awaitingHello
        let sink: any PeerChannel

        init(_ handshake: consuming Handshake, _ sink: any PeerChannel) {
            self.handshake = consume handshake
            self.sink = sink
        }
    }

    let identity: ServerIdentity
    /// What happened, in order.
    nonisolated let events = Inbox<Event>(high: 1 << 20) {}
    private let clock: any FederationClock
    private var behaviour: Behaviour
    private var channels: [ChannelID: Channel] = [:]
    private var lastNumber: UInt64 = 0
    private var isHolding = false
    private var policy: AddressPolicy?
    private var held: [CheckedContinuation<Void, Never>] = []

    init(_ id: String, clock: any FederationClock = SystemClock(), _ behaviour: Behaviour = .normal) throws {
        let seed = Array(repeating: UInt8(id.utf8.reduce(0) { $0 &+ $1 }), count: ServerIdentity.seedBytes)
        identity = try ServerIdentity(id: ServerID(unchecked: id), seed: seed)
        self.clock = clock
        self.behaviour = behaviour
    }

    func behave(_ behaviour: Behaviour) {
        self.behaviour = behaviour
    }

    /// From now on the peers of this host are such that nobody pinned.
    func judge(by policy: AddressPolicy?) {
        self.policy = policy
    }

    func addressPolicy(for peer: ServerID, at endpoint: Endpoint) -> AddressPolicy? { policy }

    /// From now on frames stay with the host until ``release()``.
    func hold() {
        isHolding = true
    }

    func release() {
        isHolding = false
        for continuation in held { continuation.resume() }
        held = []
    }

    func sink(_ id: ChannelID) -> (any PeerChannel)? {
        channels[id]?.sink
    }

    /// Waits for the next channel that is established.
    nonisolated func established() async -> ChannelID? {
        while let event = await events.next() {
            if case .established(let id) = event { return id }
        }
        return nil
    }

    // MARK: PeerChannelHost

    func openChannel(
        _ direction: ChannelDirection, peer: ServerID?, remote: String, sink: any PeerChannel
    ) throws(ChannelFailure) -> OpenedChannel {
        if case .refusesToOpen(let code) = behaviour { throw ChannelFailure(code: code) }
        var generator = SystemRandomNumberGenerator()
        do {
            let handshake = try Handshake(
                identity: identity, expecting: peer, configuration: HandshakeConfiguration(),
                entropy: HandshakeEntropy(using: &generator), at: clock.now().timestamp)
            lastNumber += 1
            let id = ChannelID(lastNumber)
            let hello = handshake.helloMessage
            channels[id] = Channel(handshake, sink)
            _ = events.offer(.opened(id, direction))
            return OpenedChannel(id: id, hello: hello)
        } catch {
            throw ChannelFailure(code: .internalError)
        }
    }

    func receiveHandshake(_ message: [UInt8], on id: ChannelID) -> FederationNode.ChannelStep {
        guard let channel = channels[id] else { return .close(.internalError) }
        if case .refusesHello(let code) = behaviour { return .close(code) }
        do {
            return try step(message, id, channel)
        } catch let failure as Handshake.Failure {
            return .close(failure.closeCode)
        } catch {
            return .close(.badRecord)
        }
    }

    private func step(_ message: [UInt8], _ id: ChannelID, _ channel: Channel) throws -> FederationNode.ChannelStep {
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
            let ready = try FrameCodec.encode(.ready(.init(server: identity.id)))
            let sealed = try records.seal(ready, at: clock.now().instant)
            channel.records = consume records
            return .send(sealed)
        case .awaitingReady:
            guard case .frame? = try channel.records?.open(message) else { break }
            channel.stage = .established
            _ = events.offer(.established(id))
            return .established([])
        case .established:
            break
        }
        return .close(.internalError)
    }

    func takeRecords(for id: ChannelID) -> sending RecordLayer? {
        if case .dropsMeanwhile = behaviour {
            _ = events.offer(.recordsAsked(id))
            return nil
        }
        return channels[id]?.records.take()
    }

    func receive(_ frame: FederationFrame, on id: ChannelID) async {
        if isHolding { await withCheckedContinuation { held.append($0) } }
        _ = events.offer(.frame(id, frame))
    }

    func channelClosed(_ id: ChannelID) {
        channels[id] = nil
        _ = events.offer(.closed(id))
    }
}
