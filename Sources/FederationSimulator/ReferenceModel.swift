import FederationModel

/// The federation in the simplest possible words: who has a player, in which epoch, with which state. It moves by what
/// becomes durable, and by nothing else.
///
/// Each term of a player's epoch is a story of its own. The newest one is the player; the older ones are copies that a
/// reclaim has voided and that go on until their hosts hear of it.
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

    /// The player in one term.
    struct Copy {
        var owner: Owner
        var epoch: Epoch
        var revision: UInt64
        /// Of the newest save that is durable.
        var counter: UInt64
    }

    struct Player {
        /// By term.
        fileprivate(set) var copies: [UInt64: Copy]
        fileprivate(set) var term: UInt64
        /// A restored backup took what only the restored server knew: where the player is, or whether the player is anywhere,
        /// shows at the next rest.
        fileprivate(set) var isUnsettled = false
        /// The only copy went with what the backup does not hold: only the home server can bring the player back.
        fileprivate(set) var mayBeLost = false
        /// At the last rest.
        fileprivate(set) var restedEpoch = Epoch(0)

        /// The newest copy, which is the player.
        var newest: Copy { copies[term] ?? Copy(owner: .at(.impostor), epoch: Epoch(0), revision: 0, counter: 0) }

        /// The copy of the term, as far as it is followed.
        func copy(_ term: UInt64) -> Copy? { isUnsettled ? nil : copies[term] }
    }

    private(set) var players: [Player]

    init(homes: [SimulatedWire.Party]) {
        players = homes.map {
            Player(copies: [0: Copy(owner: .at($0), epoch: .first, revision: 0, counter: 0)], term: 0)
        }
    }

    /// A state of the player is durable as playable. Returns what contradicts it.
    mutating func save(_ player: Int, at party: SimulatedWire.Party, epoch: Epoch, revision: UInt64, counter: UInt64)
        -> String?
    {
        guard let known = followed(player, epoch) else { return unknown(player, epoch) }
        guard known.owner == .at(party) else { return "it is playable at \(party), but \(known.owner) has it" }
        guard known.epoch == epoch else { return "it is playable in epoch \(epoch), but it is in \(known.epoch)" }
        guard counter >= known.counter else { return "its state went back from \(known.counter) to \(counter)" }
        players[player].copies[epoch.term]?.counter = counter
        players[player].copies[epoch.term]?.revision = max(revision, known.revision)
        return nil
    }

    /// The source has decided. Returns what contradicts it.
    mutating func commit(_ player: Int, as handoff: HandoffID, from party: SimulatedWire.Party, epoch: Epoch) -> String?
    {
        guard let known = followed(player, epoch) else { return unknown(player, epoch) }
        guard known.owner == .at(party) else { return "\(party) gave it away, but \(known.owner) has it" }
        guard known.epoch.next == epoch else { return "it left in epoch \(epoch) after \(known.epoch)" }
        players[player].copies[epoch.term]?.owner = .crossing(handoff)
        players[player].copies[epoch.term]?.epoch = epoch
        return nil
    }

    /// The destination has it. Returns what contradicts it.
    mutating func admit(_ player: Int, as handoff: HandoffID, at party: SimulatedWire.Party, epoch: Epoch) -> String? {
        guard let known = followed(player, epoch) else { return unknown(player, epoch) }
        guard known.owner == .crossing(handoff) else { return "\(party) admitted it, but \(known.owner) has it" }
        players[player].copies[epoch.term]?.owner = .at(party)
        return nil
    }

    /// The home server has taken the player back. Returns what contradicts it.
    mutating func reclaim(
        _ player: Int, at home: SimulatedWire.Party, epoch: Epoch, revision: UInt64, counter: UInt64
    ) -> String? {
        let known = players[player]
        if !known.isUnsettled {
            guard let next = known.newest.epoch.nextTerm, epoch == next else {
                return "\(home) takes it back in epoch \(epoch), which does not begin the term after \(known.term)"
            }
        }
        players[player].term = epoch.term
        players[player].copies[epoch.term] = Copy(
            owner: .at(home), epoch: epoch, revision: revision, counter: counter)
        return nil
    }

    /// A copy that is followed; those of voided terms are followed until a backup is restored.
    private func followed(_ player: Int, _ epoch: Epoch) -> Copy? { players[player].copy(epoch.term) }

    private func unknown(_ player: Int, _ epoch: Epoch) -> String? {
        guard !players[player].isUnsettled, epoch.term >= players[player].term else { return nil }
        return "nobody has begun the term of epoch \(epoch)"
    }

    // MARK: Backups

    /// What was durable in this stay since the backup is gone.
    mutating func rollBack(_ player: Int, revision: UInt64, counter: UInt64) {
        let term = players[player].term
        players[player].copies[term]?.revision = revision
        players[player].copies[term]?.counter = counter
    }

    /// The newest copy was in the hands of the restored server.
    mutating func unsettle(_ player: Int, mayBeLost: Bool) {
        players[player].isUnsettled = true
        players[player].mayBeLost = players[player].mayBeLost || mayBeLost
    }

    /// Voided copies are not followed any more: who has them has forgotten, or may have.
    mutating func forgetVoided() {
        for player in players.indices where players[player].copies.count > 1 { keepNewest(player) }
    }

    private mutating func keepNewest(_ player: Int) {
        let term = players[player].term
        players[player].copies = players[player].copies.filter { $0.key == term }
    }

    // MARK: Rest

    /// Everything rests, and the player is where the newest copy says.
    mutating func rest(_ player: Int) {
        keepNewest(player)
        players[player].restedEpoch = players[player].newest.epoch
    }

    /// Where an unsettled player was found at rest.
    mutating func settle(_ player: Int, as copy: Copy) {
        players[player].isUnsettled = false
        players[player].mayBeLost = false
        players[player].term = copy.epoch.term
        players[player].copies = [copy.epoch.term: copy]
    }

    /// The restored server was the only one that had ever heard of the player.
    mutating func forget(_ player: Int, home: SimulatedWire.Party) {
        let fresh = Copy(owner: .at(home), epoch: .first, revision: 0, counter: 0)
        settle(player, as: fresh)
        players[player].restedEpoch = Epoch(0)
    }
}
