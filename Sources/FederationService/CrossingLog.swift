import Collections
import FederationModel

/// The crossings of this process's life, newest last, bounded: what the ledger does not keep, such as the steps and the
/// crossings that were refused before the player was frozen.
struct CrossingLog {
    private var crossings: OrderedDictionary<HandoffID, Crossing> = [:]

    /// How many are kept.
    private static let kept = 4_096

    subscript(_ id: HandoffID) -> Crossing? { crossings[id] }

    /// The newest first.
    var all: some Sequence<Crossing> { crossings.values.reversed() }

    /// The crossing of a player that is still verifying assets.
    func verifying(_ player: PlayerID) -> Crossing? {
        crossings.values.last { $0.player == player && $0.phase == .verifying }
    }

    mutating func insert(_ crossing: Crossing) {
        crossings[crossing.id] = crossing
        while crossings.count > Self.kept { crossings.removeFirst() }
    }

    mutating func update(_ id: HandoffID, _ change: (inout Crossing) -> Void) {
        guard var crossing = crossings[id] else { return }
        change(&crossing)
        crossings[id] = crossing
    }
}
