import Crypto

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Bytes that nobody else may learn: they cannot be copied, are compared in constant time, have no description, and are
/// overwritten when the value dies.
public struct SecretBytes: ~Copyable, Sendable {
    /// swift-crypto's container overwrites its storage when it is released; it is never handed out.
    let key: SymmetricKey

    /// Takes the bytes over: `bytes` holds zeros afterwards.
    public init(taking bytes: inout [UInt8]) {
        key = SymmetricKey(data: bytes)
        overwrite(&bytes)
    }

    init(_ key: SymmetricKey) {
        self.key = key
    }

    /// How many bytes there are.
    public var count: Int { key.bitCount / 8 }

    /// Whether both hold the same bytes. Takes the same time whatever they hold.
    public func equals(_ other: borrowing SecretBytes) -> Bool {
        key == other.key
    }
}

/// Fills `bytes` with zeros in a way that the optimizer does not remove.
func overwrite(_ bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { overwrite($0) }
}

/// The same for any memory.
func overwrite(_ bytes: UnsafeMutableRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    #if canImport(Darwin)
        memset_s(base, bytes.count, 0, bytes.count)
    #else
        explicit_bzero(base, bytes.count)
    #endif
}
