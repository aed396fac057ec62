public import FederationModel

extension Handshake {
    /// Why a handshake ended. Everything but ``unavailable`` is the peer's fault or the operator's choice.
    public enum Failure: Error, Hashable, Sendable {
        /// A message does not parse; the text says which field.
        case malformed(String)
        /// A message of that many bytes.
        case oversized(Int)
        /// A message that is not due now.
        case invalidState(String)
        /// The peer speaks only these versions.
        case incompatibleVersion(ProtocolVersions)
        case noCommonSuite
        /// The peer's clock is off by more than is allowed; positive when it is ahead.
        case clockSkew(Duration)
        /// The peer claims to be `actual`, not the one that was meant; or it meant another one than this server.
        case wrongPeer(expected: ServerID, actual: ServerID)
        /// The caller does not admit the id that the peer claims.
        case untrustedPeer(ServerID)
        /// The caller has suspended the id that the peer claims.
        case suspended(ServerID)
        /// The peer's key is not the one bound to its id.
        case wrongKey(ServerID)
        case invalidSignature
        /// A key or an id of this server came back.
        case reflected
        /// An X25519 result was all zeros.
        case weakKey
        /// The cryptographic library refused.
        case unavailable

        /// What the peer is told.
        public var closeCode: CloseCode {
            switch self {
            case .malformed, .invalidState, .weakKey: .protocolError
            case .oversized: .oversized
            case .incompatibleVersion: .incompatibleVersion
            case .noCommonSuite: .noCommonSuite
            case .clockSkew: .clockSkew
            case .wrongPeer: .wrongPeer
            case .untrustedPeer: .untrustedPeer
            case .suspended: .suspended
            case .wrongKey: .wrongKey
            case .invalidSignature: .invalidSignature
            case .reflected: .reflected
            case .unavailable: .internalError
            }
        }
    }
}
