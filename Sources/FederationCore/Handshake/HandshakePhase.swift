public import FederationModel

/// Where the handshake of a channel stands.
///
/// `initiated` can become `challengeReceived`, that can become `completed`; each can become `failed`.
public enum HandshakePhase: Hashable, Sendable {
    /// This side's Hello is sent.
    case initiated
    /// A valid Signature of the peer has arrived, and the key in it is the right one.
    case challengeReceived
    /// The peer's Ready has been opened: the peer is trusted.
    case completed
    case failed(HandshakeManager.Failure)
}

/// What trust policy says of a server id.
public enum PeerTrust: Hashable, Sendable {
    /// Not known here, or not allowed.
    case unknown
    /// Excluded by the operator.
    case suspended
    /// Allowed, when it proves this key.
    case bound(PublicKey)
    /// Allowed with whatever key it proves: nothing is known of it, and the operator trusts on first use.
    case firstUse
}

/// What to do after a handshake message.
public enum HandshakeStep: Hashable, Sendable {
    /// Send this message and wait for the peer's next.
    case send([UInt8])
    /// Send these messages, in order, and wait for the peer's next.
    case sendAll([[UInt8]])
    /// The peer is trusted; take the records and go on. `superseding` is another channel with the same peer, to be
    /// closed as ``CloseCode/duplicateChannel``.
    case completed(VerifiedPeer, superseding: ChannelID?)
}
