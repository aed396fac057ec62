public import FederationModel

/// The passages through which players came to this server: one for each player and server that they came from.
public struct PassageTable: Sendable {
    private struct Origin: Sendable {
        var byPlayer: [PlayerID: Passage] = [:]
        var byDecision = OrderedKeys<Entry>()
    }

    private struct Entry: Comparable, Sendable {
        let decision: UInt64
        /// nil comes before every player.
        let player: PlayerID?

        static func < (left: Self, right: Self) -> Bool {
            guard left.decision == right.decision else { return left.decision < right.decision }
            guard let other = right.player else { return false }
            return left.player.map { $0 < other } ?? true
        }
    }

    private var origins: [ServerID: Origin] = [:]
    /// How many passages are kept in all.
    public private(set) var count = 0

    public init() {}

    public init(restoring stored: [Passage]) {
        for passage in stored { put(passage) }
    }

    public subscript(_ player: PlayerID, from origin: ServerID) -> Passage? { origins[origin]?.byPlayer[player] }

    /// How many players have come from `origin`.
    public func count(from origin: ServerID) -> Int { origins[origin]?.byPlayer.count ?? 0 }

    /// Passages from `origin` with a higher number than `decision`, in the order of their numbers, at most `limit`.
    public func passages(from origin: ServerID, after decision: UInt64, limit: Int) -> [Passage] {
        guard let origin = origins[origin], decision < .max else { return [] }
        let page = origin.byDecision.page(after: Entry(decision: decision + 1, player: nil), limit: limit)
        return page.compactMap { entry in entry.player.flatMap { origin.byPlayer[$0] } }
    }

    /// Keeps the newest passage of the player from that server. Whether it is this one.
    @discardableResult
    mutating func put(_ passage: Passage) -> Bool {
        if let old = origins[passage.origin]?.byPlayer[passage.player] {
            guard old.decision < passage.decision else { return false }
            origins[passage.origin]?.byDecision.remove(Entry(decision: old.decision, player: old.player))
        } else {
            count += 1
        }
        origins[passage.origin, default: Origin()].byPlayer[passage.player] = passage
        origins[passage.origin]?.byDecision.insert(Entry(decision: passage.decision, player: passage.player))
        return true
    }
}
