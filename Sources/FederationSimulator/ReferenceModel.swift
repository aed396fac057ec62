import FederationModel

/// The federation in the simplest possible words: who has a player, in which epoch, with which state. It moves by what
/// becomes durable, and by nothing else.
struct ReferenceModel {
    enum Owner: Hashable, CustomStringConvertible {
        case at(SimulatedWire.Party)
        /// Decided, and not yet admitted.
        case crossing(HandoffID)

        var description: String {
            switch self {
            case .at(let party): "\(party)"
            case .crossing(let handoff): "handoff \(handoff)"
            }
        }
    }

    struct Player {
        var owner: Owner
        var epoch: Epoch
        var revision: UInt64
        /// Of the newest save that is durable.
        var counter: UInt64
    }

    private(set) var players: [Player]

    init(homes: [SimulatedWire.Party]) {
        players = homes.map { Player(owner: .at($0), epoch: .first, revision: 0, counter: 0) }
    }

    /// A state of the player is durable as playable. Returns what contradicts it.
    mutating func save(_ player: Int, at party: SimulatedWire.Party, epoch: Epoch, revision: UInt64, counter: UInt64)
        -> String?
    {
        let known = players[player]
        guard known.owner == .at(party) else { return "it is playable at \(party), but \(known.owner) has it" }
        guard known.epoch == epoch else { return "it is playable in epoch \(epoch), but it is in \(known.epoch)" }
        guard counter >= known.counter else { return "its state went back from \(known.counter) to \(counter)" }
        players[player].counter = counter
        players[player].revision = max(revision, known.revision)
        return nil
    }

    /// The source has decided. Returns what contradicts it.
    mutating func commit(_ player: Int, as handoff: HandoffID, from party: SimulatedWire.Party, epoch: Epoch) -> String?
    {
        let known = players[player]
        guard known.owner == .at(party) else { return "\(party) gave it away, but \(known.owner) has it" }
        guard known.epoch.next == epoch else { return "it left in epoch \(epoch) after \(known.epoch)" }
        players[player].owner = .crossing(handoff)
        players[player].epoch = epoch
        return nil
    }

    /// The destination has it. Returns what contradicts it.
    mutating func admit(_ player: Int, as handoff: HandoffID, at party: SimulatedWire.Party) -> String? {
        let known = players[player]
        guard known.owner == .crossing(handoff) else { return "\(party) admitted it, but \(known.owner) has it" }
        players[player].owner = .at(party)
        return nil
    }
}
