import Crypto
public import FederationModel

/// SHA-256 (FIPS 180-4) of content that arrives in pieces.
public struct ContentHasher: Sendable {
    private var state = SHA256()

    public init() {}

    public mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { state.update(bufferPointer: $0) }
    }

    public mutating func update(_ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { state.update(bufferPointer: $0) }
    }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        state.update(bufferPointer: bytes)
    }

    /// The hash of everything so far. The hasher may go on afterwards.
    public func finalize() -> ContentHash {
        guard let hash = ContentHash(bytes: Array(state.finalize())) else {
            preconditionFailure("SHA-256 has 32 bytes (FIPS 180-4 §1)")
        }
        return hash
    }
}

extension ContentHash {
    /// The SHA-256 of `bytes`.
    public static func of(_ bytes: [UInt8]) -> ContentHash {
        var hasher = ContentHasher()
        hasher.update(bytes)
        return hasher.finalize()
    }
}
