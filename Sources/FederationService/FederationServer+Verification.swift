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
    /// In the order in which they came.
    var waiting: [(crossing: HandoffID, continuation: CheckedContinuation<Outcome, Never>)] = []
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

/// An asset that a world needs.
private struct WantedAsset: Sendable {
    let hash: ContentHash
    /// In bytes, as the manifest says.
    let size: Int64
    /// For people.
    let name: String

    /// So many small assets, or one large one, are verified in one call to the store.
    private static let batchCount = 64
    private static let batchBytes: Int64 = 4 << 20

    static func batches(of assets: [WantedAsset]) -> [[WantedAsset]] {
        var batches: [[WantedAsset]] = []
        var count = batchCount
        var bytes: Int64 = 0
        for asset in assets {
            // Compared without adding: the sizes are a stranger's.
            if count < batchCount, asset.size < batchBytes - bytes {
                batches[batches.count - 1].append(asset)
                count += 1
                bytes += asset.size
            } else {
                batches.append([asset])
                count = 1
                bytes = asset.size
            }
        }
        return batches
    }
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
        let (hash, size) = try await sharedManifestAddress(of: world, at: peer)
        // Whoever was called off meanwhile neither begins a verification nor waits for one.
        guard crossings[follower.crossing]?.phase == .verifying else { throw Self.calledOff }
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
            outcome = await withCheckedContinuation { verifications[key]?.waiting.append((follower.crossing, $0)) }
        } else {
            verifications[key] = WorldVerification(followers: [follower])
            outcome = await verification(of: world, key, size: size)
            for waiting in verifications.removeValue(forKey: key)?.waiting ?? [] {
                waiting.continuation.resume(returning: outcome)
            }
        }
        let (proof, fetched) = try outcome.get()
        try Self.check(proof.manifest, isOf: world, from: peer)
        return (proof, fetched)
    }

    /// A crossing has ended before its world was verified: it is told nothing more, and waits no longer. The verification itself
    /// goes on, for the others and for the next one.
    func stopFollowing(_ crossing: HandoffID, because refusal: Refusal) {
        for key in Array(verifications.keys) {
            verifications[key]?.followers.removeAll { $0.crossing == crossing }
            guard let place = verifications[key]?.waiting.firstIndex(where: { $0.crossing == crossing }) else {
                continue
            }
            verifications[key]?.waiting.remove(at: place).continuation.resume(returning: .failure(refusal))
        }
    }

    private func verification(
        of world: WorldID, _ key: WorldVerification.Key, size: Int64
    ) async -> WorldVerification.Outcome {
        do {
            let (_, manifestFetched) = try await verifyAssets(
                [WantedAsset(hash: key.manifest, size: size, name: "the manifest of \(world)")], of: key.peer
            ) { _ in }
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

    /// Verifies each content once, however many files have it, and tells the followers how many files are done.
    private func verifyAssets(
        of manifest: WorldManifest, _ key: WorldVerification.Key
    ) async throws -> ([VerifiedAsset], fetched: Int64) {
        var files: [ContentHash: Int] = [:]
        var wanted: [WantedAsset] = []
        for entry in manifest.entries {
            files[entry.hash, default: 0] += 1
            if files[entry.hash] == 1 {
                wanted.append(WantedAsset(hash: entry.hash, size: entry.size, name: entry.path))
            }
        }
        var done = 0
        return try await verifyAssets(wanted, of: key.peer) { asset in
            self.assertIsolated()
            done += files[asset.hash] ?? 0
            for follower in verifications[key]?.followers ?? [] {
                subscribers.tell(
                    follower.player, .verifying(follower.crossing, verified: done, of: manifest.entries.count))
            }
        }
    }

    /// Verifies what is held, several batches at a time, and then fetches what is missing, several assets at a time.
    ///
    /// - Parameter verified: called with each proof as it comes.
    private func verifyAssets(
        _ wanted: [WantedAsset], of peer: ServerID, verified: (VerifiedAsset) -> Void
    ) async throws -> ([VerifiedAsset], fetched: Int64) {
        var proofs: [VerifiedAsset] = []
        proofs.reserveCapacity(wanted.count)
        var missing: [WantedAsset] = []
        try await severalAtOnce(WantedAsset.batches(of: wanted)) { batch in
            try await self.verifyHeld(batch, of: peer)
        } then: { held in
            missing += held.missing
            for proof in held.proofs {
                proofs.append(proof)
                verified(proof)
            }
        }
        var fetched: Int64 = 0
        try await severalAtOnce(missing) { asset in
            try await self.fetch(asset, of: peer)
        } then: { proof in
            fetched += proof.size
            proofs.append(proof)
            verified(proof)
        }
        return (proofs, fetched)
    }

    /// Performs each piece of work, a few at a time, and hands over the results as they come, on this actor.
    private func severalAtOnce<Work: Sendable, Result: Sendable>(
        _ works: [Work], _ perform: @escaping @Sendable (Work) async throws -> Result, then take: (Result) -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Result.self) { group in
            // Also makes it so: a body that does not name the actor runs anywhere, and what it calls with it (SE-0313, SE-0420).
            self.assertIsolated()
            for (index, work) in works.enumerated() {
                if index >= Self.assetsAtOnce, let result = try await group.next() { take(result) }
                group.addTask { try await perform(work) }
            }
            while let result = try await group.next() { take(result) }
        }
    }

    /// Assets, or batches of them, that are verified at the same time.
    private static let assetsAtOnce = 8

    static func check(_ manifest: WorldManifest, isOf world: WorldID, from peer: ServerID) throws(Refusal) {
        guard manifest.world == world else {
            throw refused("manifest.wrongWorld", "the manifest of \(world) is one of \(manifest.world)", peer)
        }
    }

    func manifestAddress(of world: WorldID, at peer: ServerID) async throws(Refusal) -> (ContentHash, Int64) {
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

    /// Reads again what is held. What is held and damaged is moved out of sight and is missing then; what is held and whole
    /// stays, whatever size a peer's manifest gives it.
    private func verifyHeld(
        _ batch: [WantedAsset], of peer: ServerID
    ) async throws -> (proofs: [VerifiedAsset], missing: [WantedAsset]) {
        var proofs: [VerifiedAsset] = []
        var missing: [WantedAsset] = []
        for (asset, found) in zip(batch, try await assets.verify(batch.map(\.hash))) {
            var held = found
            if case .damaged = found { held = try await putAway(damaged: asset.hash) }
            switch held {
            case .whole(let proof):
                guard proof.size == asset.size else {
                    throw Self.mismatch(.size(expected: asset.size, actual: proof.size), of: asset.name, from: peer)
                }
                proofs.append(proof)
            case .damaged, .missing:
                missing.append(asset)
            }
        }
        return (proofs, missing)
    }

    /// Fetches an asset in chunks, which are written in order as they arrive; the writer verifies them.
    private func fetch(_ asset: WantedAsset, of peer: ServerID) async throws -> VerifiedAsset {
        let writer = try await assets.write()
        do {
            try await fetchChunks(0..<asset.size, of: asset.hash, name: asset.name, from: peer) {
                try await writer.append(pieces: $0)
            }
            let proof = try await keep(writer, as: asset.hash, size: asset.size)
            Counter(label: "aether_assets_fetched_total").increment()
            Counter(label: "aether_assets_fetched_bytes_total").increment(by: asset.size)
            return proof
        } catch {
            await writer.abandon()
            guard let failure = error as? AssetWriteFailure else { throw error }
            Counter(label: "aether_asset_mismatches_total").increment()
            throw Self.mismatch(failure.mismatch, of: asset.name, from: peer)
        }
    }

    private static func mismatch(_ mismatch: AssetMismatch, of name: String, from peer: ServerID) -> Refusal {
        refused(
            "asset.mismatch", "\(name) from \(peer) is not what its manifest promises: \(mismatch.refusal.reason)", peer
        )
    }
}
