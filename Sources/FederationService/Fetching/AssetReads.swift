import Collections
import FederationModel
import FederationWire

/// A peer's asset requests on one channel that are not answered yet. They are read in groups, one visit of the store for each.
struct AssetReads {
    /// Requests of one group.
    private static let group = 8
    /// Groups that are read at the same time: different assets may lie on different parts of a disk.
    private static let groupsAtOnce = 4

    private var waiting: Deque<FederationFrame.AssetRequest> = []
    private var beingRead = 0
    private var readers = 0
    private var isReaderComing = false

    /// Whether nothing is left to do.
    var isOver: Bool { waiting.isEmpty && readers == 0 }

    /// Takes a request; false when twice as many as ``Limits/assetRequestsInFlight`` are not answered yet.
    mutating func take(_ request: FederationFrame.AssetRequest) -> Bool {
        guard waiting.count + beingRead < Limits.assetRequestsInFlight * 2 else { return false }
        waiting.append(request)
        return true
    }

    /// Whether another reader must come for what waits. The one that is on its way takes what comes until it is there.
    mutating func needsReader() -> Bool {
        guard !waiting.isEmpty, !isReaderComing, readers < Self.groupsAtOnce else { return false }
        isReaderComing = true
        readers += 1
        return true
    }

    /// The reader that was on its way is there.
    mutating func readerCame() {
        isReaderComing = false
    }

    /// The next group for a reader, which leaves when there is none.
    mutating func next() -> [FederationFrame.AssetRequest]? {
        guard !waiting.isEmpty else {
            readers -= 1
            return nil
        }
        let group = Array(waiting.prefix(Self.group))
        waiting.removeFirst(group.count)
        beingRead += group.count
        return group
    }

    /// A group was answered.
    mutating func answered(_ count: Int) {
        beingRead -= count
    }
}
