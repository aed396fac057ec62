public import FederationModel

/// Why bytes are not a frame, or a frame may not become bytes.
public enum FrameFailure: Error, Hashable, Sendable {
    /// The frame has more bytes than ``Limits/frameBytes``; the size is told.
    case oversized(Int)
    /// Not a protocol buffer of the schema, or one without a body.
    case malformed
    /// A kind of frame that this version does not know. A newer peer may send one; it is ignored.
    case unknownType
    /// A field is longer than its bound.
    case fieldOversized(Field)
    /// A field is missing or breaks its grammar.
    case invalidField(Field)

    /// The fields that are checked, by their name in the schema.
    public enum Field: String, Hashable, Sendable, CaseIterable {
        case serverID = "server_id"
        case sequence
        case worldID = "world_id"
        case answer
        case sha256
        case size
        case offset
        case length
        case chunk
        case refused
        case handoffID = "handoff_id"
        case token
        case snapshot
        case code
        case reason
        case receipt
        case decision
        case tokens
        case players
        case epoch
        case card
        case revocation
        case statement
        case statements
        case cards
    }

    /// What a channel on which the frame arrived is closed with; nil when the frame is to be ignored.
    public var closeCode: CloseCode? {
        switch self {
        case .oversized, .fieldOversized: .oversized
        case .malformed, .invalidField: .protocolError
        case .unknownType: nil
        }
    }
}

extension FrameFailure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .oversized(let count): "a frame of \(count) bytes is over the bound of \(Limits.frameBytes)"
        case .malformed: "not a frame of the federation protocol"
        case .unknownType: "a frame of a kind that this version does not know"
        case .fieldOversized(let field): "the field \(field.rawValue) is over its bound"
        case .invalidField(let field): "the field \(field.rawValue) is missing or not in its grammar"
        }
    }
}
