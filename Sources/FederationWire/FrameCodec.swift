import FederationModel
import SwiftProtobuf

/// The form of a ``FederationFrame`` on the wire: the protocol buffer `Frame` of `federation.proto`.
public enum FrameCodec {
    /// The bytes of `frame`, at most ``Limits/frameBytes``. The same frame always has the same bytes.
    ///
    /// Throws when a field is out of the bounds that ``decode(_:)`` keeps.
    public static func encode(_ frame: FederationFrame) throws(FrameFailure) -> [UInt8] {
        let message = try WireFrame(frame)
        let bytes: [UInt8]
        do {
            bytes = try message.serializedBytes()
        } catch {
            throw .malformed
        }
        guard bytes.count <= Limits.frameBytes else { throw .oversized(bytes.count) }
        return bytes
    }

    /// The frame that `bytes` stand for. The size is checked before anything is parsed, and each field before it is
    /// copied. Fields that this version does not know are ignored.
    public static func decode(_ bytes: [UInt8]) throws(FrameFailure) -> FederationFrame {
        guard bytes.count <= Limits.frameBytes else { throw .oversized(bytes.count) }
        var options = BinaryDecodingOptions()
        options.messageDepthLimit = messageDepth
        let message: WireFrame
        do {
            message = try WireFrame(serializedBytes: bytes, options: options)
        } catch {
            throw .malformed
        }
        return try message.parsed()
    }

    /// Nesting of messages in the schema, with some room for fields that are not known yet.
    private static let messageDepth = 8
}
