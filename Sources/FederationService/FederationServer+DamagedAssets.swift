import Collections
public import FederationCore
public import FederationModel
import Metrics

/// Verifications that run at the same time, of two worlds or of two peers' worlds, may find the same asset damaged. Whoever
/// moves it away or puts another in its place takes a turn, and looks again first: what was damaged a moment ago may be
/// whole by now, and must not be moved away.
extension FederationServer {
    /// Reads an asset again and compares it with its hash. One that is damaged is moved out of sight, so that it can be
    /// uploaded again.
    ///
    /// - Throws: `asset.unknown`; `asset.damaged`; `assets.failed`.
    public func verify(asset hash: ContentHash) async throws(Refusal) -> VerifiedAsset {
        let found: HeldAsset
        var held: HeldAsset
        do {
            found = try await assets.verify([hash]).first ?? .missing
            held = found
            if case .damaged = found { held = try await putAway(damaged: hash) }
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw Self.storeFailed(error)
        }
        if case .whole(let proof) = held { return proof }
        guard case .damaged = found else { throw Self.unknownAsset(hash) }
        throw Refusal(
            .conflict, code: "asset.damaged", reason: "asset \(hash) is damaged on disk and was moved away",
            remedy: "publish its world again: aether worlds add; or upload it: PUT /v1/assets/\(hash)",
            step: .verification)
    }

    /// The refusal of an asset that is not here: `asset.unknown`.
    public static func unknownAsset(_ hash: ContentHash) -> Refusal {
        Refusal(
            .notFound, code: "asset.unknown", reason: "there is no asset \(hash) here",
            remedy: "see the manifest of its world", step: .verification)
    }

    /// Moves an asset that was found damaged out of sight, unless it has been replaced since.
    ///
    /// - Returns: what is held now, which is not damaged.
    func putAway(damaged hash: ContentHash) async throws -> HeldAsset {
        await takeTurn(with: hash)
        defer { returnTurn(with: hash) }
        let held = try await assets.verify([hash]).first ?? .missing
        guard case .damaged = held else { return held }
        logger.error("an asset on disk is damaged and was moved away", metadata: ["asset": "\(hash)"])
        Counter(label: "aether_assets_quarantined_total").increment()
        try await assets.quarantine(hash)
        return .missing
    }

    /// Ends the writing of an asset whose hash was announced: it is durable and held then.
    ///
    /// - Throws: as ``AssetWriter/commit(_:size:)``.
    @discardableResult
    public func keep(_ writer: any AssetWriter, as hash: ContentHash, size: Int64) async throws -> VerifiedAsset {
        await takeTurn(with: hash)
        defer { returnTurn(with: hash) }
        return try await writer.commit(hash, size: size)
    }

    private func takeTurn(with hash: ContentHash) async {
        guard assetTurns[hash] != nil else {
            assetTurns[hash] = []
            return
        }
        // Whoever returns a turn hands it on.
        await withCheckedContinuation { assetTurns[hash]?.append($0) }
    }

    private func returnTurn(with hash: ContentHash) {
        if let next = assetTurns[hash]?.popFirst() {
            next.resume()
        } else {
            assetTurns[hash] = nil
        }
    }
}
