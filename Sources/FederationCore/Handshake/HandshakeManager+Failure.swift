public import FederationCrypto
public import FederationModel

extension HandshakeManager {
    /// Why a handshake, or the trust that it gave, ended.
    public enum Failure: Error, Hashable, Sendable {
        /// The channel has a session, or this server is dialling that peer on another channel already.
        case alreadyInProgress
        /// The channel has no session.
        case sessionNotFound
        /// ``Limits/openHandshakes`` are unfinished.
        case overloaded
        /// A message that is not due now.
        case invalidState(String)
        case malformed(String)
        case oversized(Int)
        case incompatibleVersion(ProtocolVersions)
        case noCommonSuite
        case clockSkew(Duration)
        case wrongPeer(expected: ServerID, actual: ServerID)
        case untrustedPeer(ServerID)
        case suspended(ServerID)
        case wrongKey(ServerID)
        case invalidSignature
        case reflected
        /// The peer's first record does not open: it has not got the keys.
        case badRecord
        case timeout
        /// Another channel with the same peer is kept.
        case duplicateChannel(ServerID)
        /// Completed trust has expired.
        case trustExpired(ServerID)
        /// The cryptographic library refused.
        case unavailable

        init(_ failure: Handshake.Failure) {
            switch failure {
            case .malformed(let reason): self = .malformed(reason)
            case .oversized(let size): self = .oversized(size)
            case .invalidState(let reason): self = .invalidState(reason)
            case .incompatibleVersion(let versions): self = .incompatibleVersion(versions)
            case .noCommonSuite: self = .noCommonSuite
            case .clockSkew(let offset): self = .clockSkew(offset)
            case .wrongPeer(let expected, let actual): self = .wrongPeer(expected: expected, actual: actual)
            case .untrustedPeer(let server): self = .untrustedPeer(server)
            case .suspended(let server): self = .suspended(server)
            case .wrongKey(let server): self = .wrongKey(server)
            case .invalidSignature: self = .invalidSignature
            case .reflected: self = .reflected
            case .weakKey: self = .malformed("an X25519 key of small order")
            case .unavailable: self = .unavailable
            }
        }

        init(_ failure: RecordLayer.Failure) {
            switch failure {
            case .oversized(let size): self = .oversized(size)
            case .doesNotOpen: self = .badRecord
            case .malformed, .needlessRekey, .overdueRekey: self = .malformed("the first record is not Ready")
            case .closed, .unavailable: self = .unavailable
            }
        }

        /// What the peer is told.
        public var closeCode: CloseCode {
            switch self {
            case .alreadyInProgress, .duplicateChannel: .duplicateChannel
            case .sessionNotFound, .unavailable: .internalError
            case .overloaded: .overloaded
            case .invalidState, .malformed: .protocolError
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
            case .badRecord: .badRecord
            case .timeout: .handshakeTimeout
            case .trustExpired: .trustExpired
            }
        }
    }
}

extension HandshakeManager.Failure {
    /// The failure for a person and for programs.
    public var refusal: Refusal {
        switch self {
        case .alreadyInProgress:
            refusal(.conflict, "inProgress", "a handshake with this peer is already under way", "wait until it is over")
        case .sessionNotFound:
            refusal(.notFound, "sessionNotFound", "the channel has no handshake", "open the channel first")
        case .overloaded:
            refusal(.overloaded, "overloaded", "too many handshakes are unfinished", "try again in a moment")
        case .invalidState(let reason):
            refusal(.invalid, "invalidState", "the peer sent \(reason)", "check that both run the same protocol")
        case .malformed(let reason):
            refusal(
                .invalid, "malformed", "the handshake does not parse: \(reason)", "check what answers at that address")
        case .oversized(let size):
            refusal(
                .invalid, "oversized", "a handshake message has \(size) bytes", "check what answers at that address")
        case .incompatibleVersion(let versions):
            refusal(
                .conflict, "incompatibleVersion",
                "the peer speaks only protocol versions \(versions.minimum) to \(versions.maximum)",
                "update the older of the two servers")
        case .noCommonSuite:
            refusal(
                .conflict, "noCommonSuite", "the two servers allow no cipher suite in common",
                "allow a common suite in both configurations")
        case .clockSkew(let offset):
            refusal(
                .conflict, "clockSkew",
                "the peer's clock is \(offset.components.seconds.magnitude) s \(offset < .zero ? "behind" : "ahead")",
                "set both clocks, for example by NTP")
        case .wrongPeer(let expected, let actual):
            refusal(
                .forbidden, "wrongPeer", "\(expected) was meant but \(actual) answered",
                "correct the endpoint or the id of the peer")
        case .untrustedPeer(let server):
            refusal(
                .forbidden, "untrustedPeer", "\(server) is not a peer of this server",
                "compare fingerprints, then: aether peers add \(server)")
        case .suspended(let server):
            refusal(.forbidden, "suspended", "\(server) is suspended", "aether peers reinstate \(server)")
        case .wrongKey(let server):
            refusal(
                .forbidden, "wrongKey", "\(server) proved another key than the one known here",
                "compare fingerprints with its operator before anything else")
        case .invalidSignature, .reflected, .badRecord:
            proofRefusal
        case .timeout:
            refusal(.unavailable, "timeout", "the handshake took too long", "check the network between the two servers")
        case .duplicateChannel(let server):
            refusal(.conflict, "duplicateChannel", "another channel with \(server) is kept", "nothing needs to be done")
        case .trustExpired(let server):
            refusal(.conflict, "trustExpired", "trust in \(server) has expired", "a new handshake renews it")
        case .unavailable:
            refusal(.unavailable, "unavailable", "the cryptographic library refused", "look at this server's log")
        }
    }

    /// Failures that mean that somebody stands between the two servers, or that one of them is broken.
    private var proofRefusal: Refusal {
        let (code, reason) =
            switch self {
            case .reflected: ("reflected", "this server's own messages came back")
            case .badRecord: ("badRecord", "the peer could not show that it has the channel's keys")
            default: ("invalidSignature", "the peer's signature does not verify")
            }
        return refusal(.forbidden, code, reason, "check the address; somebody may be in between")
    }

    private func refusal(_ kind: Refusal.Kind, _ code: String, _ reason: String, _ remedy: String) -> Refusal {
        Refusal(kind, code: "handshake.\(code)", reason: reason, remedy: remedy, step: .handshake)
    }
}
