import Collections
import FederationModel

/// The chunks of one asset from being asked for until they are written: asked for ahead within a bound, arriving in any order,
/// given out in order.
///
/// They are asked for and given out in groups: threads are woken for a group as often as for a chunk, and that costs more than
/// what is done with it.
struct ChunkWindow {
    struct Chunk: Hashable, Sendable {
        /// In bytes, from the asset's beginning.
        let offset: Int64
        /// In bytes.
        let length: Int
    }

    /// Chunks that are asked for together, and given out together. A quarter of what may be on the way, so that the peer reads
    /// one group while another is under way and a third is written.
    static let group = Limits.assetRequestsInFlight / 4
    private static let groupBytes = Int64(group * Limits.assetChunkBytes)
    /// Bytes that are asked for and not yet written.
    static let bytes = Int64(Limits.assetRequestsInFlight * Limits.assetChunkBytes)

    private let end: Int64
    /// What comes before it has been asked for; likewise the next two.
    private var asked: Int64
    private var given: Int64
    private var written: Int64
    /// What has been asked for and not given out, in order; nil for what has not arrived.
    private var chunks: Deque<[UInt8]?> = []

    /// - Parameter range: of the asset, in bytes.
    init(_ range: Range<Int64>) {
        asked = range.lowerBound
        given = range.lowerBound
        written = range.lowerBound
        end = range.upperBound
    }

    /// Whether everything is written.
    var isOver: Bool { written == end }

    /// Whether there is something to give out: a whole group, or the last chunks.
    var isReady: Bool { !chunks.isEmpty && chunks.prefix(Self.group).allSatisfy { $0 != nil } }

    /// The chunks to ask for now.
    mutating func ask() -> [Chunk] {
        let bound = min(end, written + Self.bytes)
        // What is less than a group waits until there is room for the rest of it, unless there is no rest.
        guard bound == end || bound - asked >= Self.groupBytes else { return [] }
        var asking: [Chunk] = []
        while asked < bound {
            let chunk = Chunk(offset: asked, length: Int(min(Int64(Limits.assetChunkBytes), bound - asked)))
            asking.append(chunk)
            chunks.append(nil)
            asked += Int64(chunk.length)
        }
        return asking
    }

    /// A chunk that was asked for has arrived, with as many bytes as were asked for.
    mutating func arrive(_ bytes: [UInt8], at chunk: Chunk) {
        chunks[Int((chunk.offset - given) / Int64(Limits.assetChunkBytes))] = bytes
    }

    /// The chunks to write next; ``wrote()`` must follow. Empty unless ``isReady``.
    mutating func take() -> [[UInt8]] {
        guard isReady else { return [] }
        let group = chunks.prefix(Self.group).compactMap { $0 }
        chunks.removeFirst(group.count)
        given += group.reduce(0) { $0 + Int64($1.count) }
        return group
    }

    /// What was taken is written: as much more may be asked for.
    mutating func wrote() {
        written = given
    }
}
