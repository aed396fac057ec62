import FederationModel

/// What must hold in every run, by name.
///
/// Three acts of people bend it for a while, and only as far as PROTOCOL.md says:
/// - *Taking back* voids every copy of an older term. Until the recall reaches its host an older copy can be played, saved and
///   handed on to servers that have not heard of it either; within its own term it is in one place all the same. Its host drops it
///   when the recall arrives (``recallsHold``), and nobody who has heard lets it in again, whatever power cuts come in between.
///   What was saved in the older term counts for nothing from the moment the reclaim is durable; what the home has saved since counts.
/// - A *restored backup* brings copies back that had left. Until the peers have connected, nothing tells the restored server; such
///   a copy can be played where it is, and what is saved in it counts for nothing. Once each peer has answered on a new channel, none is
///   left (``onePlace``). Its operator lets nobody travel and takes nobody back before that; one server at a time is restored.
///   Of players who were playing on the restored server in the same stay, exactly the saves since the backup are lost. Where
///   the only copy was one that the backup does not hold, the player is nowhere, and the home server takes the player back.
///   Tokens that were redeemed since the backup may be redeemed once more, while they last.
/// - A *guarded world* decides only before a place is kept: afterwards its word changes nothing.
package enum Invariant: String, CaseIterable, Sendable, Codable {
    /// A player is playable in at most one place in each term, seen from the worlds and from the disks.
    case onePlace
    /// Who has been told that a player was taken back plays no older copy, and lets none in.
    case recallsHold
    /// A place in a guarded world is kept only for somebody whom the world lets in.
    case guardsDecide
    /// How many handoffs a server has decided towards a peer never falls on its disk.
    case decisionsRise
    /// No client is told twice that its token was taken.
    case oneRedemption
    /// Nothing of a peer is acted upon before its handshake is Completed with the key that was pinned.
    case trustNeedsHandshake
    /// No portal leads to a server that is suspended, unreachable or untrusted, and no inactive one leads anywhere.
    case routesLeadToTrusted
    /// A player is frozen before the decision for no longer than the destination may take to answer.
    case waitIsBounded
    /// From the freeze to the decision the player's state is the snapshot.
    case frozenStateStands
    /// A save that was acknowledged is in every later playable copy.
    case savesAreKept
    /// The source decides only when the destination's reservation is durable.
    case decisionFollowsReservation
    /// What is said follows from what is durable.
    case durableBeforeSaid
    /// A handoff moves only as its states allow, on every disk.
    case statesAdvance
    /// A reservation ends by the source's word only.
    case reservationsWait
    /// A player's epoch never falls on any disk.
    case epochsRise
    /// A player's revision never falls within a term, wherever the player goes.
    case revisionsRise
    /// A handoff is completed by the destination's own receipt only.
    case receiptsAreGenuine
    /// What is durable is what the reference model says.
    case modelAgrees
    /// A ledger that is loaded is the one that was stored.
    case memoryMatchesDisk
    /// Queues, open handoffs, snapshots, and what is remembered of players stay below their bounds.
    case boundsHold
    /// What a node makes of a peer's frames can be sent.
    case framesEncode
    /// At rest: every player is playable in exactly one place.
    case everyoneSomewhere
    /// At rest: no handoff is open.
    case nothingOpen
    /// At rest: both ends say the same of every handoff.
    case ledgersAgree
}

/// An invariant that does not hold.
package struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
    package let invariant: Invariant
    /// What was seen, in one line.
    package let detail: String
    /// Handoffs begun until then.
    package let crossing: Int

    package var description: String { "\(invariant.rawValue) after \(crossing) crossings: \(detail)" }
}
