import Collections
import FederationCore
import FederationModel
import FederationWire
import Metrics

/// A crossing that waits until a world is verified, and is told how far that is.
struct Follower: Sendable {
    let crossing: HandoffID
    let player: PlayerID
}

/// The verification of one world that is under way: players who want to go there meanwhile wait for the same one.
struct WorldVerification {
    struct Key: Hashable {
        let manifest: ContentHash
        let peer: ServerID
    }

    typealias Outcome = Result<(VerifiedManifest, fetched: Int64), Refusal>

    var followers: [Follower]
    var waiting: [CheckedContinuation<Outcome, Never>] = []
}

/// Worlds that were verified in the life of this process, by the hash of their manifest; bounded by the files they name.
struct VerifiedWorlds {
    private var worlds: [ContentHash: VerifiedManifest] = [:]
    private var entries = 0

    /// Files of all worlds that are remembered, unless one world alone has more.
    static let maximumEntries = 4 * Limits.manifestEntries

    subscript(_ manifest: ContentHash) -> VerifiedManifest? { worlds[manifest] }

    mutating func insert(_ world: VerifiedManifest, as hash: ContentHash) {
        guard worlds[hash] == nil else { return }
        let weight = max(1, world.manifest.entries.count)
        if entries + weight > Self.maximumEntries {
            worlds = [:]
            entries = 0
        }
        worlds[hash] = world
        entries += weight
    }
}

/// Chunk requests on the way to one peer: at most ``Limits/assetRequestsInFlight``, the rest wait for their turn.
struct ChunkSlots {
    var inUse = 0
    var waiting: Deque<CheckedContinuation<Void, Never>> = []
}

extension Refusal {
    /// The refusal with the step in which it came, if it does not say so itself.
    fileprivate func during(_ step: CrossingStep) -> Refusal {
        guard self.step == nil else { return self }
        return Refusal(kind, code: code, reason: reason, remedy: remedy, step: step)
    }
}

/// Step 5 of a crossing: every asset of the destination world is here and has the hash that its manifest promises.
extension FederationServer {
    /// Makes sure that every asset of a peer's world is held here with the hash that its manifest promises: what is held
    /// is read again, once in the life of this process; what is not is fetched and verified before it is kept.
    ///
    /// - Returns: the proof, and how many bytes were fetched.
    func verifyWorld(
        _ world: WorldID, of peer: ServerID, for follower: Follower
    ) async throws(Refusal) -> (VerifiedManifest, fetched: Int64) {
        let (hash, size) = try await manifestAddress(of: world, at: peer)
        if let known = verifiedWorlds[hash] {
            try Self.check(known.manifest, isOf: world, from: peer)
            return (known, 0)
        }
        guard size <= Limits.manifestBytes else {
            throw Self.refused("manifest.tooLarge", "the manifest of \(world) has \(size) bytes", peer)
        }
        let key = WorldVerification.Key(manifest: hash, peer: peer)
        let outcome: WorldVerification.Outcome
        if verifications[key] != nil {
            verifications[key]?.followers.append(follower)
            outcome = await withCheckedContinuation { verifications[key]?.waiting.append($0) }
        } else {
            verifications[key] = WorldVerification(followers: [follower])
            outcome = await verification(of: world, key, size: size)
            for waiting in verifications.removeValue(forKey: key)?.waiting ?? [] { waiting.resume(returning: outcome) }
        }
        let (proof, fetched) = try outcome.get()
        try Self.check(proof.manifest, isOf: world, from: peer)
        return (proof, fetched)
    }

    private func verification(
        of world: WorldID, _ key: WorldVerification.Key, size: Int64
    ) async -> WorldVerification.Outcome {
        do {
            let (_, manifestFetched) = try await verifiedAsset(
                key.manifest, size: size, name: "the manifest of \(world)", of: key.peer)
            let manifest = try await readManifest(key.manifest, world: world, of: key.peer)
            let (verified, fetched) = try await verifyAssets(of: manifest, key)
            let proof = try VerifiedManifest(manifest, assets: verified)
            verifiedWorlds.insert(proof, as: key.manifest)
            return .success((proof, manifestFetched + fetched))
        } catch let refusal as Refusal {
            return .failure(refusal.during(.verification))
        } catch let failure as VerifiedManifest.Failure {
            return .failure(
                Self.refused("manifest.unverified", "the manifest of \(world) contradicts itself: \(failure)", key.peer)
            )
        } catch {
            return .failure(Self.storeFailed(error))
        }
    }

    /// Verifies several assets at a time, each content once, however many files have it.
    private func verifyAssets(
        of manifest: WorldManifest, _ key: WorldVerification.Key
    ) async throws -> ([VerifiedAsset], fetched: Int64) {
        var files: [ContentHash: Int] = [:]
        var entries: [AssetEntry] = []
        for entry in manifest.entries {
            files[entry.hash, default: 0] += 1
            if files[entry.hash] == 1 { entries.append(entry) }
        }
        var verified: [VerifiedAsset] = []
        verified.reserveCapacity(entries.count)
        var fetched: Int64 = 0
        var done = 0
        try await withThrowingTaskGroup(of: (VerifiedAsset, Int64).self) { group in
            var next = 0
            while verified.count < entries.count {
                while next < entries.count, next - verified.count < Self.assetsAtOnce {
                    let entry = entries[next]
                    next += 1
                    group.addTask {
                        try await self.verifiedAsset(entry.hash, size: entry.size, name: entry.path, of: key.peer)
                    }
                }
                guard let (asset, bytes) = try await group.next() else { return }
                verified.append(asset)
                fetched += bytes
                done += files[asset.hash] ?? 0
                for follower in verifications[key]?.followers ?? [] {
                    subscribers.tell(
                        follower.player, .verifying(follower.crossing, verified: done, of: manifest.entries.count))
                }
            }
        }
        return (verified, fetched)
    }

    /// Assets that are verified at the same time.
    private static let assetsAtOnce = 8
    /// Chunks of one asset that are on the way at the same time.
    private static let chunksAtOnce = 4

    private static func check(_ manifest: WorldManifest, isOf world: WorldID, from peer: ServerID) throws(Refusal) {
        guard manifest.world == world else {
            throw refused("manifest.wrongWorld", "the manifest of \(world) is one of \(manifest.world)", peer)
        }
    }

    private func manifestAddress(of world: WorldID, at peer: ServerID) async throws(Refusal) -> (ContentHash, Int64) {
        let answer = try await ask(peer) { request in
            .worldRequest(FederationFrame.WorldRequest(request: request, world: world))
        }
        switch answer {
        case .world(.manifest(let hash, let size)):
            return (hash, size)
        case .world(.refused(let code)):
            throw Self.refused(code, "\(peer) refused to name the manifest of \(world)", peer)
        case .asset:
            throw Self.refused("peer.confused", "\(peer) answered another question", peer)
        }
    }

    private func readManifest(_ hash: ContentHash, world: WorldID, of peer: ServerID) async throws(Refusal)
        -> WorldManifest
    {
        do {
            guard let bytes = try await assets.readAll(hash, atMost: Limits.manifestBytes) else {
                throw Self.refused("manifest.lost", "the manifest of \(world) is gone from the store", peer)
            }
            let manifest = try WorldManifest(canonicalBytes: bytes)
            try Self.check(manifest, isOf: world, from: peer)
            return manifest
        } catch let refusal as Refusal {
            throw refusal
        } catch let failure as ManifestFailure {
            throw Self.refused("manifest.invalid", failure.refusal.reason, peer)
        } catch {
            throw Self.storeFailed(error)
        }
    }

    /// Verifies what is held, or fetches it. What is held and damaged is moved out of sight and fetched again; what is held
    /// and whole stays, whatever size a peer's manifest gives it.
    private func verifiedAsset(
        _ hash: ContentHash, size: Int64, name: String, of peer: ServerID
    ) async throws(Refusal) -> (VerifiedAsset, fetched: Int64) {
        do {
            if let held = try await assets.size(of: hash) {
                if let asset = try await verifyHeld(hash, size: held) {
                    guard held == size else {
                        throw Self.mismatch(.size(expected: size, actual: held), of: name, from: peer)
                    }
                    return (asset, 0)
                }
                logger.error("an asset on disk is damaged and was moved away", metadata: ["asset": "\(hash)"])
                Counter(label: "aether_assets_quarantined_total").increment()
                try await assets.quarantine(hash)
            }
            return (try await fetch(hash, size: size, name: name, of: peer), size)
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw Self.storeFailed(error)
        }
    }

    private func verifyHeld(_ hash: ContentHash, size: Int64) async throws -> VerifiedAsset? {
        var verifier = AssetVerifier(hash: hash, size: size)
        while verifier.received < size {
            let part = try await assets.read(hash, offset: verifier.received, length: 1 << 20)
            guard let part, !part.isEmpty else { return nil }
            guard (try? verifier.update(part)) != nil else { return nil }
        }
        return try? verifier.finish()
    }

    /// Fetches an asset in chunks, several at a time, hashing in order as they arrive.
    private func fetch(_ hash: ContentHash, size: Int64, name: String, of peer: ServerID) async throws -> VerifiedAsset
    {
        var verifier = AssetVerifier(hash: hash, size: size)
        let writer = try await assets.write()
        do {
            var offset: Int64 = 0
            while offset < size {
                let window = stride(from: offset, to: size, by: Limits.assetChunkBytes).prefix(Self.chunksAtOnce)
                for chunk in try await chunks(at: Array(window), of: hash, size: size, name: name, from: peer) {
                    try verifier.update(chunk)
                    try await writer.append(chunk)
                    offset += Int64(chunk.count)
                }
            }
            let asset = try verifier.finish()
            try await writer.commit(hash, size: size)
            Counter(label: "aether_assets_fetched_total").increment()
            Counter(label: "aether_assets_fetched_bytes_total").increment(by: size)
            return asset
        } catch {
            await writer.abandon()
            guard let mismatch = error as? AssetMismatch else { throw error }
            Counter(label: "aether_asset_mismatches_total").increment()
            throw Self.mismatch(mismatch, of: name, from: peer)
        }
    }

    private static func mismatch(_ mismatch: AssetMismatch, of name: String, from peer: ServerID) -> Refusal {
        refused(
            "asset.mismatch", "\(name) from \(peer) is not what its manifest promises: \(mismatch.refusal.reason)", peer
        )
    }

    private func chunks(
        at offsets: [Int64], of hash: ContentHash, size: Int64, name: String, from peer: ServerID
    ) async throws -> [[UInt8]] {
        try await withThrowingTaskGroup(of: (Int, [UInt8]).self) { group in
            for (index, offset) in offsets.enumerated() {
                let length = Int(min(Int64(Limits.assetChunkBytes), size - offset))
                group.addTask {
                    (index, try await self.chunk(hash, at: offset, length: length, name: name, from: peer))
                }
            }
            var parts = [[UInt8]](repeating: [], count: offsets.count)
            for try await (index, bytes) in group { parts[index] = bytes }
            return parts
        }
    }

    private func chunk(
        _ hash: ContentHash, at offset: Int64, length: Int, name: String, from peer: ServerID
    ) async throws(Refusal) -> [UInt8] {
        await takeSlot(to: peer)
        defer { returnSlot(to: peer) }
        let answer = try await ask(peer) { request in
            .assetRequest(FederationFrame.AssetRequest(request: request, hash: hash, offset: offset, length: length))
        }
        switch answer {
        case .asset(.chunk(let bytes)):
            guard bytes.count == length else {
                throw Self.refused(
                    "asset.truncated", "\(name) from \(peer) is shorter than its manifest promises", peer)
            }
            return bytes
        case .asset(.refused(let code)):
            throw Self.refused(code, "\(peer) refused to send \(name)", peer)
        case .world:
            throw Self.refused("peer.confused", "\(peer) answered another question", peer)
        }
    }

    private func takeSlot(to peer: ServerID) async {
        guard chunkSlots[peer, default: ChunkSlots()].inUse >= Limits.assetRequestsInFlight else {
            chunkSlots[peer, default: ChunkSlots()].inUse += 1
            return
        }
        // Whoever returns a slot hands it on.
        await withCheckedContinuation { chunkSlots[peer, default: ChunkSlots()].waiting.append($0) }
    }

    private func returnSlot(to peer: ServerID) {
        if let next = chunkSlots[peer]?.waiting.popFirst() {
            next.resume()
        } else if let inUse = chunkSlots[peer]?.inUse {
            chunkSlots[peer] = inUse > 1 ? ChunkSlots(inUse: inUse - 1) : nil
        }
    }
}
