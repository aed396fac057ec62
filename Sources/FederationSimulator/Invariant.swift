import FederationModel

/// What must hold in every run, by name.
package enum Invariant: String, CaseIterable, Sendable, Codable {
    /// A player is playable in at most one place, seen from the worlds and from the disks.
    case onePlace
    /// No client is told twice that its token was taken.
    case oneRedemption
    /// Nothing of a peer is acted upon before its handshake is Completed with the key that was pinned.
    case trustNeedsHandshake
    /// No portal leads to a server that is suspended, unreachable or untrusted, and no inactive one leads anywhere.
    case routesLeadToTrusted
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
    /// A player's revision never falls.
    case revisionsRise
    /// A handoff is completed by the destination's own receipt only.
    case receiptsAreGenuine
    /// What is durable is what the reference model says.
    case modelAgrees
    /// A ledger that is loaded is the one that was stored.
    case memoryMatchesDisk
    /// Queues, open handoffs and snapshots stay below their bounds.
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
