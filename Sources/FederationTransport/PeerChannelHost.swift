public import FederationCore
public import FederationCrypto
public import FederationModel
public import FederationService
public import FederationWire

/// What the transport needs of the server behind it: ``FederationServer``, or a stand-in of a test. ``PeerTransport``
/// says in which order the calls come.
public protocol PeerChannelHost: Sendable {
    func openChannel(
        _ direction: ChannelDirection, peer: ServerID?, remote: String, sink: any PeerChannel
    ) async throws(ChannelFailure) -> OpenedChannel

    func receiveHandshake(_ message: [UInt8], on id: ChannelID) async -> FederationNode.ChannelStep

    func takeRecords(for id: ChannelID) async -> sending RecordLayer?

    func receive(_ frame: FederationFrame, on id: ChannelID) async

    /// Frames that came together, in order.
    func receive(_ frames: [FederationFrame], on id: ChannelID) async

    func channelClosed(_ id: ChannelID) async

    /// Whether a channel with the peer is established, whoever dialled it.
    func isConnected(to peer: ServerID) async -> Bool

    /// Which addresses may be dialled for the peer at one of its endpoints; nil for any, when an operator has chosen the
    /// endpoint by hand.
    func addressPolicy(for peer: ServerID, at endpoint: Endpoint) async -> AddressPolicy?

    /// A dial has failed: there was no channel at `endpoint`.
    func dialFailed(_ peer: ServerID, at endpoint: Endpoint) async
}

extension PeerChannelHost {
    public func receive(_ frames: [FederationFrame], on id: ChannelID) async {
        for frame in frames { await receive(frame, on: id) }
    }

    public func addressPolicy(for peer: ServerID, at endpoint: Endpoint) async -> AddressPolicy? { nil }

    public func dialFailed(_ peer: ServerID, at endpoint: Endpoint) async {}

    /// A host that does not know leaves it to the handshake to find out.
    public func isConnected(to peer: ServerID) async -> Bool { false }
}

extension FederationServer: PeerChannelHost {}
