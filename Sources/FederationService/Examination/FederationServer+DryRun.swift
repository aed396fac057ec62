import FederationCore
import FederationModel

/// What a crossing into a peer's world needs besides leave and a place: the world's manifest, and its files.
extension FederationServer {
    /// Asks for a world's manifest, and for a file of it that is not here, as a crossing would. Nothing is kept.
    ///
    /// - Returns: one finding, `assets`.
    func dryRun(of world: WorldID, at peer: ServerID) async -> Finding {
        guard node.channel(to: peer) != nil else {
            return .warning(
                Self.assetsCheck, "assets.untried", "no channel with \(peer) is open, so \(world) was not asked for",
                "see the lines above; then try again")
        }
        do {
            let (hash, size) = try await manifestAddress(of: world, at: peer)
            guard size <= Self.dryRunManifestBytes else {
                try await fetchFirstChunk(of: hash, size: size, name: "the manifest of \(world)", from: peer)
                return .ok(Self.assetsCheck, "the manifest of \(world) comes from \(peer); its files were not counted")
            }
            let manifest = try await manifest(of: world, hash, size: size, from: peer)
            return try await held(manifest, from: peer)
        } catch let refusal as Refusal {
            return Finding(Self.assetsCheck, refusal, refusal.code == "peer.disconnected" ? .warning : .wrong)
        } catch let failure as ManifestFailure {
            return .wrong(
                Self.assetsCheck, "manifest.invalid", "the manifest of \(world): \(failure.refusal.reason)",
                "its operator offers the world anew: aether worlds add \(world)")
        } catch let mismatch as AssetMismatch {
            return .wrong(
                Self.assetsCheck, "asset.mismatch",
                "the manifest of \(world) is not what \(peer) promises: \(mismatch.refusal.reason)",
                "its operator offers the world anew: aether worlds add \(world)")
        } catch {
            return .wrong(
                Self.assetsCheck, "store.failed", "this server's own files cannot be read: \(error)",
                "see to its disk; aether doctor names more")
        }
    }

    private static let assetsCheck = "assets"
    /// Bytes of a manifest that is fetched only to be looked at.
    private static let dryRunManifestBytes: Int64 = 1 << 20
    /// Files of one world that are looked for.
    private static let dryRunFiles = 1_000

    private func manifest(
        of world: WorldID, _ hash: ContentHash, size: Int64, from peer: ServerID
    ) async throws -> WorldManifest {
        var bytes: [UInt8] = []
        if let held = try await assets.readAll(hash, atMost: Int(Self.dryRunManifestBytes)) {
            bytes = held
        } else {
            try await fetchChunks(0..<size, of: hash, name: "the manifest of \(world)", from: peer) { chunks in
                for chunk in chunks { bytes += chunk }
            }
            var verifier = AssetVerifier(hash: hash, size: size)
            try verifier.update(bytes)
            _ = try verifier.finish()
        }
        let manifest = try WorldManifest(canonicalBytes: bytes)
        try Self.check(manifest, isOf: world, from: peer)
        return manifest
    }

    /// What of a world's files is here, and whether what is not would come.
    private func held(_ manifest: WorldManifest, from peer: ServerID) async throws -> Finding {
        var missing: [AssetEntry] = []
        for entry in manifest.entries.prefix(Self.dryRunFiles) where try await assets.size(of: entry.hash) != entry.size
        {
            missing.append(entry)
        }
        let count = manifest.entries.count
        let seen = min(count, Self.dryRunFiles)
        guard let first = missing.first(where: { $0.size > 0 }) else {
            return .ok(
                Self.assetsCheck, "the manifest of \(manifest.world) and \(seen) of its \(count) files are here")
        }
        try await fetchFirstChunk(of: first.hash, size: first.size, name: first.path, from: peer)
        return .ok(
            Self.assetsCheck,
            "\(seen - missing.count) of \(seen) files of \(manifest.world) are here; the others come from \(peer)")
    }

    private func fetchFirstChunk(of hash: ContentHash, size: Int64, name: String, from peer: ServerID) async throws {
        try await fetchChunks(0..<min(size, Int64(Limits.assetChunkBytes)), of: hash, name: name, from: peer) { _ in }
    }
}
