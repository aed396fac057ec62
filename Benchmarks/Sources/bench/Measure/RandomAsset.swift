import FederationService

extension AssetStore {
    /// Stores so many bytes that no program compresses, a piece at a time; with the same seed always the same ones.
    func addRandom(bytes count: Int, seed: UInt64) async throws -> AssetListing {
        let writer = try await write()
        var random = SplitMix(seed: seed)
        var written = 0
        while written < count {
            let piece = random.bytes(min(1 << 20, count - written))
            try await writer.append(piece)
            written += piece.count
        }
        return try await writer.commit()
    }
}
