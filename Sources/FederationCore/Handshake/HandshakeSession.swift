import BasicContainers
import FederationCrypto
import FederationModel

/// The handshake of one channel.
struct HandshakeSession: ~Copyable, Sendable {
    let channel: ChannelID
    let direction: ChannelDirection
    /// Whom this server dialled; nil when it was dialled.
    let expected: ServerID?
    /// When the handshake, or later the trust, is over.
    var deadline: Instant
    var stage: Stage

    enum Stage: ~Copyable, Sendable {
        case awaitingHello(Handshake)
        case awaitingSignature(Handshake)
        case awaitingReady(AwaitingReady)
        /// The records are nil once they have been taken.
        case completed(ServerID, RecordLayer?)
        case failed(HandshakeManager.Failure)
    }

    var phase: HandshakePhase {
        switch stage {
        case .awaitingHello: .initiated
        case .awaitingSignature: .initiated
        case .awaitingReady: .challengeReceived
        case .completed: .completed
        case .failed(let failure): .failed(failure)
        }
    }

    /// The peer whose handshake was completed on this channel.
    var completedPeer: ServerID? {
        switch stage {
        case .completed(let server, _): server
        case .awaitingHello: nil
        case .awaitingSignature: nil
        case .awaitingReady: nil
        case .failed: nil
        }
    }

    /// Whether the handshake is neither completed nor failed.
    var isUnfinished: Bool {
        switch phase {
        case .initiated, .challengeReceived: true
        case .completed, .failed: false
        }
    }

    /// What the session ends with when its deadline passes; nil when it is over already.
    var expiry: HandshakeManager.Failure? {
        switch stage {
        case .awaitingHello: .timeout
        case .awaitingSignature: .timeout
        case .awaitingReady: .timeout
        case .completed(let server, _): .trustExpired(server)
        case .failed: nil
        }
    }

    /// The stage, leaving behind what a session is when nothing better follows.
    mutating func takeStage(leaving failure: HandshakeManager.Failure) -> Stage {
        var taken = Stage.failed(failure)
        swap(&taken, &stage)
        return taken
    }

    mutating func takeRecords() -> RecordLayer? {
        switch takeStage(leaving: .unavailable) {
        case .completed(let server, let records):
            stage = .completed(server, nil)
            return records
        case .awaitingHello(let handshake): stage = .awaitingHello(handshake)
        case .awaitingSignature(let handshake): stage = .awaitingSignature(handshake)
        case .awaitingReady(let waiting): stage = .awaitingReady(waiting)
        case .failed(let failure): stage = .failed(failure)
        }
        return nil
    }
}

/// Sessions by channel. A dictionary cannot hold what cannot be copied, so it holds places in an array.
struct HandshakeSessionTable: ~Copyable, Sendable {
    private var slots = UniqueArray<HandshakeSession>()
    private var index: [ChannelID: Int] = [:]

    func contains(_ channel: ChannelID) -> Bool { index[channel] != nil }

    mutating func insert(_ session: consuming HandshakeSession) {
        precondition(index.updateValue(slots.count, forKey: session.channel) == nil, "a channel has one session")
        slots.append(session)
    }

    /// Takes the session out; the last one moves to its place.
    mutating func remove(_ channel: ChannelID) -> HandshakeSession? {
        guard let slot = index.removeValue(forKey: channel) else { return nil }
        let last = slots.count - 1
        if slot != last {
            slots.swapAt(slot, last)
            index[slots[slot].channel] = slot
        }
        return slots.removeLast()
    }

    func phase(of channel: ChannelID) -> HandshakePhase? {
        guard let slot = index[channel] else { return nil }
        return slots[slot].phase
    }
}
