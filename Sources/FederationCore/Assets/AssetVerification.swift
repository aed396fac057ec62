import FederationCrypto
public import FederationModel

/// What verifying found.
public enum VerificationResult: Hashable, Sendable {
    case valid
    case hashMismatch(expected: ContentHash, actual: ContentHash)
    /// In bytes.
    case sizeMismatch(expected: Int64, actual: Int64)

    public init(_ mismatch: AssetMismatch) {
        switch mismatch {
        case .hash(let expected, let actual): self = .hashMismatch(expected: expected, actual: actual)
        case .size(let expected, let actual): self = .sizeMismatch(expected: expected, actual: actual)
        }
    }
}

/// What an asset must be, and whether bytes have been found to be that.
public struct AssetVerification: Hashable, Sendable {
    public let contentHash: ContentHash
    /// In bytes.
    public let size: Int64
    /// The proof, once bytes were verified; gone again when other bytes fail.
    public private(set) var proof: VerifiedAsset?

    public init(contentHash: ContentHash, size: Int64) {
        self.contentHash = contentHash
        self.size = size
    }

    public init(_ entry: AssetEntry) {
        self.init(contentHash: entry.hash, size: entry.size)
    }

    /// Set only by ``verify(_:)``.
    public var verified: Bool { proof != nil }

    /// The SHA-256 of `bytes`. For content that arrives in pieces there is ``FederationCrypto/ContentHasher``.
    public static func hash(of bytes: [UInt8]) -> ContentHash { ContentHash.of(bytes) }

    /// Compares `bytes` with what the asset must be: the size first, and the hash only when the size is right.
    public mutating func verify(_ bytes: [UInt8]) -> VerificationResult {
        proof = nil
        var verifier = AssetVerifier(hash: contentHash, size: size)
        do throws(AssetMismatch) {
            // What is too small is known to be so before it is hashed, too.
            guard Int64(bytes.count) == size else { throw .size(expected: size, actual: Int64(bytes.count)) }
            try verifier.update(bytes)
            proof = try verifier.finish()
            return .valid
        } catch {
            return VerificationResult(error)
        }
    }
}
