/// What a signature is for. Every use has its own label inside the signed bytes, so that a signature made for one use
/// is worth nothing in another. There is no use for signing what a stranger chose.
///
/// Uses of two kinds exist. A *message* is signed as `length of label (2 bytes) ‖ label ‖ message`. A *statement* is
/// a compact JWS (RFC 7515), signed over its own text as the RFC says; its label is the `typ` in the protected
/// header. The two cannot be mistaken: a message begins with a zero byte, a statement with `e`.
public enum SignatureUse: String, Hashable, Sendable, CaseIterable {
    /// A server's part of the channel handshake.
    case handshake = "aether-federation v1 handshake"
    /// A player's client shows that it holds the key a token names. Signed by the client's key, never by a server's.
    case clientProof = "aether-federation v1 client proof"
    /// ``ServerCard``.
    case serverCard = "aether-card+jwt"
    /// ``KeyRotation``, by the key that is rotated away from.
    case keyRotation = "aether-rotation+jwt"
    /// ``KeyRevocation``, by the recovery key.
    case keyRevocation = "aether-revocation+jwt"
    /// ``Introduction``.
    case introduction = "aether-introduction+jwt"
    /// ``SessionToken``.
    case sessionToken = "aether-session+jwt"
    /// ``AdmissionReceipt``.
    case admissionReceipt = "aether-receipt+jwt"
    /// ``HeartbeatStatement``.
    case heartbeat = "aether-heartbeat+jwt"
    /// ``TreeHead``, by a registry.
    case treeHead = "aether-treehead+jwt"
    /// ``DeregistrationStatement``.
    case deregistration = "aether-deregistration+jwt"
    /// ``Inquiry``.
    case inquiry = "aether-inquiry+jwt"
    /// ``InquiryAnswer``.
    case inquiryAnswer = "aether-inquiry-answer+jwt"
    /// ``ClientTicket``.
    case clientTicket = "aether-ticket+jwt"

    /// What separates this use from every other, inside the signed bytes.
    public var label: String { rawValue }

    /// Whether signatures of this use stand in a compact JWS.
    public var isStatement: Bool {
        switch self {
        case .handshake, .clientProof: false
        case .serverCard, .keyRotation, .keyRevocation, .introduction, .sessionToken, .admissionReceipt, .heartbeat,
            .treeHead, .deregistration, .inquiry, .inquiryAnswer, .clientTicket:
            true
        }
    }

    /// The bytes that Ed25519 signs; nil when `message` is not a signing input of this statement.
    func signedBytes(_ message: [UInt8]) -> [UInt8]? {
        if isStatement {
            return CompactJWS.hasHeader(of: self, message) ? message : nil
        }
        var writer = FieldWriter()
        writer.field(label.utf8)
        return writer.bytes + message
    }
}
