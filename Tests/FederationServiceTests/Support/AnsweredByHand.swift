import FederationModel
import FederationWire
import ServiceTestKit
import Synchronization

@testable import FederationService

/// A world of one large file, whose chunks the test answers itself in the peer's place.
final class AnsweredByHand: Sendable {
    let pair: TestPair
    let bytes: [UInt8]
    private let asked = Mutex<(open: [FederationFrame.AssetRequest], total: Int)>(([], 0))

    init(chunks: Int) async throws {
        bytes = (0..<chunks).flatMap { [UInt8](repeating: UInt8($0), count: Limits.assetChunkBytes) } + [7]
        pair = try await TestPair.make(files: ["large.bin": bytes])
        takeOver()
    }

    var hash: ContentHash { .of(bytes) }
    /// The whole chunks and the last byte.
    var chunks: Int { bytes.count / Limits.assetChunkBytes + 1 }
    /// Requests that are not answered yet.
    var open: [FederationFrame.AssetRequest] { asked.withLock { $0.open } }
    var total: Int { asked.withLock { $0.total } }

    func takeOver() {
        let hash = hash
        pair.link.there.decide { [weak self] frame in
            guard case .assetRequest(let request) = frame, request.hash == hash else { return .delivered }
            self?.asked.withLock { $0 = ($0.open + [request], $0.total + 1) }
            return .lost
        }
    }

    /// From now on the peer answers by itself again.
    func handBack() {
        pair.link.there.release()
        asked.withLock { $0 = ([], 0) }
    }

    func answer(_ request: FederationFrame.AssetRequest, _ change: ([UInt8]) -> [UInt8] = { $0 }) {
        asked.withLock { asked in asked.open.removeAll { $0.request == request.request } }
        let begin = Int(request.offset)
        let chunk = change(Array(bytes[begin..<begin + request.length]))
        pair.link.back.inject(.assetResponse(.init(request: request.request, answer: .chunk(chunk))))
    }

    /// Waits until as much is asked for as may be.
    func windowIsOpen() async throws {
        try await eventually { self.open.count == Limits.assetRequestsInFlight }
    }

    func isKept() async throws -> Bool { try await pair.alpha.assets.size(of: hash) != nil }

    /// Whether nothing is left of what was asked for.
    func isForgotten() async -> Bool {
        await pair.alpha.server.hasForgottenFetches
    }

    /// Fetches a part of the file, as a verification does.
    ///
    /// - Parameter range: in whole chunks.
    func fetch(_ range: Range<Int>, _ take: @escaping @Sendable ([[UInt8]]) async -> Void) async throws {
        let chunk = Int64(Limits.assetChunkBytes)
        try await pair.alpha.server.fetchPart(
            Int64(range.lowerBound) * chunk..<Int64(range.upperBound) * chunk, of: hash, from: pair.beta.id, take)
    }

    /// Chunks that wait for a place, and those that have one.
    func waiting() async -> Int { await pair.alpha.server.chunksWaiting(for: pair.beta.id) }

    func onTheWay() async -> Int { await pair.alpha.server.chunksOnTheWay(from: pair.beta.id) }
}

/// What a fetch has handed over.
final class Gathered: Sendable {
    private let kept = Mutex<(bytes: [UInt8], groups: Int)>(([], 0))

    var groups: Int { kept.withLock { $0.groups } }

    func add(_ group: [[UInt8]]) {
        kept.withLock { $0 = ($0.bytes + group.joined(), $0.groups + 1) }
    }

    /// - Parameter range: in whole chunks.
    func isPart(_ range: Range<Int>, of bytes: [UInt8]) -> Bool {
        let chunk = Limits.assetChunkBytes
        return kept.withLock { $0.bytes.elementsEqual(bytes[range.lowerBound * chunk..<range.upperBound * chunk]) }
    }
}

extension FederationServer {
    fileprivate var hasForgottenFetches: Bool {
        fetches.isEmpty && chunkSlots.isEmpty && requests.isEmpty && requestTimer == nil
    }

    fileprivate func fetchPart(
        _ range: Range<Int64>, of hash: ContentHash, from peer: ServerID,
        _ take: @escaping @Sendable ([[UInt8]]) async -> Void
    ) async throws {
        try await fetchChunks(range, of: hash, name: "large.bin", from: peer, take)
    }

    fileprivate func chunksWaiting(for peer: ServerID) -> Int { chunkSlots[peer]?.waiting.count ?? 0 }

    fileprivate func chunksOnTheWay(from peer: ServerID) -> Int { chunkSlots[peer]?.inUse ?? 0 }
}
