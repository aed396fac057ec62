import FederationCore
import FederationCrypto
import FederationModel
import FederationWire
import Metrics

/// Assets between servers: answers to peers, and the verification of a destination's world.
extension FederationServer {
    // MARK: Answers

    /// Reads what a trusted peer asks for and sends it. A peer may have ``Limits/assetRequestsInFlight`` on the way.
    func serve(_ request: FederationFrame.AssetRequest, on channel: ChannelID) {
        let inFlight = assetReadsInFlight[channel, default: 0]
        guard inFlight < Limits.assetRequestsInFlight * 2 else {
            answer(request, .refused("asset.busy"), on: channel)
            return
        }
        assetReadsInFlight[channel] = inFlight + 1
        Task {
            let answer: FederationFrame.AssetResponse.Answer
            do {
                let bytes = try await self.assets.read(request.hash, offset: request.offset, length: request.length)
                answer = bytes.map { .chunk($0) } ?? .refused("asset.unknown")
            } catch {
                self.logger.error("an asset could not be read: \(error)", metadata: ["asset": "\(request.hash)"])
                answer = .refused("asset.failed")
            }
            self.served(request, answer, on: channel)
        }
    }

    private func served(
        _ request: FederationFrame.AssetRequest, _ answer: FederationFrame.AssetResponse.Answer, on channel: ChannelID
    ) {
        if let inFlight = assetReadsInFlight[channel] {
            assetReadsInFlight[channel] = inFlight > 1 ? inFlight - 1 : nil
        }
        self.answer(request, answer, on: channel)
    }

    private func answer(
        _ request: FederationFrame.AssetRequest, _ answer: FederationFrame.AssetResponse.Answer, on channel: ChannelID
    ) {
        channels[channel]?.sink.send(
            .assetResponse(FederationFrame.AssetResponse(request: request.request, answer: answer)))
    }

    // MARK: Verification

    /// Makes sure that every asset of a peer's world is held here with the hash that its manifest promises: what is held
    /// is read again, once in the life of this process; what is not is fetched and verified before it is kept.
    ///
    /// - Returns: the proof, and how many bytes were fetched.
    func verifyWorld(
        _ world: WorldID, of peer: VerifiedPeer, progress: (_ verified: Int, _ total: Int) -> Void
    ) async throws(Refusal) -> (VerifiedManifest, fetched: Int64) {
        let (hash, size) = try await manifestAddress(of: world, at: peer.serverID)
        if let known = verifiedWorlds[hash] { return (known, 0) }
        guard size <= Limits.manifestBytes else {
            throw Self.refused("manifest.tooLarge", "the manifest of \(world) has \(size) bytes", peer.serverID)
        }
        var fetched: Int64 = 0
        let (_, manifestFetched) = try await verifiedAsset(hash, size: size, name: "the manifest of \(world)", of: peer)
        fetched += manifestFetched
        let manifest = try await readManifest(hash, world: world, of: peer)
        var verified: [VerifiedAsset] = []
        verified.reserveCapacity(manifest.entries.count)
        var next = 0
        let entries = manifest.entries
        do {
            try await withThrowingTaskGroup(of: (VerifiedAsset, Int64).self) { group in
                while next < entries.count || verified.count < entries.count {
                    while next < entries.count, next - verified.count < Self.assetsAtOnce {
                        let entry = entries[next]
                        next += 1
                        group.addTask {
                            try await self.verifiedAsset(entry.hash, size: entry.size, name: entry.path, of: peer)
                        }
                    }
                    guard let (asset, bytes) = try await group.next() else { break }
                    verified.append(asset)
                    fetched += bytes
                    progress(verified.count, entries.count)
                }
            }
            let proof = try VerifiedManifest(manifest, assets: verified)
            if verifiedWorlds.count >= Self.rememberedWorlds { verifiedWorlds.removeAll() }
            verifiedWorlds[hash] = proof
            return (proof, fetched)
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw Self.refused("manifest.unverified", "the manifest of \(world) is not covered: \(error)", peer.serverID)
        }
    }

    /// Assets that are verified at the same time.
    private static let assetsAtOnce = 8
    /// Chunks of one asset that are on the way at the same time.
    private static let chunksAtOnce = 4
    /// Worlds whose verification is remembered.
    private static let rememberedWorlds = 256
    /// How long a peer may take to answer one request.
    private static let answerTime: Duration = .seconds(10)

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

    private func readManifest(_ hash: ContentHash, world: WorldID, of peer: VerifiedPeer) async throws(Refusal) -> WorldManifest {
        do {
            guard let bytes = try await assets.readAll(hash, atMost: Limits.manifestBytes) else {
                throw Self.refused("manifest.lost", "the manifest of \(world) is gone from the store", peer.serverID)
            }
            let manifest = try WorldManifest(canonicalBytes: bytes)
            guard manifest.world == world else {
                throw Self.refused(
                    "manifest.wrongWorld", "the manifest of \(world) is one of \(manifest.world)", peer.serverID)
            }
            return manifest
        } catch let refusal as Refusal {
            throw refusal
        } catch let failure as ManifestFailure {
            throw Self.refused("manifest.invalid", failure.refusal.reason, peer.serverID)
        } catch {
            throw Self.storeFailed(error)
        }
    }

    /// Verifies what is held, or fetches it. What is held and damaged is moved out of sight and fetched again.
    private func verifiedAsset(
        _ hash: ContentHash, size: Int64, name: String, of peer: VerifiedPeer
    ) async throws(Refusal) -> (VerifiedAsset, fetched: Int64) {
        do {
            if let held = try await assets.size(of: hash) {
                if held == size, let asset = try await verifyHeld(hash, size: size) { return (asset, 0) }
                logger.error("an asset on disk is damaged and was moved away", metadata: ["asset": "\(hash)"])
                Counter(label: "aether_assets_quarantined_total").increment()
                try await assets.quarantine(hash)
            }
            return (try await fetch(hash, size: size, name: name, of: peer.serverID), size)
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
    private func fetch(_ hash: ContentHash, size: Int64, name: String, of peer: ServerID) async throws -> VerifiedAsset {
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
            throw Self.refused(
                "asset.mismatch", "\(name) from \(peer) is not what its manifest promises: \(mismatch.refusal.reason)", peer)
        }
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

    // MARK: Questions

    /// Sends a question to a peer and waits for its answer, for a bounded time.
    private func ask(
        _ peer: ServerID, _ question: (UInt64) -> FederationFrame
    ) async throws(Refusal) -> PendingRequests.Answer {
        guard let channel = node.channel(to: peer), let sink = channels[channel]?.sink else {
            throw Self.refused("peer.disconnected", "there is no open channel to \(peer)", peer)
        }
        let request = requests.nextRequest()
        let frame = question(request)
        let clock = clock
        let deadline = clock.now().instant + Self.answerTime
        let timeout = Task {
            guard (try? await clock.sleep(until: deadline)) != nil else { return }
            self.expire(request)
        }
        let result = await withCheckedContinuation { continuation in
            requests.wait(for: request, from: peer, continuation)
            sink.send(frame)
        }
        timeout.cancel()
        switch result {
        case .success(let answer): return answer
        case .failure(.disconnected):
            throw Self.refused("peer.disconnected", "the channel to \(peer) closed", peer)
        case .failure(.timeout):
            throw Self.refused("peer.silent", "\(peer) did not answer within \(Self.answerTime)", peer)
        }
    }

    private func expire(_ request: UInt64) {
        requests.expire(request)
    }

    private static func refused(_ code: String, _ reason: String, _ peer: ServerID) -> Refusal {
        Refusal(
            .conflict, code: code, reason: reason,
            remedy: "nobody crosses until \(peer) publishes what it promises; tell its operator", step: .verification)
    }
}
