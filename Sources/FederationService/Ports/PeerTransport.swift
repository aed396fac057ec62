public import FederationModel
public import FederationWire

/// The port through which the service reaches other servers. The adapter dials, frames, seals and unseals; the service
/// decides whom to dial and what a channel may do.
///
/// For every socket, in order: the adapter calls ``FederationServer/openChannel(_:peer:remote:sink:)`` and sends the Hello it returns; hands each
/// received message to ``FederationServer/receiveHandshake(_:on:)`` and does as the step says until it says `established`; then takes the record layer
/// with ``FederationServer/takeRecords(for:)``, opens each record and hands the frames to `FederationServer.receive(_:on:)`, those that came together
/// together; and
/// calls ``FederationServer/channelClosed(_:)`` once at the end, whatever happened.
public protocol PeerTransport: Sendable {
    /// Keeps a channel to `peer` open: dials its endpoints in turn, and again with jittered, capped backoff whenever the
    /// channel is lost, until ``hangUp(_:)``. A second call for the same peer replaces the endpoints; with the same ones it says
    /// that no channel with the peer is open any more, whoever had dialled it, so that waiting has no reason.
    func dial(_ peer: ServerID, at endpoints: [Endpoint]) async

    /// Stops dialling `peer`. Open channels are closed by the service through their ``PeerChannel``.
    func hangUp(_ peer: ServerID) async

    /// Whether and how `peer` is being dialled, for people to see.
    func dialState(of peer: ServerID) async -> DialState?

    /// Ends the pause before the next attempt, once: the peer has said that it is back. Attempts that have failed still count
    /// for the pause after this one.
    func dialNow(_ peer: ServerID) async
}

/// What a dialler is doing, for `aether peers list`.
public struct DialState: Hashable, Sendable, Codable {
    /// Attempts since the last established channel.
    public let attempts: Int
    /// Why the last attempt failed, in one line.
    public let lastFailure: String?
    /// The same for programs: the name of a close code, the code of a refusal, or `unreachable`.
    public let lastCode: String?
    /// The pause before the next attempt, in milliseconds; nil while connected or connecting.
    public let nextRetryMilliseconds: Int64?

    public init(attempts: Int, lastFailure: String?, lastCode: String? = nil, nextRetryMilliseconds: Int64?) {
        self.attempts = attempts
        self.lastFailure = lastFailure
        self.lastCode = lastCode
        self.nextRetryMilliseconds = nextRetryMilliseconds
    }
}

/// The sending end of one channel. Calls do not wait; a channel whose queue is full closes itself as overloaded.
public protocol PeerChannel: Sendable {
    /// Seals and sends a frame, in the order of the calls.
    func send(_ frame: FederationFrame)

    /// Closes with a code that the peer's operator can look up.
    func close(_ code: CloseCode)

    /// Frames that wait to be sent.
    var queuedFrames: Int { get }
}

extension PeerChannel {
    public var queuedFrames: Int { 0 }
}
