public import FederationCore
public import FederationCrypto
public import FederationModel
public import FederationWire
import Metrics

/// A channel that may begin its handshake.
public struct OpenedChannel: Sendable {
    public let id: ChannelID
    /// The Hello to send.
    public let hello: [UInt8]

    public init(id: ChannelID, hello: [UInt8]) {
        self.id = id
        self.hello = hello
    }
}

/// The channel was refused before its handshake began; close it with this code.
public struct ChannelFailure: Error, Hashable, Sendable {
    public let code: CloseCode

    public init(code: CloseCode) {
        self.code = code
    }
}

/// What the transport calls; see ``PeerTransport`` for the order.
extension FederationServer {
    /// A socket has opened.
    ///
    /// - Parameters:
    ///   - peer: the peer that was dialled; nil for an incoming channel.
    ///   - remote: the address and port at the other end, for logs and for the deny list.
    /// - Throws: `untrustedPeer` for an address that the policy denies, whoever is there; nothing is signed for it.
    public func openChannel(
        _ direction: ChannelDirection, peer: ServerID?, remote: String, sink: any PeerChannel
    ) throws(ChannelFailure) -> OpenedChannel {
        guard !node.isWindingDown else { throw ChannelFailure(code: .goingAway) }
        let address = Endpoint("ws://\(remote)")?.host.address
        if let address, node.policy.denies(address) {
            logger.info("refused a channel with an address that the deny list names", metadata: ["remote": "\(remote)"])
            Counter(label: "aether_denied_channels_total").increment()
            throw ChannelFailure(code: .untrustedPeer)
        }
        let id = ChannelID(nextChannel)
        nextChannel += 1
        do {
            let hello = try node.openChannel(
                id, direction: direction, expecting: peer, entropy: handshakeEntropy(), at: clock.now())
            channels[id] = Channel(direction: direction, sink: sink, remote: remote, address: address)
            keepTime()
            return OpenedChannel(id: id, hello: hello)
        } catch {
            throw ChannelFailure(code: error.closeCode)
        }
    }

    /// A handshake message has arrived; do as the answer says.
    public func receiveHandshake(_ message: [UInt8], on id: ChannelID) -> FederationNode.ChannelStep {
        guard !node.isWindingDown else { return .close(.goingAway) }
        guard let channel = channels[id] else { return .close(.internalError) }
        let (step, effects) = node.receiveHandshake(message, on: id, direction: channel.direction, at: clock.now())
        if case .close(let code) = step {
            logger.warning(
                "a handshake failed: \(code)", metadata: ["remote": "\(channel.remote)", "code": "\(code.rawValue)"])
            Counter(label: "aether_handshake_failures_total", dimensions: [("code", "\(code)")]).increment()
        }
        enqueue(effects)
        return step
    }

    /// The record layer of a channel whose handshake has just been completed; it can be taken once.
    public func takeRecords(for id: ChannelID) -> sending RecordLayer? {
        node.takeRecords(for: id)
    }

    /// The same as with frames that have arrived together.
    public func receive(_ frame: FederationFrame, on id: ChannelID) async {
        await receive([frame], on: id)
    }

    /// Frames have arrived together on an established channel, and are taken in order. Returns late when much is waiting to
    /// become durable, so that a busy peer is slowed down and not buffered.
    public func receive(_ frames: [FederationFrame], on id: ChannelID) async {
        for (number, frame) in frames.enumerated() {
            guard !isStopping else { return }
            let effects = tellAnswers(in: node.receive(frame, on: id, at: clock.now()))
            if effects.isEmpty || queue.count < Self.queuedBatches {
                enqueue(effects)
            } else {
                await carryOut(effects)
            }
            // A peer that sends much of what takes long gets no more of the actor at a time for having sent it at once.
            if !Self.isLight(frame), number < frames.count - 1 { await Task.yield() }
        }
    }

    /// Whether no signature and no snapshot is checked for it: heartbeats, and what fetches send by the hundred.
    private static func isLight(_ frame: FederationFrame) -> Bool {
        switch frame {
        case .heartbeat, .acknowledgement, .assetRequest, .assetResponse: true
        case .ready, .worldRequest, .worldResponse, .offer, .accept, .reject, .commit, .admitted, .abort, .query,
            .verdict, .position, .evidence, .recall, .notice, .introductions, .probe, .probeResult:
            false
        }
    }

    /// A socket has closed, for whatever reason.
    public func channelClosed(_ id: ChannelID) {
        guard channels.removeValue(forKey: id) != nil else { return }
        assetReads[id] = nil
        let peer = node.peer(on: id)?.serverID
        enqueue(node.channelClosed(id, at: clock.now()))
        // Whichever side had dialled it: both try to replace it now.
        if let peer { enqueue(node.dialEffects(for: peer)) }
    }

    /// Whether a channel with the peer is established, whoever dialled it.
    public func isConnected(to peer: ServerID) -> Bool { node.channel(to: peer) != nil }

    /// Batches of effects that may wait before a peer's frames are slowed down.
    static let queuedBatches = 1_024

    private func handshakeEntropy() -> HandshakeEntropy {
        HandshakeEntropy(drawing: entropy.bytes)
    }
}
