public import FederationCore
public import FederationModel

/// What reading an asset again found.
public enum HeldAsset: Hashable, Sendable {
    /// It is not held.
    case missing
    /// It is held, and its bytes are not what its hash says.
    case damaged
    case whole(VerifiedAsset)
}

extension AssetStore {
    public func verify(_ hashes: [ContentHash]) async throws -> [HeldAsset] {
        try await verifyByReading(hashes)
    }

    /// ``verify(_:)`` in the plainest way: for stores that have no faster one, and what a faster one is tested against.
    public func verifyByReading(_ hashes: [ContentHash]) async throws -> [HeldAsset] {
        var found: [HeldAsset] = []
        found.reserveCapacity(hashes.count)
        for hash in hashes { found.append(try await verifyByReading(hash)) }
        return found
    }

    private func verifyByReading(_ hash: ContentHash) async throws -> HeldAsset {
        guard let size = try await size(of: hash) else { return .missing }
        var verifier = AssetVerifier(hash: hash, size: size)
        while verifier.received < size {
            let part = try await read(hash, offset: verifier.received, length: 1 << 20)
            guard let part, !part.isEmpty, (try? verifier.update(part)) != nil else { return .damaged }
        }
        return (try? verifier.finish()).map { .whole($0) } ?? .damaged
    }
}
