public import FederationCore
import FederationCrypto
public import FederationModel

/// The worlds that this server offers.
extension FederationServer {
    /// Every world, sorted by id.
    public func worlds() -> [WorldRecord] {
        node.worlds.values.sorted { $0.world < $1.world }
    }

    public func world(_ world: WorldID) throws(Refusal) -> WorldRecord {
        guard let record = node.worlds[world] else { throw FederationNode.unknownWorld(world) }
        return record
    }

    /// A world whose manifest is held with its size, so that it can be sent from the store piece by piece: nobody who asks for
    /// manifests makes this server hold them, or hash them. Whoever gets one compares it with its hash, as any other asset.
    ///
    /// - Throws: `world.unknown`; `manifest.lost`; `assets.failed`.
    public func worldWithManifest(_ world: WorldID) async throws(Refusal) -> WorldRecord {
        let record = try self.world(world)
        let size: Int64?
        do {
            size = try await assets.size(of: record.manifest)
        } catch {
            throw Self.storeFailed(error)
        }
        guard size == record.manifestSize else {
            throw Refusal(
                .unavailable, code: "manifest.lost", reason: "the manifest of \(world) is missing or damaged on disk",
                remedy: "publish the world again: aether worlds add", step: .verification)
        }
        return record
    }

    /// Offers a world, or replaces what it consists of. Every asset must be held already, with the right size.
    public func addWorld(_ manifest: WorldManifest) async throws(Refusal) -> WorldRecord {
        try checkReady()
        let bytes = manifest.canonicalBytes
        let kept: VerifiedAsset
        do {
            for entry in manifest.entries {
                let held = try await assets.size(of: entry.hash)
                guard held == entry.size else { throw Self.missing(entry, held: held) }
            }
            let writer = try await assets.write()
            try await writer.append(bytes)
            kept = try await keep(writer, as: ContentHash.of(bytes), size: Int64(bytes.count))
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw Self.storeFailed(error)
        }
        let record = WorldRecord(
            world: manifest.world, name: manifest.name, manifest: kept.hash, manifestSize: kept.size,
            assets: manifest.entries.count, totalSize: manifest.totalSize)
        try await commit(node.addWorld(record, at: clock.now()))
        return record
    }

    /// Offers a world no longer; its files stay, for other worlds may have them as well. Who follows it is ended.
    ///
    /// - Throws: `world.unknown`; `world.occupied` while players are in it or on their way there.
    public func removeWorld(_ world: WorldID) async throws(Refusal) {
        try checkReady()
        let effects = try node.removeWorld(world, at: clock.now())
        worldFeeds.end(world)
        try await commit(effects)
    }

    private static func missing(_ entry: AssetEntry, held: Int64?) -> Refusal {
        let reason =
            held.map { "\(entry.path) is held with \($0) bytes, not \(entry.size)" } ?? "\(entry.path) is not held here"
        return Refusal(
            .conflict, code: "asset.missing", reason: reason, remedy: "upload it: PUT /v1/assets/\(entry.hash)",
            step: .verification)
    }

    static func storeFailed(_ error: any Error) -> Refusal {
        Refusal(
            .unavailable, code: "assets.failed", reason: "the asset store failed: \(error)",
            remedy: "see to the disk of the data directory", step: .verification)
    }
}

extension AssetStore {
    /// The whole of a small asset; nil when it is not held or larger than `limit`.
    func readAll(_ hash: ContentHash, atMost limit: Int) async throws -> [UInt8]? {
        guard let size = try await size(of: hash), size <= limit else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(size))
        while bytes.count < size {
            guard let part = try await read(hash, offset: Int64(bytes.count), length: 1 << 20), !part.isEmpty else {
                return nil
            }
            bytes += part
        }
        return bytes
    }
}
