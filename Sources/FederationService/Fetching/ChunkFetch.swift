import Collections
import FederationCore
import FederationModel

/// A part of an asset that is being fetched from a peer. One task reads what arrives; what it waits for comes to it through
/// the server's state, so that no chunk has a task or a timer of its own.
struct ChunkFetch {
    let hash: ContentHash
    let peer: ServerID
    /// For people.
    let name: String
    var window: ChunkWindow
    /// Why nothing more comes.
    var failure: Refusal?
    var reader: CheckedContinuation<Void, Never>?

    init(_ range: Range<Int64>, of hash: ContentHash, name: String, from peer: ServerID) {
        self.hash = hash
        self.peer = peer
        self.name = name
        window = ChunkWindow(range)
    }

    /// Whether its reader has something to do.
    var isSettled: Bool { failure != nil || window.isReady || window.isOver }
}

/// A chunk of a fetch that is to be asked for, or was.
struct ChunkRequest {
    let fetch: UInt64
    let peer: ServerID
    let chunk: ChunkWindow.Chunk
    /// How often it was asked for.
    var attempts = 0
}

/// Chunk requests to one peer: at most ``Limits/assetRequestsInFlight`` are on the way, the rest wait for their turn.
struct ChunkSlots {
    var inUse = 0
    var waiting: Deque<ChunkRequest> = []

    /// Takes the next request out for which there is a place.
    mutating func next() -> ChunkRequest? {
        guard inUse < Limits.assetRequestsInFlight, let request = waiting.popFirst() else { return nil }
        inUse += 1
        return request
    }
}
