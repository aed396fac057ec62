import Collections
import FederationModel

/// The crossings of this process's life, bounded: what the ledger does not keep, such as the steps and the crossings that
/// were refused before the player was frozen. The oldest are forgotten first, but none that is still being verified.
struct CrossingLog {
    private var crossings: [HandoffID: Crossing] = [:]
    /// The oldest first.
    private var order: Deque<HandoffID> = []
    /// At most one crossing of a player is being verified.
    private var verifyingByPlayer: [PlayerID: HandoffID] = [:]

    /// How many are kept.
    static let kept = 4_096
    /// How many of them may be in verification.
    static let verifying = 1_024

    subscript(_ id: HandoffID) -> Crossing? { crossings[id] }

    var count: Int { crossings.count }

    /// Whether another crossing may begin its verification.
    var hasRoom: Bool { verifyingByPlayer.count < Self.verifying }

    /// The newest first.
    var all: some Sequence<Crossing> { order.reversed().lazy.compactMap { crossings[$0] } }

    /// The crossing of a player that is still verifying assets.
    func verifying(_ player: PlayerID) -> Crossing? {
        verifyingByPlayer[player].flatMap { crossings[$0] }
    }

    mutating func insert(_ crossing: Crossing) {
        if crossings.updateValue(crossing, forKey: crossing.id) == nil { order.append(crossing.id) }
        index(crossing)
        while order.count > Self.kept {
            guard let oldest = order.firstIndex(where: { crossings[$0]?.phase != .verifying }) else { return }
            crossings[order.remove(at: oldest)] = nil
        }
    }

    mutating func update(_ id: HandoffID, _ change: (inout Crossing) -> Void) {
        guard var crossing = crossings[id] else { return }
        change(&crossing)
        crossings[id] = crossing
        index(crossing)
    }

    private mutating func index(_ crossing: Crossing) {
        if crossing.phase == .verifying {
            verifyingByPlayer[crossing.player] = crossing.id
        } else if verifyingByPlayer[crossing.player] == crossing.id {
            verifyingByPlayer[crossing.player] = nil
        }
    }
}
