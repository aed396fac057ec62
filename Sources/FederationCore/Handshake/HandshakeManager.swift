public import FederationCrypto
public import FederationModel

/// The handshakes of one server: one session per channel, one kept channel per peer, and the trust that completed
/// ones give.
///
/// Works alone as well: whoever has a socket calls ``initiate(_:direction:expecting:entropy:at:)`` when it opens and
/// sends the Hello, hands every message to ``receive(_:on:at:trust:)`` and does as the step says, takes the records
/// when the step says `completed`, calls ``expire(at:)`` no later than ``nextDeadline``, and calls ``close(_:)`` when
/// the socket closes.
///
/// Throwing is terminal for the session: it becomes `failed` and the socket is to be closed with the failure's close
/// code.
///
/// Two servers that dial each other at the same moment keep the channel that the lower server id dialled. A new
/// channel that the same side dialled as the old one supersedes it: the dialler knows best that the old one is dead.
public struct HandshakeManager: ~Copyable, Sendable {
    /// Handshakes that begin from now on are made with it; the id never changes.
    public internal(set) var identity: ServerIdentity
    public let configuration: HandshakeConfiguration
    /// nil in the product; see ``FederationNode/plant(_:)``.
    var plantedBug: PlantedBug?

    private var sessions = HandshakeSessionTable()
    private var deadlines = OrderedKeys<Deadline>()
    /// Completed and neither expired, closed nor revoked.
    private var trusted: [ServerID: VerifiedPeer] = [:]
    /// Unfinished handshakes with a peer that this server dialled.
    private var dialling: [ServerID: ChannelID] = [:]
    /// Unfinished handshakes.
    public private(set) var unfinishedCount = 0

    private struct Deadline: Comparable, Sendable {
        let instant: Instant
        let channel: ChannelID

        static func < (left: Self, right: Self) -> Bool {
            (left.instant, left.channel) < (right.instant, right.channel)
        }
    }

    public init(identity: ServerIdentity, configuration: HandshakeConfiguration = HandshakeConfiguration()) {
        self.identity = identity
        self.configuration = configuration
    }

    // MARK: Handshakes

    /// Opens a session for a channel that has just opened, and returns the Hello to send.
    ///
    /// - Parameter expecting: the peer that was dialled; nil when this server was dialled.
    /// - Throws: `alreadyInProgress`, `overloaded`, `reflected` when the peer that was dialled is this server.
    public mutating func initiate(
        _ channel: ChannelID, direction: ChannelDirection, expecting peer: ServerID?,
        entropy: consuming HandshakeEntropy, at now: Now
    ) throws(Failure) -> [UInt8] {
        guard !sessions.contains(channel) else { throw .alreadyInProgress }
        guard peer != identity.id else { throw .reflected }
        if direction == .outgoing, let peer, dialling[peer] != nil { throw .alreadyInProgress }
        guard unfinishedCount < Limits.openHandshakes else { throw .overloaded }
        let handshake: Handshake
        do {
            handshake = try Handshake(
                identity: identity, expecting: peer, configuration: configuration, entropy: entropy, at: now.timestamp)
        } catch {
            throw Failure(error)
        }
        let hello = handshake.helloMessage
        let dialled = direction == .outgoing ? peer : nil
        if let dialled { dialling[dialled] = channel }
        unfinishedCount += 1
        let deadline = now.instant + configuration.timeout
        deadlines.insert(Deadline(instant: deadline, channel: channel))
        sessions.insert(
            HandshakeSession(
                channel: channel, direction: direction, expected: dialled, deadline: deadline,
                stage: .awaitingHello(handshake)))
        return hello
    }

    /// Takes the peer's next message. `trust` is asked about the id that the peer claims: at its Hello, before
    /// anything is signed for it, again at its Signature, and once more at its Ready.
    public mutating func receive(
        _ message: [UInt8], on channel: ChannelID, at now: Now, trust: (ServerID) -> PeerTrust
    ) throws(Failure) -> HandshakeStep {
        guard var session = sessions.remove(channel) else { throw .sessionNotFound }
        if case .failed = session.phase {
            sessions.insert(session)
            throw .invalidState("a message after the handshake had failed")
        }
        let wasUnfinished = session.isUnfinished
        let deadline = session.deadline
        let stage = session.takeStage(leaving: .unavailable)
        do {
            let advanced = try advance(
                stage, with: message, by: deadline, on: channel, direction: session.direction, at: now, trust: trust)
            let step = advanced.step
            session.stage = advanced.next
            if case .completed(let peer, _) = step {
                finish(session.expected)
                reschedule(&session, to: peer.expiresAt)
                trusted[peer.serverID] = peer
            }
            sessions.insert(session)
            return step
        } catch {
            session.stage = .failed(error)
            deadlines.remove(Deadline(instant: deadline, channel: channel))
            if wasUnfinished { finish(session.expected) }
            sessions.insert(session)
            throw error
        }
    }

    /// What a message leads to.
    private struct Advanced: ~Copyable {
        let next: HandshakeSession.Stage
        let step: HandshakeStep
    }

    private mutating func advance(
        _ stage: consuming HandshakeSession.Stage, with message: [UInt8], by deadline: Instant, on channel: ChannelID,
        direction: ChannelDirection, at now: Now, trust: (ServerID) -> PeerTrust
    ) throws(Failure) -> Advanced {
        switch consume stage {
        case .awaitingHello(var handshake):
            guard now.instant < deadline else { throw .timeout }
            let signature = try Self.receiveHello(message, &handshake, at: now, trust: trust)
            return Advanced(next: .awaitingSignature(handshake), step: .send(signature))
        case .awaitingSignature(var handshake):
            guard now.instant < deadline else { throw .timeout }
            let secure = try receiveSignature(message, &handshake, trust: trust)
            var waiting = AwaitingReady(secure, channel: channel, direction: direction)
            let ready = try waiting.ready(from: identity.id, at: now.instant)
            return Advanced(next: .awaitingReady(waiting), step: ready.count == 1 ? .send(ready[0]) : .sendAll(ready))
        case .awaitingReady(let waiting):
            guard now.instant < deadline else { throw .timeout }
            let verified = try waiting.receive(message, at: now, lifetime: configuration.trustLifetime)
            let peer = verified.peer
            let bound = try Self.boundKey(of: peer.serverID, proving: peer.publicKey, trust)
            guard bound == peer.publicKey || plantedBug == .trustKeptAfterKeyChange else {
                throw .wrongKey(peer.serverID)
            }
            let superseded = try supersede(by: peer)
            return Advanced(
                next: .completed(peer.serverID, verified.records), step: .completed(peer, superseding: superseded))
        case .completed(let server, _):
            if trusted[server]?.channel == channel { trusted[server] = nil }
            throw .invalidState("a handshake message after the end of the handshake")
        case .failed:
            throw .invalidState("a message after the handshake had failed")
        }
    }

    private static func receiveHello(
        _ message: [UInt8], _ handshake: inout Handshake, at now: Now, trust: (ServerID) -> PeerTrust
    ) throws(Failure) -> [UInt8] {
        do {
            return try handshake.receive(hello: message, at: now.timestamp) { (server) throws(Handshake.Failure) in
                switch trust(server) {
                case .unknown: throw .untrustedPeer(server)
                case .suspended: throw .suspended(server)
                case .bound, .firstUse: break
                }
            }
        } catch {
            throw Failure(error)
        }
    }

    private func receiveSignature(
        _ message: [UInt8], _ handshake: inout Handshake, trust: (ServerID) -> PeerTrust
    ) throws(Failure) -> SecureChannel {
        let claim: Handshake.PeerClaim
        do {
            claim = try handshake.receive(signature: message)
        } catch {
            throw Failure(error)
        }
        let bound = try Self.boundKey(of: claim.server, proving: claim.publicKey, trust)
        let key = plantedBug == .trustKeptAfterKeyChange ? claim.publicKey : bound
        do {
            return try handshake.complete(trusting: key)
        } catch {
            throw Failure(error)
        }
    }

    private static func boundKey(
        of server: ServerID, proving claimed: PublicKey, _ trust: (ServerID) -> PeerTrust
    ) throws(Failure) -> PublicKey {
        switch trust(server) {
        case .unknown: throw .untrustedPeer(server)
        case .suspended: throw .suspended(server)
        case .bound(let key): return key
        case .firstUse: return claimed
        }
    }

    /// Decides between a new channel and the one that is kept with the same peer. Both ends decide alike.
    private mutating func supersede(by new: VerifiedPeer) throws(Failure) -> ChannelID? {
        guard let old = trusted[new.serverID], sessions.contains(old.channel) else { return nil }
        let lower: ChannelDirection = identity.id < new.serverID ? .outgoing : .incoming
        guard new.direction == old.direction || new.direction == lower else { throw .duplicateChannel(new.serverID) }
        fail(old.channel, because: .duplicateChannel(new.serverID))
        return old.channel
    }

    // MARK: Results

    /// The record layer of a completed handshake. It can be taken once.
    public mutating func takeRecords(for channel: ChannelID) -> RecordLayer? {
        guard var session = sessions.remove(channel) else { return nil }
        let records = session.takeRecords()
        sessions.insert(session)
        return records
    }

    public func phase(of channel: ChannelID) -> HandshakePhase? {
        sessions.phase(of: channel)
    }

    /// Whether a completed handshake with `server` still counts.
    public func isTrusted(_ server: ServerID, at now: Now) -> Bool {
        verifiedPeer(server, at: now) != nil
    }

    /// The proof that `server` is trusted now.
    public func verifiedPeer(_ server: ServerID, at now: Now) -> VerifiedPeer? {
        trusted[server].flatMap { now.instant < $0.expiresAt ? $0 : nil }
    }

    // MARK: Endings

    /// When ``expire(at:)`` has something to do next.
    public var nextDeadline: Instant? { deadlines.page(after: nil, limit: 1).first?.instant }

    /// Ends handshakes that take too long and trust that is over, in the order of their deadlines. The channels are
    /// to be closed with the failures' close codes.
    public mutating func expire(at now: Now) -> [(ChannelID, Failure)] {
        var expired: [(ChannelID, Failure)] = []
        while let due = deadlines.page(after: nil, limit: 1).first, due.instant <= now.instant {
            deadlines.remove(due)
            guard var session = sessions.remove(due.channel) else { continue }
            if let failure = session.expiry {
                end(&session, because: failure)
                expired.append((due.channel, failure))
            }
            sessions.insert(session)
        }
        return expired
    }

    /// Forgets a channel whose socket has closed. Trust that was Completed through it lasts until it expires, is
    /// revoked or is renewed by another handshake: a peer that falls silent is a matter of health, not of trust.
    public mutating func close(_ channel: ChannelID) {
        guard var session = sessions.remove(channel) else { return }
        let server = session.completedPeer
        let kept = server.flatMap { trusted[$0] }
        end(&session, because: .sessionNotFound)
        if let server { trusted[server] = kept }
    }

    /// Ends trust in `server` at once. Returns the channel that is to be closed.
    public mutating func revoke(_ server: ServerID) -> ChannelID? {
        guard let peer = trusted.removeValue(forKey: server) else { return nil }
        guard sessions.contains(peer.channel) else { return nil }
        fail(peer.channel, because: .suspended(server))
        return peer.channel
    }

    private mutating func fail(_ channel: ChannelID, because failure: Failure) {
        guard var session = sessions.remove(channel) else { return }
        end(&session, because: failure)
        sessions.insert(session)
    }

    /// Takes a session out of every account and leaves it failed.
    private mutating func end(_ session: inout HandshakeSession, because failure: Failure) {
        deadlines.remove(Deadline(instant: session.deadline, channel: session.channel))
        switch session.takeStage(leaving: failure) {
        case .awaitingHello: finish(session.expected)
        case .awaitingSignature: finish(session.expected)
        case .awaitingReady: finish(session.expected)
        case .completed(let server, _):
            if trusted[server]?.channel == session.channel { trusted[server] = nil }
        case .failed: break
        }
    }

    /// One handshake fewer is unfinished.
    private mutating func finish(_ dialled: ServerID?) {
        unfinishedCount -= 1
        if let dialled { dialling[dialled] = nil }
    }

    private mutating func reschedule(_ session: inout HandshakeSession, to deadline: Instant) {
        deadlines.remove(Deadline(instant: session.deadline, channel: session.channel))
        session.deadline = deadline
        deadlines.insert(Deadline(instant: deadline, channel: session.channel))
    }
}
